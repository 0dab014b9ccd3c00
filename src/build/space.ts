/** Free space: looked at before a build needs it, and explained when it has run out. */

import { statSync } from 'node:fs'
import { SingError, shown } from '../core/errors.ts'
import { formatSize } from '../core/units.ts'
import { freeSpace, isFull } from '../store/space.ts'

const advice =
  'Make room there, or name another place for the image; --tmpdir or SINGULARITY_TMPDIR name one for temporary files'

/** Below this a file system counts as full: other processes and reserved blocks make an exact zero rare. */
const nothingLeft = 1024 * 1024

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
  if (!isFull(error) && !(isScript && full.length > 0)) return error
  const where = (full.length > 0 ? full : all).map(shown).join(' or ')
  const during = error instanceof Error ? ` (${error.message})` : ''
  return new SingError('DISK_FULL', `no space left in ${where}${during}`, { hint: advice, cause: error })
}
