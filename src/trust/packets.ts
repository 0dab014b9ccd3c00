/**
 * Cuts the bytes of a ring into keys (RFC 9580 section 4): packets that begin with a primary key and reach to the next one. One
 * damaged key does not hide the others, so damage is cut out up to where the next key begins.
 */

export type Packet = {
  readonly tag: number
  readonly start: number
  readonly end: number
  readonly body: Uint8Array
}

/** Tags of packets (RFC 9580 section 5). */
export const tags = {
  signature: 2,
  secretKey: 5,
  publicKey: 6,
  secretSubkey: 7,
  userId: 13,
  publicSubkey: 14,
} as const

const keyTags = new Set<number>([tags.secretKey, tags.publicKey])
/** What may belong to a key: also markers, trust, attributes and padding. */
const partTags = new Set<number>([
  tags.signature,
  tags.secretSubkey,
  tags.publicSubkey,
  tags.userId,
  10,
  12,
  17,
  21,
])
/** Algorithms of keys (RFC 9580 section 9.1). */
const algorithms = new Set([1, 2, 3, 16, 17, 18, 19, 22, 25, 26, 27, 28])

const packetLimit = 8 * 1024 * 1024
/** Looking for the next key is slow where everything is damaged. */
const damageLimit = 200

type Length = { readonly size: number; readonly used: number }

/** Length in the way of today: one, two or five octets. A key has no partial lengths. */
function newLength(bytes: Uint8Array, at: number): Length | undefined {
  const [a = -1, b = -1] = bytes.subarray(at, at + 2)
  if (a >= 0 && a < 192) return { size: a, used: 1 }
  if (a < 224) return b < 0 ? undefined : { size: ((a - 192) << 8) + b + 192, used: 2 }
  return a === 255 ? wideLength(bytes, at + 1, 4, 5) : undefined
}

function wideLength(bytes: Uint8Array, at: number, width: number, used: number): Length | undefined {
  if (at + width > bytes.length) return undefined
  const size = bytes.subarray(at, at + width).reduce((sum, byte) => sum * 256 + byte, 0)
  return { size, used }
}

/** The packet at an offset; undefined when there is none that fits. */
export function packetAt(bytes: Uint8Array, start: number): Packet | undefined {
  const head = bytes[start] ?? 0
  if ((head & 0x80) === 0) return undefined
  const isNew = (head & 0x40) !== 0
  const width = 1 << (head & 3)
  const length = isNew
    ? newLength(bytes, start + 1)
    : width === 8
      ? undefined
      : wideLength(bytes, start + 1, width, width)
  if (!length || length.size > packetLimit) return undefined
  const from = start + 1 + length.used
  const end = from + length.size
  if (end > bytes.length) return undefined
  return { tag: isNew ? head & 0x3f : (head >> 2) & 0xf, start, end, body: bytes.subarray(from, end) }
}

/** All packets of bytes that are nothing else; undefined when they are. */
export function packetsOf(bytes: Uint8Array): Packet[] | undefined {
  const found: Packet[] = []
  for (let at = 0; at < bytes.length; ) {
    const packet = packetAt(bytes, at)
    if (!packet) return undefined
    found.push(packet)
    at = packet.end
  }
  return found
}

const isKey = ({ tag, body }: Packet): boolean =>
  keyTags.has(tag) && body.length > 6 && (body[0] ?? 0) >= 2 && (body[0] ?? 0) <= 6

/** Whether a key begins here, for who lost the way: its head is plausible, and so is what follows. */
function beginsKey(bytes: Uint8Array, at: number): boolean {
  const packet = packetAt(bytes, at)
  if (!packet || !isKey(packet) || !algorithms.has(packet.body[5] ?? 0)) return false
  if (packet.end === bytes.length) return true
  const next = packetAt(bytes, packet.end)
  return next !== undefined && (partTags.has(next.tag) || isKey(next))
}

/** Where the next key begins, from an offset on; `end` when there is none before it. */
function nextKey(bytes: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at++) if (beginsKey(bytes, at)) return at
  return end
}

const hasSignedName = (packets: readonly Packet[]): boolean =>
  packets.some(({ tag }, index) => tag === tags.signature && packets[index - 1]?.tag === tags.userId)

/** The end of a key whose packets are followed by damage: of what is sound in it, if that has a signed user id. */
function soundEnd(bytes: Uint8Array, packets: readonly Packet[]): number | undefined {
  const last = packets.at(-1)
  if (!last) return undefined
  // A wrong length swallows the beginning of the next key.
  const isWrong = nextKey(bytes, last.start + 1, last.end) < last.end
  if (!hasSignedName(isWrong ? packets.slice(0, -1) : packets)) return undefined
  return isWrong ? last.start : last.end
}

/** Where the key that begins at `start` ends: at the next one, or before what is damaged. Undefined when it is no key. */
function endOfKey(bytes: Uint8Array, start: number): number | undefined {
  const packets: Packet[] = []
  for (let at = start; ; ) {
    const packet = packetAt(bytes, at)
    const isFirst = at === start
    if (isFirst && !(packet && isKey(packet))) return undefined
    if (!isFirst && (at === bytes.length || (packet && isKey(packet)))) return at
    if (!packet || (!isFirst && !partTags.has(packet.tag))) return soundEnd(bytes, packets)
    packets.push(packet)
    at = packet.end
  }
}

export type Split = {
  /** Packets of one key each, as they were. */
  readonly keys: readonly Uint8Array[]
  /** What lies between them and is no key, or one no longer. */
  readonly damage: readonly Uint8Array[]
}

/** The keys in the bytes of a ring. */
export function splitKeys(bytes: Uint8Array): Split {
  const keys: Uint8Array[] = []
  const damage: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = endOfKey(bytes, at)
    const next = end ?? (damage.length < damageLimit ? nextKey(bytes, at + 1, bytes.length) : bytes.length)
    const piece = bytes.subarray(at, next)
    if (end === undefined) damage.push(piece)
    else keys.push(piece)
    at = next
  }
  return { keys, damage }
}
