/**
 * The headers in `Packages.db`, the database of rpm on SUSE. All numbers are little-endian:
 *
 *     file: RpmP, version, generation, pages of slots; then slots: Slot, package, block, count of blocks; then blobs
 *     blob: BlbS, package, generation, length, the header of the package; blocks have 16 bytes
 */

import type { Buffer } from 'node:buffer'
import { damaged } from './text.ts'

const pageSize = 4096
const slotSize = 16
const blockSize = 16
const FILE = 'RpmP'
const SLOT = 'Slot'
const BLOB = 'BlbS'

const word = (bytes: Buffer, at: number): string => bytes.toString('latin1', at, at + 4)

/** @throws SingError IMAGE_FORMAT when the file is damaged */
export function* ndbHeaders(file: Buffer): Generator<Buffer> {
  if (file.length < pageSize || word(file, 0) !== FILE) throw damaged('it is no database of rpm')
  const end = file.readUInt32LE(12) * pageSize
  if (end > file.length) throw damaged('it ends in its list of packages')
  const seen = new Set<number>()
  // The header of the file takes the place of two slots.
  for (let slot = 2 * slotSize; slot < end; slot += slotSize) {
    const number = file.readUInt32LE(slot + 4)
    if (word(file, slot) !== SLOT) throw damaged('its list of packages is damaged')
    if (number === 0) continue
    const start = file.readUInt32LE(slot + 8) * blockSize
    if (seen.has(start)) throw damaged(`package ${number} is there twice`)
    seen.add(start)
    if (
      start + blockSize > file.length ||
      word(file, start) !== BLOB ||
      file.readUInt32LE(start + 4) !== number
    )
      throw damaged(`package ${number} is not where it should be`)
    const length = file.readUInt32LE(start + 12)
    if (start + blockSize + length > file.length) throw damaged(`package ${number} ends behind the file`)
    yield file.subarray(start + blockSize, start + blockSize + length)
  }
}
