/** `sing apps`: the applications (SCIF) of an image, as older versions of Singularity list them. */

import { shown } from '../../core/errors.ts'
import { metadata, sorted } from '../../image/contents.ts'
import { toJson } from '../../ui/json.ts'
import type { Call, Command } from '../command.ts'
import { unlockFor } from '../unlock.ts'

async function run(call: Call): Promise<number> {
  const {
    args: [path = ''],
    flags,
    context,
  } = call
  const { apps = {} } = await metadata(path, context.report, unlockFor(call))
  const names = sorted(Object.keys(apps))
  context.print(flags.json === true ? toJson(names) : names.map((name) => `${shown(name)}\n`).join(''))
  return 0
}

export const command: Command = {
  usage: 'apps [options] <image>',
  summary: 'List the applications of an image',
  description: 'One name a line, for --app of run, exec, shell, test and run-help.',
  examples: ['sing apps tools.sif', 'sing run --app foo tools.sif'],
  flags: [{ name: 'json', short: 'j', kind: 'boolean', help: 'print JSON instead of text' }],
  args: [1, 1],
  run,
}
