/** Free space: looked at before a build needs it, and explained when it has run out. */

import { statfsSync } from 'node:fs'
import { errnoOf, SingError, shown } from '../core/errors.ts'
import { formatSize } from '../core/units.ts'

const advice =
  'Name a directory with more space by --tmpdir or SINGULARITY_TMPDIR, or remove what is not needed there'

/** Below this a file system counts as full: other processes and reserved blocks make an exact zero rare. */
const nothingLeft = 1024 * 1024

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

/** Refuse (DISK_FULL) when fewer than `needed` bytes are free in a directory; `what` says what they are for. */
export function requireSpace(directory: string, needed: number, what: string): void {
  const free = freeSpace(directory)
  if (free === undefined || free >= needed) return
  const sizes = `about ${formatSize(needed)} are needed, ${formatSize(free)} are free`
  throw new SingError('DISK_FULL', `not enough space in ${shown(directory)} for ${what}: ${sizes}`, {
    hint: advice,
  })
}

function isFullDisk(error: unknown): boolean {
  if (error instanceof SingError && error.code === 'DISK_FULL') return true
  const errno = errnoOf(error)
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return true
  return error instanceof Error && error.cause !== undefined && isFullDisk(error.cause)
}

/** The directories among these whose file system has nothing left. */
export function fullPlaces(directories: readonly string[]): string[] {
  return directories.filter((directory) => (freeSpace(directory) ?? Number.POSITIVE_INFINITY) < nothingLeft)
}

/**
 * The error to show for a failed build: a full disk is told as such, with the directory that is full, whichever step
 * happened to notice it. Other errors stay as they are.
 */
export function explainFullDisk(error: unknown, directories: readonly string[]): unknown {
  const full = fullPlaces(directories)
  const isScript = error instanceof SingError && (error.code === 'SECTION' || error.code === 'HOST_TOOL')
  if (!isFullDisk(error) && !(isScript && full.length > 0)) return error
  if (error instanceof SingError && error.code === 'DISK_FULL' && error.hint) return error
  const where = full.length > 0 ? full : directories
  const during = error instanceof Error ? ` (${error.message})` : ''
  return new SingError('DISK_FULL', `no space left in ${where.map(shown).join(' or ')}${during}`, {
    hint: advice,
    cause: error,
  })
}
