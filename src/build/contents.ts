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

/** Copy a file of `size` bytes to a path where there is none. */
export async function copyContents(
  from: string | Buffer,
  to: string | Buffer,
  size: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (size < small) return await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  try {
    return await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
  } catch {
    // Most file systems do not share.
  }
  await using source = await open(from, 'r')
  // What a try to share left is empty.
  await using target = await open(
    to,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
    0o600,
  )
  await copyPieces(source, target, signal)
}
