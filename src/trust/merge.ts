/** Brings copies of one key together. */

import type { Key } from 'openpgp'
import { type KeyBlock, sameBytes, toBlock } from './blocks.ts'
import { loadPublic } from './keys.ts'

export const blockOf = (key: Key): KeyBlock => toBlock(key.write())

/** What two copies of a public key say together; the first one when the second has no news. */
export async function mergeKeys(one: KeyBlock, other: KeyBlock): Promise<KeyBlock> {
  if (sameBytes(one.bytes, other.bytes)) return one
  const [old, news] = await Promise.all([loadPublic(one), loadPublic(other)])
  const merged = await old.update(news)
  return sameBytes(merged.write(), old.write()) ? one : blockOf(merged)
}
