/** Whole directory trees: remove one whatever its modes, change the modes in it, find its newest time. Names are bytes here. */

import { chmodSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { errnoOf } from '../core/errors.ts'

const slash = Buffer.from('/')

function namesIn(directory: Buffer): Buffer[] {
  return readdirSync(directory, { encoding: 'buffer' }).map((name) => Buffer.concat([directory, slash, name]))
}

function isMissing(error: unknown): boolean {
  return errnoOf(error) === 'ENOENT'
}

/** Whether the entry was no directory and is gone now. Linux answers EISDIR to the unlinking of a directory. */
function unlinked(path: Buffer): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (error) {
    if (isMissing(error)) return true
    if (errnoOf(error) === 'EISDIR') return false
    throw error
  }
}

function removeDirectory(directory: Buffer, device: number): void {
  const stats = lstatSync(directory)
  // A mount that somebody left in the tree belongs to somebody else.
  if (stats.dev !== device) throw new Error(`${directory} is on another file system`)
  if ((stats.mode & 0o700) !== 0o700) chmodSync(directory, 0o700)
  for (const path of namesIn(directory)) {
    if (!unlinked(path)) removeDirectory(path, device)
  }
  rmdirSync(directory)
}

/**
 * Remove a file or a directory with everything in it. Directories without permissions are made passable, links are
 * removed and not followed, other file systems mounted inside are left alone (an error). Nothing there: no error.
 */
export function removeTree(path: string): void {
  const bytes = Buffer.from(path)
  const stats = lstatSync(bytes, { throwIfNoEntry: false })
  if (!stats) return
  if (stats.isDirectory()) removeDirectory(bytes, stats.dev)
  else unlinked(bytes)
}

/** Give the owner of every file the right to read and write it, and to pass through and change every directory. */
export function grantOwner(root: string): void {
  const pending: Buffer[] = [Buffer.from(root)]
  for (let path = pending.pop(); path; path = pending.pop()) {
    const stats = lstatSync(path)
    if (stats.isSymbolicLink()) continue
    const wanted = stats.mode | (stats.isDirectory() || (stats.mode & 0o111) !== 0 ? 0o700 : 0o600)
    if (wanted !== stats.mode) chmodSync(path, wanted & 0o7777)
    if (stats.isDirectory()) pending.push(...namesIn(path))
  }
}

function dropSetIdsBelow(directory: Buffer, mode: number): void {
  const isClosed = (mode & 0o500) !== 0o500
  if (isClosed) chmodSync(directory, (mode & 0o7777) | 0o500)
  for (const path of namesIn(directory)) {
    const stats = lstatSync(path)
    if (stats.isDirectory()) dropSetIdsBelow(path, stats.mode)
    else if (!stats.isSymbolicLink() && (stats.mode & 0o6000) !== 0) chmodSync(path, stats.mode & 0o1777)
  }
  if (isClosed) chmodSync(directory, mode & 0o7777)
}

/** Take the setuid and setgid bits from every file below a directory of ours; those of directories mean no power. */
export function dropSetIds(root: string): void {
  dropSetIdsBelow(Buffer.from(root), lstatSync(root).mode)
}

/** The newest modification time below a directory, in whole seconds since 1970. */
export function newestTime(root: string): number {
  let newest = 0
  const pending: Buffer[] = [Buffer.from(root)]
  for (let path = pending.pop(); path; path = pending.pop()) {
    const stats = lstatSync(path)
    newest = Math.max(newest, Math.floor(stats.mtimeMs / 1000))
    if (stats.isDirectory()) pending.push(...namesIn(path))
  }
  return newest
}
