/** `sing buildcfg`: where the parts of the program lie, as scripts around the peers ask for it. */

import { posix } from 'node:path'
import { systemConfigFile } from '../../config/load.ts'
import { SingError, shown } from '../../core/errors.ts'
import { programPath } from '../../native/paths.ts'
import type { Command, Context } from '../command.ts'
import { versionOf } from './version.ts'

function values({ calledAs }: Context): Record<string, string> {
  return {
    PACKAGE_NAME: calledAs,
    PACKAGE_VERSION: versionOf(calledAs),
    LIBEXECDIR: posix.dirname(programPath('sing-starter')),
    SYSCONFDIR: posix.dirname(posix.dirname(systemConfigFile)),
    SINGULARITY_CONFDIR: posix.dirname(systemConfigFile),
    SINGULARITY_CONF_FILE: systemConfigFile,
    SINGULARITY_SUID_INSTALL: '0',
  }
}

export const command: Command = {
  usage: 'buildcfg [name]',
  summary: 'Show where parts of the program lie',
  flags: [],
  args: [0, 1],
  async run({ args: [name], context }) {
    const known = values(context)
    if (name === undefined) {
      context.print(
        Object.entries(known)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(''),
      )
      return 0
    }
    const value = Object.hasOwn(known, name) ? known[name] : undefined
    if (value === undefined) throw new SingError('USAGE', `there is no value named "${shown(name)}"`)
    context.print(`${value}\n`)
    return 0
  },
}
