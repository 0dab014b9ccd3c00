/** `sing version`: the version alone. */

import { singularityVersion, version } from '../../core/version.ts'
import type { Command } from '../command.ts'

/** The version under the name that was used: tools parse the one of `singularity` to learn what it can do. */
export function versionOf(calledAs: 'sing' | 'singularity'): string {
  return calledAs === 'singularity' ? singularityVersion : version
}

export const command: Command = {
  usage: 'version',
  summary: 'Show the version',
  flags: [],
  args: [0, 0],
  async run({ context }) {
    context.print(`${versionOf(context.calledAs)}\n`)
    return 0
  },
}
