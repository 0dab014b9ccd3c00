/** Small files that a person names: keys and certificates. They are read whole, up to a bound. */

import { constants, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'

/** No key has more; some certificates of authorities come in bundles, which have their own bound. */
const keyLimit = 256 * 1024

export type SmallFile = { readonly bytes: Buffer; readonly facts: Stats }

/**
 * The content of a file, or of a pipe.
 * @throws SingError KEY when it cannot be read, or is longer than `limit`
 */
export async function readSmallFile(path: string, what: string, limit = keyLimit): Promise<SmallFile> {
  const refuse = (reason: string, cause?: unknown): SingError =>
    new SingError('KEY', `cannot read the ${what} ${shown(path)}: ${reason}`, { cause })
  try {
    await using file = await open(path, constants.O_RDONLY)
    const facts = await file.stat()
    const chunks: Buffer[] = []
    for (let length = 0; ; ) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(16384), 0, 16384)
      if (bytesRead === 0) break
      length += bytesRead
      if (length > limit) throw refuse(`it has more than ${limit} bytes`)
      chunks.push(buffer.subarray(0, bytesRead))
    }
    const bytes = Buffer.concat(chunks)
    for (const chunk of chunks) chunk.fill(0)
    return { bytes, facts }
  } catch (cause) {
    throw cause instanceof SingError ? cause : refuse(reasonOf(cause), cause)
  }
}
