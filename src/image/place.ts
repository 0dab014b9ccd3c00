/**
 * A copy of an image of the cache under a name of the user's. It shares the blocks of the original where the file system can
 * do that, and is copied by the kernel elsewhere.
 *
 * It is not synced, as by cp(1): the original is, and waiting for the disk would take longer than all the rest. What a power
 * cut leaves under the new name then is too short, which every reader of the format notices.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, copyFile, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { partialPrefix } from '../sif/write.ts'
import { diskFull, freeSpace, isFull, targetRoom } from '../store/space.ts'

/** Make an empty file that has the mode of the copy, less the umask. Returns that mode. */
async function makeDraft(draft: string): Promise<number> {
  await using file = await open(draft, 'wx', 0o755)
  return (await file.stat()).mode & 0o7777
}

/** Let both files have the same blocks; false where that cannot be. */
async function share(from: string, draft: string): Promise<boolean> {
  try {
    await copyFile(from, draft, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    return false
  }
}

async function copy(from: string, draft: string): Promise<void> {
  if (await share(from, draft)) return
  const { size } = await stat(from)
  const free = freeSpace(dirname(draft))
  if (free !== undefined && free < size) throw diskFull(targetRoom(dirname(draft)), size)
  await copyFile(from, draft)
}

/** Settles as the work does, or rejects with the reason of the signal, leaving the work alone. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = (): void => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
    work.catch(() => {})
  }
}

/**
 * Copy the image to the target, replacing what has that name when it is whole.
 * @throws SingError DISK_FULL or IO; the reason of the signal
 */
export async function placeImage(from: string, target: string, signal: AbortSignal): Promise<void> {
  const draft = join(dirname(target), `${partialPrefix(target)}${randomBytes(4).toString('hex')}`)
  try {
    const mode = await makeDraft(draft)
    await orAborted(copy(from, draft), signal)
    await chmod(draft, mode)
    await rename(draft, target)
  } catch (cause) {
    await unlink(draft).catch(() => {})
    if (signal.aborted || cause instanceof SingError) throw cause
    if (isFull(cause)) throw diskFull(targetRoom(dirname(target)), (await stat(from)).size, cause)
    throw new SingError('IO', `cannot write ${shown(target)}: ${reasonOf(cause)}`, { cause })
  }
}
