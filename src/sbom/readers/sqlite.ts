/**
 * The rows of a table in an SQLite file (sqlite.org/fileformat2.html), as far as a list of packages needs them: tables with
 * rowids, read from first to last. A pointer that leads nowhere, or back, is damage.
 *
 *     file: pages; page 1 begins with a header of 100 bytes and is the root of the table of tables
 *     page of a table: 5 inner (pointers to pages), 13 leaf (cells: size, rowid, record; what does not fit goes on in a chain)
 */

import { Buffer } from 'node:buffer'
import { damaged } from './text.ts'

export type Value = number | string | Buffer | null

const magic = 'SQLite format 3\0'
const INNER = 5
const LEAF = 13

/** A variable-length integer, and where the next thing begins. */
function varint(bytes: Buffer, at: number): [value: number, next: number] {
  let value = 0
  for (let count = 0; count < 9; count += 1) {
    const byte = bytes[at + count]
    if (byte === undefined) break
    if (count === 8) return [value * 256 + byte, at + 9]
    value = value * 128 + (byte & 127)
    if (byte < 128) return [value, at + count + 1]
  }
  throw damaged('a number in it has no end')
}

class Database {
  readonly #bytes: Buffer
  readonly #pageSize: number
  readonly #usable: number
  /** Every page is a part of one thing only. */
  readonly #seen = new Set<number>()

  constructor(bytes: Buffer) {
    if (bytes.length < 512 || bytes.toString('latin1', 0, 16) !== magic)
      throw damaged('it is no database of SQLite')
    const size = bytes.readUInt16BE(16)
    this.#bytes = bytes
    this.#pageSize = size === 1 ? 65536 : size
    this.#usable = this.#pageSize - (bytes[20] ?? 0)
    if (this.#pageSize < 512 || this.#usable < 480) throw damaged(`its pages have ${size} bytes`)
  }

  #page(number: number): Buffer {
    const page = this.#bytes.subarray((number - 1) * this.#pageSize, number * this.#pageSize)
    if (number < 1 || page.length < this.#pageSize) throw damaged(`it ends before page ${number}`)
    if (this.#seen.has(number)) throw damaged(`page ${number} is used twice`)
    this.#seen.add(number)
    return page
  }

  /** The records of a table, from its root on. */
  *records(root: number): Generator<Buffer> {
    const pending = [root]
    for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
      const page = this.#page(number)
      const start = number === 1 ? 100 : 0
      const kind = page[start]
      const count = page.readUInt16BE(start + 3)
      const pointers = start + (kind === INNER ? 12 : 8)
      if ((kind !== INNER && kind !== LEAF) || pointers + 2 * count > page.length)
        throw damaged(`page ${number} is no page of a table`)
      const cells = Array.from({ length: count }, (_, index) => page.readUInt16BE(pointers + 2 * index))
      if (cells.some((cell) => cell < pointers || cell + 4 > page.length))
        throw damaged(`page ${number} leads out of itself`)
      if (kind === LEAF) for (const cell of cells) yield this.#payload(page, cell)
      else
        pending.push(page.readUInt32BE(start + 8), ...cells.map((cell) => page.readUInt32BE(cell)).reverse())
    }
  }

  /** What a cell holds, put together from its chain. */
  #payload(page: Buffer, cell: number): Buffer {
    const [size, behind] = varint(page, cell)
    const [, start] = varint(page, behind)
    const most = this.#usable - 35
    if (size <= most) {
      if (start + size > page.length) throw damaged('a record in it has no end')
      return page.subarray(start, start + size)
    }
    if (size > this.#bytes.length) throw damaged(`a record in it has ${size} bytes`)
    const least = Math.floor(((this.#usable - 12) * 32) / 255) - 23
    const fitting = least + ((size - least) % (this.#usable - 4))
    const here = fitting <= most ? fitting : least
    if (start + here + 4 > page.length) throw damaged('a record in it has no end')
    const parts = [page.subarray(start, start + here)]
    let next = page.readUInt32BE(start + here)
    for (let left = size - here; left > 0; ) {
      const more = this.#page(next)
      const part = more.subarray(4, 4 + Math.min(left, this.#usable - 4))
      parts.push(part)
      left -= part.length
      next = more.readUInt32BE(0)
    }
    return Buffer.concat(parts)
  }
}

const integerSizes = [0, 1, 2, 3, 4, 6, 8]

function columnOf(type: number, bytes: Buffer): Value {
  if (type === 0) return null
  if (type === 8 || type === 9) return type - 8
  if (type === 7) return bytes.readDoubleBE()
  if (type === 6) return Number(bytes.readBigInt64BE())
  if (type < 6) return bytes.readIntBE(0, bytes.length)
  return type % 2 === 0 ? bytes : bytes.toString()
}

function sizeOf(type: number): number {
  if (type === 10 || type === 11) throw damaged('a record in it holds what no file does')
  if (type >= 12) return Math.floor((type - 12) / 2)
  return type === 7 ? 8 : (integerSizes[type] ?? 0)
}

/** The columns of a record. */
function valuesOf(record: Buffer): Value[] {
  const [headerEnd, first] = varint(record, 0)
  const values: Value[] = []
  let data = headerEnd
  for (let at = first; at < headerEnd; ) {
    const [type, next] = varint(record, at)
    const size = sizeOf(type)
    if (data + size > record.length) throw damaged('a record in it has no end')
    values.push(columnOf(type, record.subarray(data, data + size)))
    data += size
    at = next
  }
  return values
}

/** The rows of a table; the column that is the rowid is null. @throws SingError IMAGE_FORMAT when the file is damaged */
export function* tableRows(file: Buffer, table: string): Generator<Value[]> {
  const database = new Database(file)
  const tables = [...database.records(1)].map(valuesOf)
  const root = tables.find(([type, name]) => type === 'table' && name === table)?.[3]
  if (typeof root !== 'number') throw damaged(`it has no table ${table}`)
  for (const record of database.records(root)) yield valuesOf(record)
}
