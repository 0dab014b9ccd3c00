/** The digests of files, by which steps know what they were given. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Window } from '../image/open.ts'

const chunk = 1024 * 1024

/** SHA-256 of a part of a file, in hexadecimal digits. */
export async function windowDigest({ file, offset, size }: Window, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  if (size > 0) {
    const stream = createReadStream(file, {
      start: offset,
      end: offset + size - 1,
      highWaterMark: chunk,
      signal,
    })
    for await (const bytes of stream) hash.update(bytes)
  }
  return hash.digest('hex')
}
