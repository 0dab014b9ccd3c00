/** `sing capability ...`: the capabilities there are. Grants to users need a privileged runtime, so there are none. */

import { SingError } from '../../core/errors.ts'
import { allCapabilities, parseCapabilities } from '../../plan/capabilities.ts'
import type { Call, Command } from '../command.ts'
import type { Flag } from '../options.ts'

const owner: readonly Flag[] = [
  { name: 'user', short: 'u', kind: 'string', env: ['CAP_USER'], placeholder: 'name', help: 'of a user' },
  { name: 'group', short: 'g', kind: 'string', env: ['CAP_GROUP'], placeholder: 'name', help: 'of a group' },
]

async function refuse({ words }: Call): Promise<number> {
  throw new SingError('UNSUPPORTED', `${words.join(' ')} cannot be used: only a setuid program could`, {
    hint: 'Root has its capabilities anyway; with --fakeroot a user has all of them over files and processes of the own namespace',
  })
}

const grants = 'Nobody is granted any: sing has no privilege that it could hand on.'

export const subcommands: Readonly<Record<string, Command>> = {
  avail: {
    usage: 'capability avail [capability...]',
    summary: 'List the capabilities that exist',
    examples: ['sing capability avail'],
    flags: [],
    args: [0, Number.POSITIVE_INFINITY],
    async run({ args, context }) {
      const names = args.length > 0 ? parseCapabilities('capability', args) : allCapabilities
      context.print(names.map((name) => `${name}\n`).join(''))
      return 0
    },
  },
  list: {
    usage: 'capability list [user|group]',
    summary: 'List the capabilities that users were granted',
    description: grants,
    examples: ['sing capability list'],
    flags: owner,
    args: [0, 1],
    async run({ context }) {
      context.report({ kind: 'info', text: grants })
      return 0
    },
  },
  add: {
    usage: 'capability add [options] <capabilities>',
    summary: 'Refused: users cannot be granted capabilities',
    flags: owner,
    args: [0, Number.POSITIVE_INFINITY],
    run: refuse,
  },
  drop: {
    usage: 'capability drop [options] <capabilities>',
    summary: 'Refused: users have no capabilities to take away',
    flags: owner,
    args: [0, Number.POSITIVE_INFINITY],
    run: refuse,
  },
}
