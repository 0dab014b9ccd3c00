/** Free space: measured, and explained when it has run out. */

import { statfsSync } from 'node:fs'
import { errnoOf, SingError, shown } from '../core/errors.ts'
import { formatSize } from '../core/units.ts'

/** Bytes that this user may still write in the file system of a directory; undefined when it cannot tell. */
export function freeSpace(directory: string): number | undefined {
  try {
    const { bavail, bsize, blocks } = statfsSync(directory)
    // Some network and special file systems answer with zeros.
    return blocks === 0 ? undefined : bavail * bsize
  } catch {
    return undefined
  }
}

/** Whether the system refused to write because of space or quota. */
export function isFull(error: unknown): boolean {
  const errno = errnoOf(error)
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return true
  if (error instanceof SingError && error.code === 'DISK_FULL') return true
  return error instanceof Error && error.cause !== undefined && isFull(error.cause)
}

/** A place that can become full: what people call it, and what they can do about it. */
export type Room = { readonly name: string; readonly directory: string; readonly hint: string }

export const cacheRoom = (directory: string): Room => ({
  name: 'the cache',
  directory,
  hint: 'Make room with: sing cache clean; or name a directory with more space in SINGULARITY_CACHEDIR',
})

export const temporaryRoom = (directory: string): Room => ({
  name: 'the temporary directory',
  directory,
  hint: 'Name another directory by --tmpdir or SINGULARITY_TMPDIR',
})

export const targetRoom = (directory: string): Room => ({
  name: 'the directory of the new image',
  directory,
  hint: 'Make room there, or name a place with more space',
})

/** A full disk, told with the place that is full. */
export class RoomFull extends SingError {}

/** The error for a full disk. `needed`: bytes that were still to come, where somebody knows. */
export function diskFull(room: Room, needed: number | undefined, cause?: unknown): RoomFull {
  const quota = errnoOf(cause) === 'EDQUOT'
  const free = quota ? undefined : freeSpace(room.directory)
  const sizes = [
    needed === undefined ? [] : [`${formatSize(needed)} more are needed`],
    free === undefined ? [] : [`${formatSize(free)} are free`],
  ].flat()
  const what = quota ? 'the disk quota is used up' : 'no space left'
  const told = sizes.length > 0 ? `: ${sizes.join(', ')}` : ''
  return new RoomFull('DISK_FULL', `${what} in ${room.name} ${shown(room.directory)}${told}`, {
    hint: room.hint,
    cause,
  })
}
