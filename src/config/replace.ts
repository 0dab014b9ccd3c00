/** Replaces a file: whoever looks sees the old one or the new one, whole, whatever happens. */

import { closeSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs'
import { posix } from 'node:path'
import { errnoOf } from '../core/errors.ts'

/** Where a link leads: the link stays. A path that is not there is its own. @throws system errors */
export function destinationOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return path
    throw error
  }
}

/** All bytes of the pieces, one after the other. @throws system errors */
export function writeAll(fd: number, pieces: readonly Uint8Array[]): void {
  for (const piece of pieces) for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done)
}

/**
 * Write a file beside the one at `path`, `.NAME.partial-PID`, and rename it. It is made with `mode`, from which the umask takes; `settle`
 * may give it another one, or another owner, before anybody sees it.
 * @throws system errors, and leaves nothing behind
 */
export function replaceFile(
  path: string,
  pieces: readonly Uint8Array[],
  mode: number,
  settle: (partial: string) => void = () => {},
): void {
  const partial = posix.join(posix.dirname(path), `.${posix.basename(path)}.partial-${process.pid}`)
  const fd = openSync(partial, 'wx', mode)
  try {
    writeAll(fd, pieces)
    settle(partial)
    fsyncSync(fd)
    renameSync(partial, path)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}
