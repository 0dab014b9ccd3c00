/**
 * Reading files of a sandbox directory as a container would see them: links, also absolute ones and `..`, stay inside.
 * Synchronous, because starts of containers read a few small files this way.
 */

import type { Buffer } from 'node:buffer'
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { follow, type Node } from '../core/follow.ts'
import { readAt } from '../sif/read.ts'

/** What is at a path of the host, links not followed. */
function look(place: string): Node | undefined {
  const facts = lstatSync(place, { throwIfNoEntry: false })
  if (facts?.isSymbolicLink()) return { kind: 'link', target: readlinkSync(place) }
  return facts && { kind: facts.isDirectory() ? 'directory' : 'other' }
}

/**
 * The host path of a path inside the sandbox, without any link in its part below `root`; undefined when nothing is
 * there.
 */
function resolveInside(root: string, path: string): string | undefined {
  const { state, path: found } = follow(path, (at) => look(`${root}${at}`))
  return state === 'there' ? `${root}${found}` : undefined
}

/** Nothing there (or a file where a directory should be) is undefined, any other failure IO. */
function ifThere<T>(root: string, path: string, read: (place: string) => T | undefined): T | undefined {
  try {
    const place = resolveInside(root, path)
    return place === undefined ? undefined : read(place)
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    // ENXIO: a socket, which is no file.
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(errnoOf(cause) ?? '')) return undefined
    throw new SingError('IO', `cannot read ${shown(path)} of ${shown(root)}: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * The bytes of a regular file, undefined when there is none.
 * Throws IO when it cannot be read or has more than `limit` bytes.
 */
export function readInside(root: string, path: string, limit: number): Buffer | undefined {
  return ifThere(root, path, (place) => {
    // Not a link any more; a pipe put there must not keep us waiting.
    const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const facts = fstatSync(fd)
      if (!facts.isFile()) return undefined
      if (facts.size > limit) throw tooLong(root, path, facts.size, limit)
      return readAt(fd, 0, facts.size)
    } finally {
      closeSync(fd)
    }
  })
}

function tooLong(root: string, path: string, size: number, limit: number): SingError {
  return new SingError(
    'IO',
    `${shown(path)} of ${shown(root)} has ${size} bytes, more than expected (${limit})`,
  )
}

/** The names in a directory, undefined when there is none. */
export function listInside(root: string, path: string): string[] | undefined {
  return ifThere(root, path, (place) => readdirSync(place))
}
