/** A stream kept in a file that has no name: it can be read at any place, also while it comes, and is gone with us. */

import { randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { diskFull, freeSpace, isFull, type Room } from '../store/space.ts'
import type { Bytes } from './decompress.ts'

const roomOf = (directory: string): Room => ({
  name: 'the directory of temporary files',
  directory,
  hint: 'Name another one in SINGULARITY_CACHEDIR; with --disable-cache, by --tmpdir',
})

export class Spool implements AsyncDisposable {
  readonly #handle: FileHandle
  readonly #directory: string
  #written = 0
  #ended = false
  #stopped = false
  #failure: unknown
  #waiting: (() => void)[] = []

  private constructor(handle: FileHandle, directory: string) {
    this.#handle = handle
    this.#directory = directory
  }

  /** In the directory, which needs as much room as the stream has bytes. */
  static async open(directory: string): Promise<Spool> {
    const path = join(directory, `.stream-${randomUUID()}`)
    try {
      const handle = await open(path, 'wx+', 0o600)
      await unlink(path)
      return new Spool(handle, directory)
    } catch (cause) {
      throw new SingError('IO', `cannot write in ${shown(directory)}: ${reasonOf(cause)}`, { cause })
    }
  }

  get fd(): number {
    return this.#handle.fd
  }

  /** Take in the stream until it ends or `stop` is called. A failure is told by `read`. */
  async fill(stream: Bytes): Promise<void> {
    try {
      for await (const chunk of stream) {
        if (this.#stopped) break
        await this.#write(chunk)
        this.#wake()
      }
    } catch (error) {
      this.#failure = error
    }
    this.#ended = true
    this.#wake()
  }

  /** Everything that is needed is there. */
  stop(): void {
    this.#stopped = true
  }

  /** Bytes at a place as soon as they have come; fewer at the end of the stream. */
  async read(offset: number, length: number): Promise<Buffer> {
    const end = offset + length
    if (this.#written < end && !this.#ended) this.#checkRoom(end - this.#written)
    while (this.#written < end && !this.#ended)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#written < end && this.#failure !== undefined) throw this.#failure
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, this.#written - offset)))
    await this.#handle.read(bytes, 0, bytes.length, offset)
    return bytes
  }

  async #write(chunk: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < chunk.length; )
        done += (await this.#handle.write(chunk, done, chunk.length - done, this.#written + done))
          .bytesWritten
      this.#written += chunk.length
    } catch (cause) {
      if (isFull(cause)) throw this.#full(undefined, cause)
      throw new SingError('IO', `cannot write in ${shown(this.#directory)}: ${reasonOf(cause)}`, { cause })
    }
  }

  /** Rather now than when the disk is full. */
  #checkRoom(bytes: number): void {
    if (bytes > (freeSpace(this.#directory) ?? bytes)) throw this.#full(bytes)
  }

  #full(needed: number | undefined, cause?: unknown): SingError {
    return diskFull(roomOf(this.#directory), needed, cause)
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    return this.#handle.close()
  }
}
