/** `sing run-help`: the help text that the author of an image wrote. */

import { metadata } from '../../image/contents.ts'
import type { Call, Command } from '../command.ts'
import { unlockFor } from '../unlock.ts'

async function run(call: Call): Promise<number> {
  const {
    args: [path = ''],
    flags,
    context,
  } = call
  const attributes = await metadata(path, context.report, unlockFor(call))
  const { app } = flags
  const owner = typeof app === 'string' ? new Map(Object.entries(attributes.apps ?? {})).get(app) : attributes
  context.print(`${owner?.helpfile ?? 'No help sections were defined for this image'}\n`)
  return 0
}

export const command: Command = {
  usage: 'run-help [options] <image>',
  summary: 'Show the help text of an image',
  description:
    'The text is the %help section of the definition file, with --app the %apphelp section of the app.',
  examples: ['sing run-help fortune.sif', 'sing run-help --app foo fortune.sif'],
  flags: [{ name: 'app', kind: 'string', placeholder: 'name', help: 'show the help of an app' }],
  args: [1, 1],
  run,
}
