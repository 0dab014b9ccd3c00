/** Keys as a ring keeps them: bytes that are kept as they came, and the names that others find them by. */

import { createHash } from 'node:crypto'
import { packetAt, packetsOf, splitKeys, tags } from './packets.ts'
import { type PublicPart, publicPartOf } from './public-part.ts'

export type KeyBlock = {
  readonly bytes: Uint8Array
  readonly isSecret: boolean
  /** Upper case; undefined for a key of a kind that nobody can use any more. */
  readonly fingerprint: string | undefined
  /** Ids of the primary key and the subkeys: 16 digits, upper case. */
  readonly ids: readonly string[]
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').toUpperCase()

/** RFC 9580 section 5.5.4: what comes before the public part in the hash depends on the version. */
function fingerprintOf({ version, bytes }: PublicPart): string {
  const prefix = Buffer.alloc(version === 4 ? 3 : 5)
  if (version === 4) {
    prefix[0] = 0x99
    prefix.writeUInt16BE(bytes.length & 0xffff, 1)
  } else {
    prefix[0] = version === 5 ? 0x9a : 0x9b
    prefix.writeUInt32BE(bytes.length, 1)
  }
  const hash = createHash(version === 4 ? 'sha1' : 'sha256')
  return hex(hash.update(prefix).update(bytes).digest())
}

const idOf = (fingerprint: string): string =>
  fingerprint.length === 40 ? fingerprint.slice(-16) : fingerprint.slice(0, 16)

/** The public part of the primary key of a block. */
export const primaryOf = ({ bytes }: Pick<KeyBlock, 'bytes'>): PublicPart | undefined =>
  publicPartOf(packetAt(bytes, 0)?.body ?? bytes)

/** What a block of packets is, without looking at its signatures. */
export function toBlock(bytes: Uint8Array): KeyBlock {
  const packets = packetsOf(bytes) ?? []
  const keys = packets.filter(({ tag }) =>
    [tags.publicKey, tags.secretKey, tags.publicSubkey, tags.secretSubkey].some((known) => known === tag),
  )
  const prints = keys.map(({ body }) => publicPartOf(body)).map((found) => found && fingerprintOf(found))
  return {
    bytes,
    isSecret: packets[0]?.tag === tags.secretKey,
    fingerprint: prints[0],
    ids: prints.filter((print) => print !== undefined).map(idOf),
  }
}

export type Blocks = { readonly keys: readonly KeyBlock[]; readonly damage: readonly Uint8Array[] }

/** The keys in the bytes of a ring, and what is none. */
export function toBlocks(bytes: Uint8Array): Blocks {
  const { keys, damage } = splitKeys(bytes)
  return { keys: keys.map(toBlock), damage }
}

export const sameBytes = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0
