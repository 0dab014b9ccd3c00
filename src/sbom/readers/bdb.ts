/**
 * The headers in `Packages`, the database of rpm before SQLite: a hash of Berkeley DB. Numbers are in the order of the machine
 * that wrote it. A header is longer than what fits into a page with others, and so it is a chain of pages.
 *
 *     page: log (8), number, previous, next (4 each), entries, end or length (2 each), level, kind; from 26 on offsets of entries
 *     entry of kind 3: kind, 3 unused, first page of the chain, length
 */

import { Buffer } from 'node:buffer'
import { damaged } from './text.ts'

const HASH_MAGIC = 0x061561
const HASH_UNSORTED = 2
const HASH = 13
const OFF_PAGE = 3
const headerSize = 26

type Numbers = { readonly u16: (at: number) => number; readonly u32: (at: number) => number }

function numbersOf(file: Buffer): Numbers {
  if (file.length >= 512 && file.readUInt32LE(12) === HASH_MAGIC)
    return { u16: (at) => file.readUInt16LE(at), u32: (at) => file.readUInt32LE(at) }
  if (file.length >= 512 && file.readUInt32BE(12) === HASH_MAGIC)
    return { u16: (at) => file.readUInt16BE(at), u32: (at) => file.readUInt32BE(at) }
  throw damaged('it is no hash of Berkeley DB')
}

/** What a chain of pages holds. Each page is used once. */
function chain(
  file: Buffer,
  first: number,
  length: number,
  pageSize: number,
  { u16, u32 }: Numbers,
  seen: Set<number>,
): Buffer {
  const parts: Buffer[] = []
  let left = length
  for (let number = first; left > 0; ) {
    const start = number * pageSize
    if (number === 0 || start + pageSize > file.length || seen.has(number))
      throw damaged(`page ${number} is not where it should be`)
    seen.add(number)
    const used = u16(start + 22)
    if (used === 0 || used > pageSize - headerSize) throw damaged(`page ${number} is damaged`)
    const part = file.subarray(start + headerSize, start + headerSize + Math.min(left, used))
    parts.push(part)
    left -= part.length
    number = u32(start + 16)
  }
  return Buffer.concat(parts)
}

/** @throws SingError IMAGE_FORMAT when the file is damaged */
export function* bdbHeaders(file: Buffer): Generator<Buffer> {
  const numbers = numbersOf(file)
  const { u16, u32 } = numbers
  const pageSize = u32(20)
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0)
    throw damaged(`its pages have ${pageSize} bytes`)
  const seen = new Set<number>()
  for (let start = pageSize; start + pageSize <= file.length; start += pageSize) {
    const kind = file[start + 25]
    if (kind !== HASH && kind !== HASH_UNSORTED) continue
    const count = u16(start + 20)
    if (headerSize + 2 * count > pageSize) throw damaged(`page ${start / pageSize} is damaged`)
    // Keys and values take turns.
    for (let entry = 1; entry < count; entry += 2) {
      const at = start + u16(start + headerSize + 2 * entry)
      if (at + 12 > start + pageSize || file[at] !== OFF_PAGE) continue
      const length = u32(at + 8)
      if (length > file.length) throw damaged(`a package in it has ${length} bytes`)
      yield chain(file, u32(at + 4), length, pageSize, numbers, seen)
    }
  }
}
