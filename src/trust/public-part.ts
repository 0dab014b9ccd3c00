/** The public part of a key: what its fingerprint is made of, and what lists tell without looking at signatures. */

/** Numbers of arbitrary length that the public part of a key has, by algorithm. */
const numbers: Readonly<Record<number, number>> = { 1: 2, 2: 2, 3: 2, 16: 3, 17: 4 }
const fixedSizes: Readonly<Record<number, number>> = { 25: 32, 26: 56, 27: 32, 28: 57 }
const curves = new Set([18, 19, 22])

const bitsAt = (body: Uint8Array, at: number): number => ((body[at] ?? 0) << 8) | (body[at + 1] ?? 0)
const numberEnd = (body: Uint8Array, at: number): number => at + 2 + ((bitsAt(body, at) + 7) >> 3)

export type PublicPart = {
  readonly version: number
  readonly algorithm: number
  /** Seconds since 1970. */
  readonly created: number
  /** As the peers count: of the modulus, or of the encoded point. */
  readonly bits: number
  /** The public part, which the fingerprint is made of. */
  readonly bytes: Uint8Array
}

/** The public part of a key's packet, which begins a private key as well; undefined for keys of other kinds. */
export function publicPartOf(body: Uint8Array): PublicPart | undefined {
  const [version = 0, , , , , algorithm = 0] = body
  if (![4, 5, 6].includes(version)) return undefined
  const created = body.subarray(1, 5).reduce((sum, byte) => sum * 256 + byte, 0)
  const from = version === 4 ? 6 : 10
  const found = numbersOf(body, from, algorithm)
  if (!found || found.end > body.length) return undefined
  return { version, algorithm, created, bits: found.bits, bytes: body.subarray(0, found.end) }
}

function numbersOf(
  body: Uint8Array,
  from: number,
  algorithm: number,
): { bits: number; end: number } | undefined {
  const size = fixedSizes[algorithm]
  if (size !== undefined) return { bits: size * 8, end: from + size }
  const isCurve = curves.has(algorithm)
  const count = isCurve ? 1 : numbers[algorithm]
  if (count === undefined) return undefined
  // A curve is named first, with the length before the name.
  const first = isCurve ? from + 1 + (body[from] ?? 0) : from
  let end = first
  for (let index = 0; index < count; index++) end = numberEnd(body, end)
  // ECDH says how to derive keys behind the point.
  if (algorithm === 18) end += 1 + (body[end] ?? 0)
  return { bits: bitsAt(body, first), end }
}
