/**
 * A copy of an image of the cache under a name of the user's. It shares the blocks of the original where the file system can
 * do that, and is copied by the kernel elsewhere.
 *
 * It is not synced, as by cp(1): the original is, and waiting for the disk would take longer than all the rest. What a power
 * cut leaves under the new name then is too short, which every reader of the format notices.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { partialPrefix } from '../sif/write.ts'
import { diskFull, freeSpace, isFull, targetRoom } from '../store/space.ts'

/** Let both files have the same blocks; false where that cannot be. */
async function share(from: string, draft: string): Promise<boolean> {
  try {
    await copyFile(from, draft, constants.COPYFILE_FICLONE_FORCE)
    return true
  } catch {
    return false
  }
}

async function copy(from: string, draft: string, folder: string): Promise<void> {
  if (await share(from, draft)) return
  const { size } = await stat(from)
  const free = freeSpace(folder)
  if (free !== undefined && free < size) throw diskFull(targetRoom(folder), size)
  await copyFile(from, draft)
}

/**
 * Copy into a new file, which keeps its mode: that of a program, less the umask. The file is not asked for by its name again,
 * which in a directory of several people may be another file or a link by then.
 */
async function copyToNew(
  from: string,
  file: FileHandle,
  folder: string,
  change?: (path: string) => Promise<void>,
): Promise<void> {
  try {
    const { mode } = await file.stat()
    const path = `/proc/self/fd/${file.fd}`
    await copy(from, path, folder)
    await file.chmod(mode & 0o7777)
    await change?.(path)
  } finally {
    await file.close()
  }
}

/** Settles as the work does, or rejects with the reason of the signal, leaving the work alone. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = (): void => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    signal.throwIfAborted()
    await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
    work.catch(() => {})
  }
}

/**
 * Copy the image to the target, replacing what has that name when it is whole. `change` is given the copy before.
 * @throws SingError DISK_FULL or IO; the reason of the signal
 */
export async function placeImage(
  from: string,
  target: string,
  signal: AbortSignal,
  change?: (path: string) => Promise<void>,
): Promise<void> {
  const draft = join(dirname(target), `${partialPrefix(target)}${randomBytes(4).toString('hex')}`)
  try {
    const file = await open(draft, 'wx', 0o755)
    await orAborted(copyToNew(from, file, dirname(draft), change), signal)
    await rename(draft, target)
  } catch (cause) {
    await unlink(draft).catch(() => {})
    if (signal.aborted || cause instanceof SingError) throw cause
    if (isFull(cause)) throw diskFull(targetRoom(dirname(target)), (await stat(from)).size, cause)
    throw new SingError('IO', `cannot write ${shown(target)}: ${reasonOf(cause)}`, { cause })
  }
}
