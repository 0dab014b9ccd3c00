/** Locks on files, which end with the process that holds them: the engines have none. */

import { addonPath } from './paths.ts'

type Addon = {
  readonly lockFile: (descriptor: number, shared: boolean) => number
  readonly lockRange: (descriptor: number, offset: number, size: number) => number
}

const EAGAIN = 11
const EACCES = 13

/**
 * Take the exclusive lock of an open file; false when somebody else holds it. It ends when the file is closed. Where the file
 * system knows no locks there is nobody to wait for.
 */
export const takeLock = (descriptor: number): boolean => lock(descriptor, false)

/** Take a lock that others may have too, as long as nobody has the exclusive one; false when somebody has. */
export const shareLock = (descriptor: number): boolean => lock(descriptor, true)

/**
 * Keep writers out of a part of a file, as containers do with an ext3 that they only read; false when somebody writes to it. It ends
 * when the file is closed.
 */
export const shareRange = (descriptor: number, offset: number, size: number): boolean =>
  ![EAGAIN, EACCES].includes(addon().lockRange(descriptor, offset, size))

const lock = (descriptor: number, shared: boolean): boolean => addon().lockFile(descriptor, shared) !== EAGAIN

function addon(): Addon {
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  return module.exports
}
