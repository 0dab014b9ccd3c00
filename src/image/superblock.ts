/** The first bytes of a squashfs: enough to refuse in one sentence what the mount would refuse in none. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'

export const superblockLength = 96
const compressions = 6

/** True when the bytes begin like a squashfs. */
export function isSquashfs(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 4)).toString('latin1') === 'hsqs'
}

/**
 * Check the superblock (96 bytes) of a squashfs for which the file has `available` bytes.
 * Throws IMAGE_FORMAT naming `path` when it is none, of another version, or cut off.
 */
export function checkSuperblock(bytes: Uint8Array, available: number, path: string): void {
  const refuse = (reason: string, hint?: string): never => {
    throw new SingError('IMAGE_FORMAT', `cannot open ${shown(path)}: ${reason}`, { hint })
  }
  const block = Buffer.from(bytes)
  if (block.length < superblockLength) refuse('its file system is cut off', damaged)
  if (!isSquashfs(block)) refuse('its file system does not begin like a squashfs', damaged)
  const compression = block.readUInt16LE(20)
  const major = block.readUInt16LE(28)
  const used = Number(block.readBigUInt64LE(40))
  if (major !== 4) refuse(`its squashfs has version ${major}; only version 4 can be read`)
  if (compression < 1 || compression > compressions) {
    refuse(`its squashfs uses an unknown compression (${compression})`, damaged)
  }
  if (used > available)
    refuse(`its squashfs is cut off (${used} bytes, the file has ${available} of them)`, damaged)
}

const damaged = 'The file is cut off or damaged; fetch or build it again.'
