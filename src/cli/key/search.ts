/** `sing key search`: the keys of a server whose ids or names have some words. */

import { SingError, shown } from '../../core/errors.ts'
import { serverText } from '../../endpoints/address.ts'
import { algorithmName, type IndexedKey, statusOf } from '../../trust/hkp.ts'
import { searchKeys } from '../../trust/keyserver.ts'
import { showTime } from '../../trust/listing.ts'
import { toJson } from '../../ui/json.ts'
import { toColumns } from '../../ui/table.ts'
import type { Call } from '../command.ts'
import { atServer } from './server.ts'

const timeText = (seconds: number | undefined): string =>
  seconds === undefined ? '' : showTime(new Date(seconds * 1000))

const numberText = (number: number | undefined): string => (number === undefined ? '' : String(number))

/** Rows of the keys, a blank one between two; each further name of a key has a row of its own. */
function table(
  head: readonly string[],
  keys: readonly IndexedKey[],
  cells: (key: IndexedKey) => string[],
): string {
  const rows = keys.flatMap((key, index) => {
    const [first = '', ...more] = key.users
    const own = cells(key)
    const rest = more.map((name) => [...own.map(() => ''), name])
    return [...(index > 0 ? [['']] : []), [...own, first], ...rest]
  })
  return toColumns([head, ...rows], '  ')
}

const shortList = (keys: readonly IndexedKey[]): string =>
  table(['KEY ID', 'BITS', 'NAME/EMAIL'], keys, ({ id, bits }) => [id.slice(-8), numberText(bits)])

function longList(keys: readonly IndexedKey[], now: number): string {
  const head = [
    'FINGERPRINT',
    'ALGORITHM',
    'BITS',
    'CREATION DATE',
    'EXPIRATION DATE',
    'STATUS',
    'NAME/EMAIL',
  ]
  return table(head, keys, (key) => [
    key.id,
    algorithmName(key.algorithm),
    numberText(key.bits),
    timeText(key.created),
    timeText(key.expires),
    `[${statusOf(key, now)}]`,
  ])
}

const keysJson = (keys: readonly IndexedKey[], now: number): string => {
  const time = (seconds: number | undefined) =>
    seconds === undefined ? undefined : new Date(seconds * 1000).toISOString()
  const rows = keys.map((key) => ({
    fingerprint: key.id,
    algorithm: algorithmName(key.algorithm),
    bits: key.bits,
    created: time(key.created),
    expires: time(key.expires),
    status: statusOf(key, now),
    users: key.users,
  }))
  return toJson(rows)
}

export async function search(call: Call): Promise<number> {
  const { args, flags, context } = call
  const [words = ''] = args
  const keys = await atServer(call, 'searching keys', async (server, options) => {
    const found = await searchKeys(server, words, options)
    if (found.length > 0) return found
    throw new SingError(
      'KEYSERVER',
      `no matching keys found: ${shown(serverText(server.url))} knows nothing of ${shown(words)}`,
      {
        hint: 'Some servers know whole addresses and fingerprints only',
      },
    )
  })
  const now = Date.now() / 1000
  if (flags.json === true) context.print(keysJson(keys, now))
  else {
    const list = flags['long-list'] === true ? longList(keys, now) : shortList(keys)
    context.print(`Showing ${keys.length} results\n\n${list}`)
  }
  return 0
}
