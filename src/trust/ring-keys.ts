/** Finds keys in rings: those that check signatures by their ids, those that sign by number, fingerprint or name. */

import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { KeyBlock } from './blocks.ts'
import { formatUserId, loadPublic, userIdsOf } from './keys.ts'
import { mergeKeys } from './merge.ts'
import { type KeyPlace, type KeyPlaces, placesWith, type RingKind } from './places.ts'
import { type PlacedRing, readRings } from './rings.ts'
import type { FindKey, FoundKey, Origin } from './types.ts'

/** A key in a list: numbers go on from ring to ring. */
export type NumberedKey = { readonly number: number; readonly place: KeyPlace; readonly block: KeyBlock }

/** All keys of a kind in these rings, numbered as lists show them. */
export function numberKeys(rings: readonly PlacedRing[], kind: RingKind): NumberedKey[] {
  const found = rings.flatMap(({ place, ring }) =>
    ring.keys.filter(({ isSecret }) => kind === 'public' || isSecret).map((block) => ({ place, block })),
  )
  return found.map((entry, number) => ({ ...entry, number }))
}

/** The private keys that somebody may sign with. */
export const secretKeys = (places: KeyPlaces, report: Report): NumberedKey[] =>
  numberKeys(readRings(placesWith(places), 'secret', report), 'secret')

const words = (kind: RingKind): string => (kind === 'secret' ? 'private key' : 'public key')
const list = (kind: RingKind): string => (kind === 'secret' ? 'sing key list --secret' : 'sing key list')

function matches({ block }: NumberedKey, text: string): boolean {
  const digits = text.replace(/\s+/g, '').replace(/^0x/i, '').toUpperCase()
  const isId = /^[0-9A-F]{8,64}$/.test(digits)
  if (isId && (block.fingerprint?.endsWith(digits) || block.ids.some((id) => id.endsWith(digits))))
    return true
  return userIdsOf(block).some((user) => formatUserId(user).toLowerCase().includes(text.toLowerCase()))
}

const inAll = (count: number): string =>
  count > 1 ? `they go from 0 to ${count - 1}` : `there is ${count === 0 ? 'none' : 'only number 0'}`

/**
 * The key that somebody means: its number in the list, its fingerprint or the end of it, or a part of its user id.
 * @throws SingError KEY when there is none, or several
 */
export function chooseKey(keys: readonly NumberedKey[], text: string, kind: RingKind): NumberedKey {
  const hint = `See: ${list(kind)}`
  // It would be a part of every name.
  if (text.trim() === '') throw new SingError('KEY', `no ${words(kind)} was named`, { hint })
  if (/^\d{1,5}$/.test(text)) {
    const numbered = keys[Number(text)]
    if (numbered) return numbered
    throw new SingError('KEY', `there is no ${words(kind)} number ${text}: ${inAll(keys.length)}`, {
      hint,
    })
  }
  const found = keys.filter((key) => matches(key, text))
  const prints = new Set(found.map(({ block }) => block.fingerprint))
  if (found[0] && prints.size === 1) return found[0]
  if (prints.size === 0) throw new SingError('KEY', `there is no ${words(kind)} ${shown(text)}`, { hint })
  throw new SingError('KEY', `${shown(text)} names ${prints.size} keys: ${[...prints].join(', ')}`, {
    hint: 'Name the one by its fingerprint',
  })
}

type Copy = { readonly block: KeyBlock; readonly origin: Origin }

/** All public keys in the order that they count: the site's, then the user's. */
function allCopies(places: KeyPlaces, report: Report): Copy[] {
  const copies = (from: readonly KeyPlace[], origin: Origin): Copy[] =>
    readRings(from, 'public', report).flatMap(({ ring }) => ring.keys.map((block) => ({ block, origin })))
  return [...copies(places.global, 'global'), ...copies(placesWith(places), 'local')]
}

/** Copies of one key as one: a revocation or an expiry that any of them knows holds for all. */
async function mergeCopies(copies: readonly Copy[], fingerprint: string | undefined): Promise<FoundKey> {
  const [first, ...more] = copies.filter(({ block }) => block.fingerprint === fingerprint)
  if (!first) throw new SingError('INTERNAL', `no copy of ${fingerprint}`)
  let known = first.block
  for (const { block } of more) known = await mergeKeys(known, block)
  return { key: await loadPublic(known), origin: first.origin }
}

/** Whether the primary key says that the part with this id belongs to it: anybody can put another's subkey into a key. */
async function owns({ key }: FoundKey, keyId: string): Promise<boolean> {
  const id = keyId.toLowerCase()
  if (key.getKeyID().toHex() === id) return true
  const part = key.subkeys.find((subkey) => subkey.getKeyID().toHex() === id)
  const binding = await part?.verify().catch(() => undefined)
  return binding !== undefined
}

/** The key whose part has an id; one that only claims to have it when there is no other. */
async function findCopy(keyId: string, copies: readonly Copy[]): Promise<FoundKey | undefined> {
  const claiming = copies.filter(({ block }) => block.ids.includes(keyId))
  const prints = [...new Set(claiming.map(({ block }) => block.fingerprint))]
  if (prints.length === 0) return undefined
  const found = await Promise.all(prints.map((print) => mergeCopies(claiming, print)))
  for (const one of found) if (await owns(one, keyId)) return one
  return found[0]
}

/** Look keys up in the rings of the site, then in those of the user. The rings are read once, when the first key is wanted. */
export function findInRings(places: KeyPlaces, report: Report): FindKey {
  let copies: readonly Copy[] | undefined
  return async (keyId) => {
    copies ??= allCopies(places, report)
    return await findCopy(keyId.toUpperCase(), copies)
  }
}
