/** Files of a layout or an archive, wherever they lie: one look-up for directories and archives alike. */

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Place } from './types.ts'

/** The files below a directory or in an archive. */
export interface Files extends AsyncDisposable {
  /** Undefined when there is none of the name, which is relative and has no `..`. */
  locate(name: string): Place | undefined
}

const unreadable = (name: string, cause: unknown): SingError =>
  new SingError('IO', `cannot read ${shown(name)}: ${reasonOf(cause)}`, { cause })

/**
 * The bytes of a place, at most `limit`.
 * @throws SingError naming `name` when they cannot be read, or are more
 */
export async function readPlace(place: Place, limit: number, name: string): Promise<Buffer> {
  if (place.size > limit)
    throw new SingError('IMAGE_FORMAT', `${shown(name)} has ${place.size} bytes, more than ${limit}`)
  try {
    await using handle = await open(place.file)
    const bytes = Buffer.alloc(place.size)
    const { bytesRead } = await handle.read(bytes, 0, place.size, place.offset)
    return bytes.subarray(0, bytesRead)
  } catch (cause) {
    throw unreadable(name, cause)
  }
}

/** The bytes of a place from `offset` on. */
export async function* streamPlace(
  { file, offset: begin, size }: Place,
  offset: number,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (offset >= size) return
  const range = { start: begin + offset, end: begin + size - 1 }
  try {
    yield* createReadStream(file, { ...range, signal, highWaterMark: 256 * 1024 })
  } catch (cause) {
    signal.throwIfAborted()
    throw unreadable(name, cause)
  }
}
