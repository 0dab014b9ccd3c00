/** Locks on files, which end with the process that holds them: the engines have none. */

import { addonPath } from './paths.ts'

type Addon = { readonly lockFile: (descriptor: number, shared: boolean) => number }

const EAGAIN = 11

/**
 * Take the exclusive lock of an open file; false when somebody else holds it. It ends when the file is closed. Where the file
 * system knows no locks there is nobody to wait for.
 */
export const takeLock = (descriptor: number): boolean => lock(descriptor, false)

/** Take a lock that others may have too, as long as nobody has the exclusive one; false when somebody has. */
export const shareLock = (descriptor: number): boolean => lock(descriptor, true)

function lock(descriptor: number, shared: boolean): boolean {
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  return module.exports.lockFile(descriptor, shared) !== EAGAIN
}
