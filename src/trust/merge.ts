/** Brings copies of one key together. */

import type { Key, PrivateKey } from 'openpgp'
import { type KeyBlock, sameBytes, toBlock } from './blocks.ts'
import { loadKey, loadPublic } from './keys.ts'

export const blockOf = (key: Key): KeyBlock => toBlock(key.write())

/** What two copies of a public key say together; the first one when the second has no news. */
export async function mergeKeys(one: KeyBlock, other: KeyBlock): Promise<KeyBlock> {
  if (sameBytes(one.bytes, other.bytes)) return one
  const [old, news] = await Promise.all([loadPublic(one), loadPublic(other)])
  const merged = await old.update(news)
  return sameBytes(merged.write(), old.write()) ? one : blockOf(merged)
}

/** A private key that knows what is public of it: its revocation, most of all. The same one when that is nothing new. */
export async function refreshPrivate(secret: KeyBlock, known: KeyBlock): Promise<KeyBlock> {
  const key = (await loadKey(secret)) as PrivateKey
  const fresh = await key.update(await loadPublic(known))
  return sameBytes(fresh.write(), key.write()) ? secret : blockOf(fresh)
}
