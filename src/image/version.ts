/** A file as it is now: which one it is, and when anything of it was changed last. */

import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { SingError, shown } from '../core/errors.ts'

const second = 1_000_000_000n

/**
 * `device:inode:size:seconds.nanoseconds`. The time is that of the last change of the inode, which the kernel sets at each write and
 * nobody else can. The starter makes the same text (addon/starter/inputs.c).
 */
export function versionOf(fd: number): string {
  const { dev, ino, size, ctimeNs } = fstatSync(fd, { bigint: true })
  const nanoseconds = String(ctimeNs % second).padStart(9, '0')
  return `${dev}:${ino}:${size}:${ctimeNs / second}.${nanoseconds}`
}

/** @throws SingError POLICY when an open file is no longer what it was */
export function requireVersion(fd: number, version: string, path: string): void {
  if (versionOf(fd) === version) return
  throw new SingError('POLICY', `cannot start ${shown(path)}: it was changed while it was verified`, {
    hint: 'Once nobody writes to it: try again',
  })
}

/** A file that is known by its version, and a path of it that stays the same as long as it is open. */
export type Held = Disposable & { readonly fd: number; readonly path: string }

/** @throws SingError POLICY when the path leads to something else by now */
export function holdVersion(path: string, version: string): Held {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const held = { fd, path: `/proc/self/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) }
  try {
    requireVersion(fd, version, path)
    return held
  } catch (error) {
    closeSync(fd)
    throw error
  }
}
