/** Whole directory trees: remove one whatever its modes, change the modes in it, find its newest time. Names are bytes here. */

import {
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs'
import { errnoOf } from '../core/errors.ts'

const slash = Buffer.from('/')

/** Half of what the system takes as a path: a tree can be deeper, and then goes on from an open directory. */
const longest = 2048
const asDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/** Do something with every path in a directory. */
function forEachIn(directory: Buffer, act: (path: Buffer) => void): void {
  const fd = directory.length > longest ? openSync(directory, asDirectory) : undefined
  try {
    const here = fd === undefined ? directory : Buffer.from(`/proc/self/fd/${fd}`)
    const names = readdirSync(here, { encoding: 'buffer' })
    for (const name of names) act(Buffer.concat([here, slash, name]))
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
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
  forEachIn(directory, (path) => {
    if (!unlinked(path)) removeDirectory(path, device)
  })
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

function grantOwnerOf(path: Buffer): void {
  const stats = lstatSync(path)
  if (stats.isSymbolicLink()) return
  const wanted = stats.mode | (stats.isDirectory() || (stats.mode & 0o111) !== 0 ? 0o700 : 0o600)
  if (wanted !== stats.mode) chmodSync(path, wanted & 0o7777)
  if (stats.isDirectory()) forEachIn(path, grantOwnerOf)
}

/** Give the owner of every file the right to read and write it, and to pass through and change every directory. */
export function grantOwner(root: string): void {
  grantOwnerOf(Buffer.from(root))
}

function dropSetIdsBelow(directory: Buffer, mode: number): void {
  const isClosed = (mode & 0o500) !== 0o500
  if (isClosed) chmodSync(directory, (mode & 0o7777) | 0o500)
  forEachIn(directory, (path) => {
    const stats = lstatSync(path)
    if (stats.isDirectory()) dropSetIdsBelow(path, stats.mode)
    else if (!stats.isSymbolicLink() && (stats.mode & 0o6000) !== 0) chmodSync(path, stats.mode & 0o1777)
  })
  if (isClosed) chmodSync(directory, mode & 0o7777)
}

/** Take the setuid and setgid bits from every file below a directory of ours; those of directories mean no power. */
export function dropSetIds(root: string): void {
  dropSetIdsBelow(Buffer.from(root), lstatSync(root).mode)
}

function newestTimeOf(path: Buffer): number {
  const stats = lstatSync(path)
  let newest = Math.floor(stats.mtimeMs / 1000)
  if (!stats.isDirectory()) return newest
  forEachIn(path, (child) => {
    newest = Math.max(newest, newestTimeOf(child))
  })
  return newest
}

/** The newest modification time below a directory, in whole seconds since 1970. */
export function newestTime(root: string): number {
  return Math.max(0, newestTimeOf(Buffer.from(root)))
}
