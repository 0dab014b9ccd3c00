/** The ids of a user who has a range of subordinate ones. */

import { existsSync, readFileSync } from 'node:fs'
import type { LaunchSpec } from '../../src/plan/spec.ts'
import { testUser } from '../helpers/sing.ts'

const { uid, gid, name } = testUser()

function subids(file: string): { start: number; count: number } | undefined {
  const line = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  const [, start, count] = line.find((entry) => entry.startsWith(`${name}:`))?.split(':') ?? []
  return start && count ? { start: Number(start), count: Number(count) } : undefined
}

const [uids, gids] = [subids('/etc/subuid'), subids('/etc/subgid')]

/** Root, who is the user, and the range. */
export function mappedIds(newuidmap = '/usr/bin/newuidmap'): LaunchSpec['ids'] {
  const range = (own: number, more: { start: number; count: number } | undefined) => [
    { inside: 0, outside: own, count: 1 },
    { inside: 1, outside: more?.start ?? 0, count: more?.count ?? 0 },
  ]
  const mapper = { newuidmap, newgidmap: '/usr/bin/newgidmap' }
  return { uids: range(uid, uids), gids: range(gid, gids), mapper, setgroups: 'allow' }
}
