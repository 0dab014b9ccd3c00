/** The superblock of an ext3: enough to refuse in one sentence what a mount would refuse in none. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'

/** The superblock and the 1024 bytes before it. */
export const ext3Length = 2048

const superblock = 1024
const damaged = 'The file is cut off or damaged; make or fetch it again.'

/** True when the bytes begin like an ext2, ext3 or ext4. */
export function isExt3(bytes: Uint8Array): boolean {
  return bytes[superblock + 56] === 0x53 && bytes[superblock + 57] === 0xef
}

/**
 * Check the beginning of an ext3 (`ext3Length` bytes) for which the file has `available` bytes.
 * Throws IMAGE_FORMAT naming `path` when it is none, or cut off.
 */
export function checkExt3(bytes: Uint8Array, available: number, path: string): void {
  const refuse = (reason: string): never => {
    throw new SingError('IMAGE_FORMAT', `cannot open ${shown(path)}: ${reason}`, { hint: damaged })
  }
  const block = Buffer.from(bytes)
  if (block.length < ext3Length) refuse('its file system is cut off')
  if (!isExt3(block)) refuse('its file system does not begin like an ext3')
  const shift = block.readUInt32LE(superblock + 24)
  if (shift > 6) refuse('its ext3 has blocks of an impossible size')
  const used = block.readUInt32LE(superblock + 4) * 1024 * 2 ** shift
  if (used > available) refuse(`its ext3 is cut off (${used} bytes, the file has ${available} of them)`)
}
