/**
 * A blob on its way into the cache: it can be read while it grows, is checked when it is whole, and goes on where a cut or
 * another process stopped.
 *
 * It grows in `NAME.partial`, whose lock is the right to write it. No blob is synced: who reads one checks what it holds (its
 * size here, the digest of a layer when it is unpacked, of a document when it is read), so that what a power cut left is
 * found and fetched again.
 */

import { createHash, type Hash } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { type FileHandle, unlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { shareLock } from '../native/lock.ts'
import type { Descriptor, Place } from '../oci/types.ts'
import { waitForLock } from './lock.ts'
import { partialEnding } from './place.ts'
import { diskFull, isFull, type Room } from './space.ts'

/** The bytes of a blob from a place on. */
export type Fetch = (offset: number) => Promise<AsyncIterable<Uint8Array>>

export type BlobOptions = {
  readonly signal: AbortSignal
  /** Bytes that have arrived now, those that an earlier process left included. */
  readonly onBytes?: (count: number) => void
  /** The most bytes that are taken from who does not tell the size. */
  readonly limit?: number
  /** Called once when another process fetches the same and takes long. */
  readonly onWait?: () => void
}

/** A file with the bytes of a blob, of which more may come. Dispose of it after use. */
export interface GrowingBlob extends Disposable {
  /** Settles when there is a file to read: its descriptor is open until this is disposed of. */
  readonly opened: Promise<{ readonly fd: number; readonly path: string }>
  /** Bytes that can be read from the file now. */
  available(): number
  /** Be told when there are more; at once when there are some already. */
  onAdvance(listener: (available: number) => void): void
  /** The whole blob, with the size and the digest that it should have. */
  readonly done: Promise<Place>
}

/** Milliseconds before the next try, while nothing arrives at all. Progress begins anew. */
const pauses = [200, 500, 1500, 4000]

const chunkSize = 1 << 20

/** What connections end with while the server is well, or soon will be. */
const passing = new Set([
  ...['ECONNRESET', 'ECONNREFUSED', 'ECONNABORTED', 'ETIMEDOUT', 'EPIPE', 'EAI_AGAIN'],
  ...['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'UND_ERR_SOCKET'],
])

function isPassing(error: unknown): boolean {
  if (passing.has(errnoOf(error) ?? '')) return true
  return error instanceof Error && error.cause !== undefined && isPassing(error.cause)
}

/** The connection ended early; what came before it counts. */
class Cut extends Error {}

export const hashFor = (digest: string): Hash => createHash(digest.split(':')[0] ?? '')

export function damaged(descriptor: Descriptor, reason: string): SingError {
  return new SingError('DIGEST', `${shown(descriptor.digest)} is damaged: ${reason}`, {
    hint: 'The server, or something on the way to it, sends other bytes than the image names: try again, or tell its owner',
  })
}

type Opened = { readonly fd: number; readonly path: string }

/** Keep a promise that nobody may ever wait for from ending the program. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** A blob that is there already. */
export class WholeBlob implements GrowingBlob {
  readonly opened: Promise<Opened>
  readonly done: Promise<Place>
  readonly #fd: number
  readonly #size: number

  constructor(fd: number, path: string, size: number) {
    this.#fd = fd
    this.#size = size
    this.opened = Promise.resolve({ fd, path })
    this.done = Promise.resolve({ file: path, offset: 0, size })
  }

  available(): number {
    return this.#size
  }

  onAdvance(listener: (available: number) => void): void {
    listener(this.#size)
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

/** What a download needs to know of the cache around it. */
export type BlobPlace = {
  readonly room: Room
  /** Where the blob will be. */
  readonly path: string
  /** An open descriptor of the whole blob, when it has come meanwhile. */
  readonly find: () => { readonly fd: number; readonly size: number } | undefined
  /** Remove what is needed least, to get so many bytes; false when nothing could be removed. */
  readonly makeRoom: (bytes: number) => boolean
  /** Settles when this process is through with the same blob, if it fetches it already. */
  readonly before: Promise<unknown> | undefined
}

/** A blob that is fetched, by this process or by the one that is waited for. */
export class ArrivingBlob implements GrowingBlob {
  readonly opened: Promise<Opened>
  readonly done: Promise<Place>
  readonly #descriptor: Descriptor
  readonly #place: BlobPlace
  readonly #bytesFrom: Fetch
  readonly #options: BlobOptions
  readonly #listeners: ((available: number) => void)[] = []
  #open: (opened: Opened) => void = () => {}
  #reader: number | undefined
  #isDisposed = false
  #available = 0
  #written = 0

  constructor(descriptor: Descriptor, place: BlobPlace, fetch: Fetch, options: BlobOptions) {
    this.#descriptor = descriptor
    this.#place = place
    this.#bytesFrom = fetch
    this.#options = options
    const { promise, resolve, reject } = Promise.withResolvers<Opened>()
    this.#open = resolve
    this.opened = quiet(promise)
    this.done = quiet(this.#arrive())
    this.done.catch(reject)
  }

  available(): number {
    return this.#available
  }

  onAdvance(listener: (available: number) => void): void {
    this.#listeners.push(listener)
    if (this.#available > 0) listener(this.#available)
  }

  [Symbol.dispose](): void {
    if (this.#reader !== undefined && !this.#isDisposed) closeSync(this.#reader)
    this.#isDisposed = true
  }

  #advance(to: number): void {
    if (to <= this.#available) return
    this.#options.onBytes?.(to - this.#available)
    this.#available = to
    for (const listener of this.#listeners) listener(to)
  }

  #show(fd: number, path: string): void {
    this.#reader = fd
    if (this.#isDisposed) closeSync(fd)
    else this.#open({ fd, path })
  }

  /** Whether somebody else has brought it; then it is ours as well. */
  #takeOver(): Place | undefined {
    const found = this.#place.find()
    if (!found) return undefined
    const { path } = this.#place
    this.#show(found.fd, path)
    this.#advance(found.size)
    return { file: path, offset: 0, size: found.size }
  }

  async #arrive(): Promise<Place> {
    const { path } = this.#place
    const { signal, onWait } = this.#options
    await this.#place.before?.catch(() => {})
    const file = await waitForLock(path + partialEnding, { signal, onWait })
    try {
      const place = this.#takeOver()
      if (place) {
        await unlink(path + partialEnding)
        return place
      }
      if (!file) throw new SingError('INTERNAL', `nobody may write ${path}`)
      this.#show(openSync(path + partialEnding, constants.O_RDONLY), path + partialEnding)
      const size = await this.#download(file)
      renameSync(path + partialEnding, path)
      return { file: path, offset: 0, size }
    } catch (error) {
      // What has arrived is worth keeping, unless it is nothing, is wrong, or stands in the way of everything else.
      if (this.#written === 0 || isFull(error) || isWrong(error))
        await unlink(path + partialEnding).catch(() => {})
      throw error
    } finally {
      await file?.close()
      // From the right to write to the right to read: nobody removes what is read.
      if (this.#reader !== undefined && !this.#isDisposed) shareLock(this.#reader)
    }
  }

  /** Fetch what is missing, and all of it again when what was left by somebody else turns out wrong. Returns the size. */
  async #download(file: FileHandle): Promise<number> {
    const inherited = fstatSync(file.fd).size
    if (inherited > 0 && inherited <= (this.#descriptor.size ?? Number.POSITIVE_INFINITY)) {
      try {
        return await this.#fill(file, inherited)
      } catch (error) {
        if (!isWrong(error)) throw error
      }
    }
    return await this.#fill(file, 0)
  }

  /** Bring the file from its first `offset` bytes to its end. */
  async #fill(file: FileHandle, offset: number): Promise<number> {
    const hash = hashFor(this.#descriptor.digest)
    this.#written = offset
    await hashPrefix(file.fd, offset, hash, this.#options.signal)
    this.#advance(offset)
    const { size, digest } = this.#descriptor
    let failures = 0
    for (let isWhole = this.#written === size; !isWhole; ) {
      const before = this.#written
      try {
        await this.#receive(file, hash)
        isWhole = true
      } catch (error) {
        this.#options.signal.throwIfAborted()
        if (!(error instanceof Cut)) throw error
        failures = this.#written > before ? 0 : failures + 1
        const pause = pauses[failures]
        if (pause === undefined) throw this.#explainCut(error)
        await sleep(pause, undefined, { signal: this.#options.signal }).catch(() => {})
        this.#options.signal.throwIfAborted()
      }
    }
    const found = `${digest.split(':')[0]}:${hash.digest('hex')}`
    if (found !== digest) throw damaged(this.#descriptor, `its bytes have the digest ${found}`)
    ftruncateSync(file.fd, this.#written)
    return this.#written
  }

  /** One connection: everything from here to the end. @throws Cut when it ends early */
  async #receive(file: FileHandle, hash: Hash): Promise<void> {
    const { size } = this.#descriptor
    const most = size ?? this.#options.limit ?? Number.POSITIVE_INFINITY
    for await (const chunk of this.#chunks()) {
      if (this.#written + chunk.length > most)
        throw damaged(this.#descriptor, `it has more than ${most} bytes`)
      this.#write(file, chunk)
      hash.update(chunk)
      this.#written += chunk.length
      this.#advance(this.#written)
    }
    if (size !== undefined && this.#written < size) {
      throw new Cut(`it ended after ${this.#written} of ${size} bytes`)
    }
  }

  /** The bytes of one connection. A server that refuses is believed; one that falls silent is asked again. */
  async *#chunks(): AsyncIterable<Uint8Array> {
    let chunks: AsyncIterable<Uint8Array>
    try {
      chunks = await this.#bytesFrom(this.#written)
    } catch (cause) {
      throw isPassing(cause) ? new Cut(reasonOf(cause), { cause }) : cause
    }
    try {
      for await (const chunk of chunks) yield chunk
    } catch (cause) {
      throw cause instanceof SingError && !isPassing(cause) ? cause : new Cut(reasonOf(cause), { cause })
    }
  }

  #explainCut(error: Cut): unknown {
    if (error.cause instanceof SingError) return error.cause
    return new SingError('IO', `cannot download ${shown(this.#descriptor.digest)}: ${error.message}`, {
      hint: 'What has arrived is kept: try again, and it goes on from there',
      cause: error.cause,
    })
  }

  #write({ fd }: FileHandle, chunk: Uint8Array): void {
    for (let done = 0, tries = 0; done < chunk.length; ) {
      try {
        done += writeSync(fd, chunk, done, chunk.length - done, this.#written + done)
      } catch (error) {
        if (!isFull(error)) throw error
        const missing = (this.#descriptor.size ?? this.#written + chunk.length) - this.#written
        if (++tries > 1 || !this.#place.makeRoom(missing)) {
          throw diskFull(this.#place.room, missing, error)
        }
      }
    }
  }
}

const isWrong = (error: unknown): boolean => error instanceof SingError && error.code === 'DIGEST'

/** Take what is in the file already into the hash. */
export async function hashPrefix(fd: number, size: number, hash: Hash, signal: AbortSignal): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(chunkSize, size))
  for (let offset = 0; offset < size; ) {
    signal.throwIfAborted()
    const count = readSync(fd, buffer, 0, Math.min(buffer.length, size - offset), offset)
    if (count === 0) throw new SingError('IO', `a file of the cache became shorter while it was read`)
    hash.update(buffer.subarray(0, count))
    offset += count
    // Others have something to do in between.
    await new Promise((resume) => setImmediate(resume))
  }
}
