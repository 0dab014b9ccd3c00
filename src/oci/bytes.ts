/** Small files of settings, read as a whole. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** All bytes of a file, at most `limit`. What is no file (a pipe, a device) is read as far as it goes. @throws Error */
export function readBytes(path: string, limit: number): Buffer {
  const fd = openSync(path, 'r')
  try {
    if (fstatSync(fd).isDirectory()) throw new Error('is a directory')
    const chunks: Buffer[] = []
    for (let size = 0; ; ) {
      const chunk = Buffer.allocUnsafe(64 * 1024)
      const got = readSync(fd, chunk, 0, chunk.length, null)
      if (got === 0) return Buffer.concat(chunks)
      size += got
      if (size > limit) throw new Error(`it has more than ${limit} bytes`)
      chunks.push(chunk.subarray(0, got))
    }
  } finally {
    closeSync(fd)
  }
}
