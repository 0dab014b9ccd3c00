/** `sing commit`: an image and the changes that lie over it become a new image. */

import { resolve } from 'node:path'
import { isatty } from 'node:tty'
import { build } from '../../build/build.ts'
import { type CommitWords, openCommit } from '../../build/commit/spec.ts'
import { SingError, shown } from '../../core/errors.ts'
import { readHostFacts } from '../../host/facts.ts'
import { requireInstance } from '../../runtime/instances.ts'
import { isReentered } from '../../runtime/reenter.ts'
import { confirm } from '../../ui/prompt.ts'
import { createStepReport } from '../../ui/steps.ts'
import { examinerOf } from '../checking.ts'
import type { Call, Command } from '../command.ts'
import { encryptionOf, unlockBase, warnOfPlain } from '../encrypting.ts'
import { Fetcher } from '../fetching.ts'
import { ownPlace } from '../instances.ts'
import { type Flag, fakerootFlags } from '../options.ts'
import { list, path, text, toggle } from '../rows.ts'
import { becomeRoot, refuseEncrypted, requestOf } from './build.ts'
import { encryptionFlags } from './build-flags.ts'

const flags: readonly Flag[] = [
  list('overlay', 'what keeps the changes: a directory, an ext3, a SIF; :ro for one that was only read', {
    short: 'o',
    env: ['OVERLAY', 'OVERLAYIMAGE'],
    split: 'commas',
    placeholder: 'path',
  }),
  text('message', 'what the changes are; stands in the definition and the labels', {
    short: 'm',
    env: [],
    placeholder: 'text',
  }),
  list('label', 'a label of the new image', { env: [], split: 'never', placeholder: 'key=value' }),
  toggle('sandbox', 'make a directory instead of a SIF file', { short: 's', env: [] }),
  toggle('force', 'replace what exists', { short: 'F', env: [] }),
  text('compress', 'zstd (default), gzip, xz or lz4, with a level: zstd:15', {
    env: [],
    placeholder: 'name[:level]',
  }),
  toggle('check', 'refuse the image when a check finds an error in it (see sing check)', { env: [] }),
  text('check-level', 'with --check: what refuses it: error (default), warning, note, never', {
    env: [],
    placeholder: 'severity',
  }),
  path('tmpdir', 'directory for temporary files'),
  ...encryptionFlags,
  ...fakerootFlags,
  toggle('live', 'the overlays belong to an instance that runs', { hidden: true, env: [] }),
]

const words = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : [])
const scheme = 'instance://'

/** The new image and what it is made of; whoever commits an instance thinks of that first. */
function ordered([one = '', other = '']: readonly string[]): [target: string, image: string] {
  return one.startsWith(scheme) ? [other, one] : [one, other]
}

/** What the overlays of an instance are, in words of the command line. @throws SingError for one that keeps nothing */
function overlaysOf(name: string, call: Call): { image: string; overlays: string[] } {
  const { image, flags: started, cwd } = requireInstance(ownPlace(call.context), name)
  const overlays = words(started.overlay).map((word) => resolve(cwd, word))
  if (overlays.length > 0 || image.kind === 'sandbox') return { image: image.path, overlays }
  throw new SingError('OVERLAY', `there is nothing to commit: the instance ${shown(name)} keeps no changes`, {
    hint:
      started['writable-tmpfs'] !== undefined
        ? 'They are in memory; start it with --overlay DIRECTORY instead of --writable-tmpfs'
        : 'Start it with --overlay DIRECTORY',
  })
}

/** The same command with the image and the overlays in the place of an instance: a second life does not know the user's instances. */
function withoutInstance(call: Call): Call {
  const [target, image] = ordered(call.args)
  if (!image.startsWith(scheme)) return { ...call, args: [target, image] }
  const found = overlaysOf(image.slice(scheme.length), call)
  const given = found.overlays.flatMap((word) => ['--overlay', word])
  const rest = [...call.argv]
  for (const argument of call.args) rest.splice(rest.lastIndexOf(argument), 1)
  call.context.report({
    kind: 'info',
    text: 'The instance goes on: what it is writing just now may be in the new image in part',
  })
  return {
    ...call,
    args: [target, found.image],
    argv: [...rest, ...given, '--live', target, found.image],
    flags: { ...call.flags, overlay: [...words(call.flags.overlay), ...found.overlays], live: true },
  }
}

function wordsOf(call: Call, seconds: number | undefined): CommitWords {
  const {
    args: [, image = ''],
    flags: given,
  } = call
  return {
    image,
    overlays: words(given.overlay),
    live: given.live === true,
    message: typeof given.message === 'string' && given.message ? given.message : undefined,
    labels: words(given.label),
    time: seconds === undefined ? undefined : new Date(seconds * 1000),
    unlock: isReentered(call.context) ? unlockBase(call) : 'keep',
  }
}

async function run(given: Call): Promise<number> {
  const report = createStepReport(given.context.verbosity)
  const call = withoutInstance({ ...given, context: { ...given.context, report } })
  const { config } = await call.context.settings()
  const request = { ...requestOf(call, config, report), useCache: false }
  refuseEncrypted(request, false)
  const examine = examinerOf(call)
  const spec = await openCommit(wordsOf(call, request.time))
  const facts = readHostFacts(call.context.environment)
  becomeRoot(call, facts, request)
  warnOfPlain(call)
  const { SING_REENTERED: _, ...environment } = call.context.environment
  using fetcher = new Fetcher(call)
  await build(request, spec, {
    facts,
    environment,
    gpus: [],
    report,
    debug: call.context.debug,
    ownMounts: isReentered(call.context),
    obtain: fetcher.obtain,
    cache: fetcher.cache,
    examine,
    encryption: await encryptionOf(call),
    confirm: isatty(0) ? confirm : undefined,
  })
  return 0
}

export const command: Command = {
  usage: 'commit [options] <new image> <image | instance://NAME>',
  summary: 'Make an image of another one and the changes that lie over it',
  description:
    'The changes are those of --overlay, of the overlay in a SIF, or of a sandbox. What is removed there is gone, and what is unchanged is ' +
    'copied as it lies in the image. Scripts, labels and definition stay; the definition begins with a line for each commit.',
  examples: [
    'sing exec --fakeroot --overlay changes/ debian.sif apt-get install -y gcc',
    'sing commit --overlay changes/ --message "with gcc" gcc.sif debian.sif',
    'sing commit new.sif box/',
    'sing commit web2.sif instance://web',
  ],
  flags,
  args: [2, 2],
  run,
}
