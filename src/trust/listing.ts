/** The text of lists of keys, as scripts around the peers read it. */

import { shown } from '../core/errors.ts'
import type { KeyFacts, UserId } from './keys.ts'
import type { RingKind } from './places.ts'

/** A list: one file of keys. */
export type Listing = {
  readonly path: string
  readonly kind: RingKind
  /** The number of its first key: numbers go on from list to list. */
  readonly first: number
  readonly keys: readonly KeyFacts[]
}

/** As the peers write it, `2026-11-23 06:44:09 +0000 UTC`. */
export const showTime = (date: Date): string =>
  date
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' +0000 UTC')

const showUser = ({ name, comment, email }: UserId): string =>
  `${shown(name)} (${shown(comment)}) <${shown(email)}>`

const line = (label: string, value: string): string => `    ${`${label}:`.padEnd(19)}${value}`.trimEnd()

/** What the peers do not show stands on lines of its own, and only where there is something to tell. */
function stateLines({ expires, state, reason }: KeyFacts): string[] {
  const mark = state === 'good' ? '' : `[${state}]`
  const why = reason ? ` ${shown(reason)}` : ''
  return [
    ...(expires ? [line('Expires', showTime(expires) + (state === 'expired' ? ` ${mark}` : ''))] : []),
    ...(mark && !(expires && state === 'expired') ? [line('Status', mark + why)] : []),
  ]
}

/** One key under its number. */
function keyText(facts: KeyFacts, number: number): string {
  const users = facts.users.length > 0 ? facts.users : [{ name: '', comment: '', email: '' }]
  return [
    ...users.map((user) => `${number})  User:`.padEnd(23) + showUser(user)),
    line('Creation time', showTime(facts.created)),
    line('Fingerprint', facts.fingerprint),
    line('Length (in bits)', `${facts.bits}`),
    ...stateLines(facts),
    '',
    '',
  ].join('\n')
}

export const keysText = (keys: readonly KeyFacts[], first = 0): string =>
  keys.map((facts, index) => keyText(facts, first + index)).join('')

export function listingText({ path, kind, first, keys }: Listing): string {
  const title = kind === 'secret' ? 'Private' : 'Public'
  return `${title} key listing (${shown(path)}):\n\n${keysText(keys, first)}`
}

const toJson = (kind: RingKind, number: number, facts: KeyFacts) => ({
  index: number,
  fingerprint: facts.fingerprint,
  users: facts.users,
  created: facts.created.toISOString(),
  expires: facts.expires?.toISOString() ?? null,
  bits: facts.bits,
  state: facts.state,
  ...(facts.reason !== undefined && { reason: facts.reason }),
  ...(kind === 'secret' && { protection: facts.protection ?? null }),
})

export const listingJson = ({ path, kind, first, keys }: Listing) => ({
  ring: path,
  kind,
  keys: keys.map((facts, index) => toJson(kind, first + index, facts)),
})
