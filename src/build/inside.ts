/**
 * Paths inside a root file system that is being built. Every component is looked at, links are taken as the image will see
 * them, so that nothing in a base image can lead a write out of the root. Names are bytes: a `BytePath` has one sign for each
 * byte, because file names need not be UTF-8.
 */

import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { type ErrorCode, errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { follow, type Node } from '../core/follow.ts'
import { removeTree } from './tree.ts'

/** A path with one sign (U+0000 to U+00FF) for each of its bytes. */
export type BytePath = string

export function toBytes(path: string): BytePath {
  return Buffer.from(path, 'utf8').toString('latin1')
}

/** The path as text, for messages and for functions that take strings. */
export function toText(path: BytePath): string {
  return Buffer.from(path, 'latin1').toString('utf8')
}

/** The path as `node:fs` takes it. */
export function onDisk(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1')
}

/** An error about a file with the reason of the system; a full disk keeps its own code. */
export function failure(sentence: string, cause: unknown): SingError {
  if (cause instanceof SingError) return cause
  const errno = errnoOf(cause)
  const code: ErrorCode = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'DISK_FULL' : 'BUILD'
  return new SingError(code, `${sentence}: ${reasonOf(cause)}`, { cause })
}

/** What is at a path, links not followed; undefined for nothing. */
export function look(path: BytePath): Stats | undefined {
  return lstatSync(onDisk(path), { throwIfNoEntry: false })
}

/**
 * The place of a path of the image on the host: links are followed inside `root`, absolute ones too, `..` stops at the root,
 * and what does not exist is taken by name. With `last` = `keep` a link at the end is the result itself.
 * Throws BUILD for more than 40 links, for a file where a directory should be, and for what cannot be read.
 */
export function resolveBytes(root: BytePath, path: BytePath, last: 'follow' | 'keep' = 'follow'): BytePath {
  const base = root.replace(/\/$/, '')
  const name = shown(toText(`/${components(path).join('/')}`))
  const { path: found, state, at } = follow(path, (here) => nodeInside(`${base}${here}`, name), last)
  if (state === 'too many links')
    throw new SingError('BUILD', `cannot reach ${name} in the image: too many symbolic links`)
  if (state === 'through a file') {
    const file = shown(toText(at))
    throw new SingError('BUILD', `cannot reach ${name} in the image: ${file} is not a directory`)
  }
  return found === '/' ? base || '/' : `${base}${found}`
}

function components(path: BytePath): string[] {
  return path.split('/').filter((component) => component !== '' && component !== '.')
}

function nodeInside(place: BytePath, name: string): Node | undefined {
  try {
    const stats = look(place)
    if (stats?.isSymbolicLink()) return { kind: 'link', target: readlinkSync(onDisk(place), 'latin1') }
    return stats && { kind: stats.isDirectory() ? 'directory' : 'other' }
  } catch (error) {
    throw failure(`cannot reach ${name} in the image`, error)
  }
}

/** `resolveBytes` for paths that are text. */
export function resolveInside(root: string, path: string, last: 'follow' | 'keep' = 'follow'): string {
  return toText(resolveBytes(toBytes(root), toBytes(path), last))
}

/**
 * Make a directory of the image and those above it (0755), where they do not exist; returns its place on the host. The modes
 * hold whatever the caller's umask.
 */
export function makeDirectoryBytes(root: BytePath, path: BytePath, mode = 0o755): BytePath {
  const place = resolveBytes(root, path)
  const name = shown(toText(path))
  const missing: BytePath[] = []
  try {
    let above = place
    for (; above !== '' && !look(above); above = above.slice(0, above.lastIndexOf('/'))) missing.push(above)
    if (missing.length === 0 && !look(place)?.isDirectory()) {
      throw new SingError(
        'BUILD',
        `cannot make the directory ${name} in the image: there is a file of that name`,
      )
    }
    for (const directory of missing.reverse()) {
      mkdirSync(onDisk(directory), 0o755)
      chmodSync(onDisk(directory), directory === place ? mode : 0o755)
    }
    return place
  } catch (error) {
    throw failure(`cannot make the directory ${name} in the image`, error)
  }
}

/** `makeDirectoryBytes` for paths that are text. */
export function makeDirectoryInside(root: string, path: string, mode = 0o755): string {
  return toText(makeDirectoryBytes(toBytes(root), toBytes(path), mode))
}

/** Write a file of the image anew; a link in its place is replaced, not followed. Missing directories are made. */
export function writeInside(root: string, path: string, content: string | Uint8Array, mode: number): void {
  makeDirectoryInside(root, path.replace(/\/[^/]*$/, '') || '/')
  const place = resolveInside(root, path, 'keep')
  try {
    if (lstatSync(place, { throwIfNoEntry: false })) unlinkSync(place)
    writeFileSync(place, content, { flag: 'wx', mode })
    chmodSync(place, mode)
  } catch (error) {
    throw failure(`cannot write ${shown(path)} in the image`, error)
  }
}

/** The bytes of a file of the image, undefined when there is none. Throws BUILD for more than `limit` bytes. */
export function readBytesInside(root: string, path: string, limit: number): Buffer | undefined {
  const place = resolveInside(root, path)
  if (!lstatSync(place, { throwIfNoEntry: false })?.isFile()) return undefined
  try {
    const fd = openSync(place, 'r')
    try {
      const { size } = fstatSync(fd)
      if (size > limit)
        throw new SingError('BUILD', `${shown(path)} in the image is larger than ${limit} bytes`)
      const bytes = Buffer.alloc(size)
      return bytes.subarray(0, readSync(fd, bytes, 0, size, 0))
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw failure(`cannot read ${shown(path)} in the image`, error)
  }
}

/** `readBytesInside` as text. */
export function readInside(root: string, path: string, limit: number): string | undefined {
  return readBytesInside(root, path, limit)?.toString()
}

/** Remove what is at a path of the image, with all that is in it. A link there goes itself, and nothing there is no error. */
export function removeInside(root: string, path: string): void {
  removeTree(resolveInside(root, path, 'keep'))
}

/** Whether there is something at a path of the image; a link that leads nowhere is something. */
export function existsInside(root: string, path: string): boolean {
  return look(toBytes(resolveInside(root, path, 'keep'))) !== undefined
}
