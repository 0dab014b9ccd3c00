/**
 * Copy a whole tree with owners, times, links, holes and attributes: packed into a temporary squashfs and unpacked again. The
 * two halves exist and treat every kind of file right; the quickest compressor makes the detour cheaper than a walk of our own.
 */

import { closeSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Report } from '../core/events.ts'
import { packDirectory, SquashfsImage } from '../native/addon.ts'
import { removeTree } from './tree.ts'

export type CopyOptions = {
  /** A directory for the temporary file. */
  readonly scratch: string
  /** Keep the owners; only root can. */
  readonly ownership: boolean
  readonly report: Report
  readonly signal: AbortSignal
}

/**
 * Fill the existing directory `to` with a copy of what is in `from`. Device nodes are left out where they cannot be made.
 * @throws SingError naming the file that cannot be read, or DISK_FULL
 */
export async function copyTree(from: string, to: string, options: CopyOptions): Promise<void> {
  const { scratch, ownership, report, signal } = options
  const packed = join(scratch, 'copy.squashfs')
  const fd = openSync(packed, 'wx+', 0o600)
  try {
    const { size } = await packDirectory(from, {
      fd,
      offset: 0,
      compression: { kind: 'lz4' },
      report,
      signal,
    })
    await using image = await SquashfsImage.open(packed, 0, Math.max(size, statSync(packed).size))
    await image.extract(to, { ownership, report, signal })
  } finally {
    closeSync(fd)
    removeTree(packed)
  }
}
