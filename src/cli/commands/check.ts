/** `sing check`: what should not be in an image, and what it lacks. */

import { check } from '../../check/check.ts'
import { chosenChecks, isFailed, parseTags } from '../../check/report.ts'
import { tags } from '../../check/types.ts'
import { SingError } from '../../core/errors.ts'
import { schemeOf } from '../../image/scheme.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import { toJson } from '../../ui/json.ts'
import { toColumns } from '../../ui/table.ts'
import { checkJson, checkText } from '../check-text.ts'
import { checkDirectories, levelOf } from '../checking.ts'
import type { Call, Command } from '../command.ts'
import { encryptionFlags, type Flag, registryFlags } from '../options.ts'
import { list, text, toggle } from '../rows.ts'
import { unlockFor } from '../unlock.ts'

const flags: readonly Flag[] = [
  list('tag', `only these checks: ${tags.join(', ')} (default: all)`, {
    short: 't',
    env: [],
    split: 'commas',
    placeholder: 'tags',
  }),
  text('level', 'what counts as failed: error (default), warning, note, never', {
    env: [],
    placeholder: 'severity',
  }),
  list('checks', 'run the programs in this directory, too, with the path of the image', {
    env: [],
    split: 'never',
    placeholder: 'directory',
  }),
  toggle('all', 'every finding, however many there are of a check', { short: 'a', env: [] }),
  toggle('list', 'list the checks and do nothing', { short: 'l', env: [] }),
  toggle('json', 'print JSON', { short: 'j', env: [] }),
  ...encryptionFlags,
  ...registryFlags,
]

const words = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : [])

function printList({ flags: given, context }: Call): number {
  const checks = chosenChecks(parseTags(words(given.tag)))
  if (given.json === true) {
    const rows = checks.map(({ name, tags: own, summary }) => ({ check: name, tags: own, summary }))
    context.print(toJson(rows))
    return 0
  }
  const rows = checks.map(({ name, tags: own, summary }) => [name, own.join(', '), summary])
  context.print(toColumns([['CHECK', 'TAGS', 'WHAT IT LOOKS FOR'], ...rows]))
  return 0
}

async function checkImage(call: Call): Promise<number> {
  const { args, flags: given, context, fetched } = call
  const [path = ''] = args
  const level = levelOf(given.level)
  using interruption = catchInterruption('the check')
  const { environment, report } = context
  const checked = await check(path, {
    tags: parseTags(words(given.tag)),
    directories: await checkDirectories(call),
    environment,
    report,
    signal: interruption.signal,
    unlock: unlockFor(call),
  })
  const failed = isFailed(checked.findings, level)
  const name = fetched?.name ?? path
  context.print(
    given.json === true ? checkJson(checked, failed) : checkText(checked, name, given.all === true),
  )
  return failed ? 1 : 0
}

async function run(call: Call): Promise<number> {
  if (call.flags.list === true) return printList(call)
  const [image] = call.args
  if (image === undefined)
    throw new SingError('USAGE', 'the image is missing', { hint: 'Usage: sing check [options] <image>' })
  if (schemeOf(image) === undefined || image.startsWith('instance:')) return await checkImage(call)
  const { withFetched } = await import('../remote.ts')
  return await withFetched(call, checkImage)
}

export const command: Command = {
  usage: 'check [options] <image>',
  summary: 'Look for what should not be in an image, and for what it lacks',
  description:
    'Leftovers of package managers, secrets, files that everybody may write to, broken links, missing libraries and more. ' +
    'Nothing of the image is started. The exit status is 1 when a check failed: when there is an error, or what --level names.',
  examples: [
    'sing check fortune.sif',
    'sing check --tag security,clean --level warning fortune.sif',
    'sing check --json fortune.sif | jq -r ".findings[].path"',
    'sing check --list',
    'sing build --check fortune.sif fortune.def',
  ],
  flags,
  args: [0, 1],
  run,
}
