/** Locks on files, which end with the process that holds them: the engines have none. */

import { addonPath } from './paths.ts'

type Addon = { readonly lockFile: (descriptor: number) => number }

const EAGAIN = 11

/**
 * Take the exclusive lock of an open file; false when somebody else holds it. It ends when the file is closed. Where the file
 * system knows no locks there is nobody to wait for.
 */
export function takeLock(descriptor: number): boolean {
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  return module.exports.lockFile(descriptor) !== EAGAIN
}
