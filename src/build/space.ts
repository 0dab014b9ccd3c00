/** Free space: looked at before a build needs it, and explained when it has run out. */

import { statfsSync, statSync } from 'node:fs'
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

/**
 * Refuse (DISK_FULL) a build whose parts surely do not fit: `unpacked` bytes into the temporary directory, `packed` bytes
 * beside the target. Both are lower bounds; in one file system they add up.
 */
export function requireRoom(
  scratch: string,
  target: string,
  sizes: { unpacked: number; packed: number },
): void {
  const { unpacked, packed } = sizes
  const isShared = places([scratch, target]).length === 1
  requireSpace(scratch, isShared ? unpacked + packed : unpacked, 'the unpacked base')
  requireSpace(target, packed, 'the new image')
}

/** Refuse (DISK_FULL) when fewer than `needed` bytes are free in a directory; `what` says what they are for. */
export function requireSpace(directory: string, needed: number, what: string): void {
  const free = freeSpace(directory)
  if (free === undefined || free >= needed) return
  const sizes = `at least ${formatSize(needed)} are needed, ${formatSize(free)} are free`
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

/** One directory for each file system. */
function places(directories: readonly string[]): string[] {
  const devices = new Map<number, string>()
  for (const directory of directories) {
    const device = statSync(directory, { throwIfNoEntry: false })?.dev ?? -1
    if (!devices.has(device)) devices.set(device, directory)
  }
  return [...devices.values()]
}

/**
 * The error to show for a failed build: a full disk is told as such, with the directory that is full, whichever step
 * happened to notice it. Other errors stay as they are.
 */
export function explainFullDisk(error: unknown, directories: readonly string[]): unknown {
  if (error instanceof SingError && error.hint === advice) return error
  const all = places(directories)
  const full = all.filter((directory) => (freeSpace(directory) ?? Number.POSITIVE_INFINITY) < nothingLeft)
  const isScript = error instanceof SingError && (error.code === 'SECTION' || error.code === 'HOST_TOOL')
  if (!isFullDisk(error) && !(isScript && full.length > 0)) return error
  const where = (full.length > 0 ? full : all).map(shown).join(' or ')
  const during = error instanceof Error ? ` (${error.message})` : ''
  return new SingError('DISK_FULL', `no space left in ${where}${during}`, { hint: advice, cause: error })
}
