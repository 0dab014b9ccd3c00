/** The contents of a file copied into a new one: at once where the file system shares them, else piece by piece, holes left as they are. */

import { constants } from 'node:fs'
import { copyFile, type FileHandle, open } from 'node:fs/promises'

/** Smaller files are copied before anybody could stop it. */
const small = 1024 * 1024
const piece = 4 * 1024 * 1024

async function copyPieces(from: FileHandle, to: FileHandle, signal: AbortSignal | undefined): Promise<void> {
  const buffer = Buffer.alloc(piece)
  const zeros = Buffer.alloc(piece)
  let at = 0
  for (;;) {
    signal?.throwIfAborted()
    const { bytesRead } = await from.read(buffer, 0, piece, at)
    if (bytesRead === 0) break
    const bytes = buffer.subarray(0, bytesRead)
    if (!bytes.equals(zeros.subarray(0, bytesRead))) await writeAll(to, bytes, at)
    at += bytesRead
  }
  await to.truncate(at)
}

async function writeAll(to: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await to.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}

/** Copy a file of `size` bytes to a path where there is none. The copy belongs to whoever makes it. */
export async function copyContents(
  from: string | Buffer,
  to: string | Buffer,
  size: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  await using target = await open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  if (size < small) return await copyWhole(from, target, constants.COPYFILE_FICLONE)
  try {
    return await copyWhole(from, target, constants.COPYFILE_FICLONE_FORCE)
  } catch {
    // Most file systems do not share.
  }
  await using source = await open(from, 'r')
  await copyPieces(source, target, signal)
}

/** Node gives a copy the owner of its original where it can, Bun never does. */
async function copyWhole(from: string | Buffer, to: FileHandle, mode: number): Promise<void> {
  const { uid, gid } = await to.stat()
  await copyFile(from, `/proc/self/fd/${to.fd}`, mode)
  await to.chown(uid, gid)
}
