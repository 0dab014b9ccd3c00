/**
 * Caches of one process, for when the real one may not or cannot be used: a temporary directory that is removed at the end.
 * The lock in it tells those of killed processes from those of living ones.
 */

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { takeLock } from '../native/lock.ts'

const prefix = 'sing-cache-'
const lockName = 'lock'

export type PrivateCache = Disposable & { readonly root: string }

/** The lock of such a directory; undefined when somebody else has it or there is none. */
function lockOf(directory: string, flags: number): number | undefined {
  let fd: number
  try {
    fd = openSync(join(directory, lockName), constants.O_RDWR | constants.O_NOFOLLOW | flags, 0o600)
  } catch {
    return undefined
  }
  const named = statSync(join(directory, lockName), { throwIfNoEntry: false })
  if (takeLock(fd) && named?.ino === fstatSync(fd).ino) return fd
  closeSync(fd)
  return undefined
}

function removeIfAbandoned(directory: string): void {
  const lock = lockOf(directory, 0)
  if (lock !== undefined) {
    rmSync(directory, { recursive: true, force: true })
    closeSync(lock)
    return
  }
  try {
    // Empty: its process was killed before it made the lock. Any other is in use.
    rmdirSync(directory)
  } catch {
    // In use.
  }
}

/** Remove what processes of this user left in the directory because they were killed. */
export function removeAbandonedCaches(parent: string): void {
  const uid = process.geteuid?.()
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue
    const path = join(parent, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats?.isDirectory() && stats.uid === uid) removeIfAbandoned(path)
  }
}

/** A directory with our lock in it. Another process may take it for an abandoned one before it has the lock. */
function makeLocked(parent: string): { root: string; lock: number } {
  for (;;) {
    const root = mkdtempSync(join(parent, prefix))
    const lock = lockOf(root, constants.O_CREAT)
    if (lock !== undefined) return { root, lock }
    rmSync(root, { recursive: true, force: true })
  }
}

/** Make a cache for this process alone below `parent`. It goes when it is disposed of, at the latest with the process. */
export function makePrivateCache(parent: string): PrivateCache {
  let made: { root: string; lock: number }
  try {
    made = makeLocked(parent)
    removeAbandonedCaches(parent)
  } catch (cause) {
    throw new SingError('IO', `cannot make a temporary directory in ${shown(parent)}: ${reasonOf(cause)}`, {
      hint: 'Name another directory with --tmpdir or SINGULARITY_TMPDIR',
      cause,
    })
  }
  const { root, lock } = made
  const remove = (): void => {
    process.off('exit', remove)
    rmSync(root, { recursive: true, force: true })
    closeSync(lock)
  }
  process.on('exit', remove)
  let isThere = true
  return {
    root,
    [Symbol.dispose]() {
      if (isThere) remove()
      isThere = false
    },
  }
}
