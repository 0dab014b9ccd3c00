/**
 * The layers of an image on their way into the cache: several at a time, the topmost first, each readable while it comes. A layer
 * that lies on this machine is read where it is.
 */

import { closeSync, openSync } from 'node:fs'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { Descriptor, Digest, ImageSource, Place } from '../oci/types.ts'
import type { Cache, GrowingBlob } from '../store/cache.ts'

/** Who reads the bytes of a layer while they come. */
export type Reader = {
  advance(available: number): void
  complete(size: number): void
  abort(error: Error): void
}

/** The bytes of a layer in an open file; `size` is absent while more may come. */
export type LayerFile = {
  readonly fd: number
  readonly offset: number
  readonly size?: number
  /** Tell a reader about the bytes, until it has had enough. */
  follow(reader: Reader): { stop(): void }
}

export type ArrivingOptions = {
  readonly cache: Cache
  /** Layers that are fetched at the same time. */
  readonly parallel: number
  readonly report: Report
  readonly signal: AbortSignal
}

/** See the top of the file. Disposing ends what has not come yet. */
export class ArrivingLayers implements AsyncDisposable {
  readonly #source: ImageSource
  readonly #options: ArrivingOptions
  readonly #abort = new AbortController()
  readonly #blobs = new Map<Digest, PromiseWithResolvers<GrowingBlob>>()
  readonly #fetched = new Set<Digest>()
  readonly #old = new Set<Digest>()
  readonly #files: number[] = []
  readonly #progress: Progress
  readonly #running: Promise<unknown>

  /** Begin. `failed` is told once about a layer that does not come. */
  constructor(
    source: ImageSource,
    layers: readonly Descriptor[],
    options: ArrivingOptions,
    failed: (e: unknown) => void,
  ) {
    this.#source = source
    this.#options = options
    const distant = layers.filter((layer) => !source.locate?.(layer))
    const queue = [...new Map(distant.toReversed().map((layer) => [layer.digest, layer])).values()]
    for (const { digest } of queue) this.#blobs.set(digest, newWaiting())
    this.#progress = new Progress(layers, queue, options.report)
    const workers = Array.from({ length: Math.min(options.parallel, queue.length) }, () =>
      this.#work(queue, failed),
    )
    this.#running = Promise.all(workers)
  }

  async #work(queue: Descriptor[], failed: (error: unknown) => void): Promise<void> {
    for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) {
      const { digest } = layer
      try {
        this.#abort.signal.throwIfAborted()
        const blob = this.#begin(layer)
        this.#blobs.get(digest)?.resolve(blob)
        await blob.done
      } catch (error) {
        this.#blobs.get(digest)?.reject(error)
        failed(error)
      } finally {
        this.#progress.end(digest)
      }
    }
  }

  #begin(layer: Descriptor): GrowingBlob {
    const signal = AbortSignal.any([this.#options.signal, this.#abort.signal])
    const fetch = (offset: number) => {
      this.#fetched.add(layer.digest)
      this.#progress.begin(layer)
      return this.#source.blob(layer, offset, signal)
    }
    const onBytes = (count: number): void => {
      if (!this.#fetched.has(layer.digest)) this.#old.add(layer.digest)
      this.#progress.add(layer.digest, count)
    }
    return this.#options.cache.blob(layer, fetch, { signal, onBytes })
  }

  /** The file of a layer, as soon as there is one. */
  async open(layer: Descriptor): Promise<LayerFile> {
    const place = this.#source.locate?.(layer)
    if (place) return this.#openPlace(place)
    const blob = await this.#blobs.get(layer.digest)?.promise
    if (!blob) throw new SingError('INTERNAL', `nobody fetches ${layer.digest}`)
    const { fd } = await blob.opened
    return { fd, offset: 0, follow: (reader) => follow(blob, reader) }
  }

  #openPlace({ file, offset, size }: Place): LayerFile {
    try {
      const fd = openSync(file, 'r')
      this.#files.push(fd)
      return { fd, offset, size, follow: () => ({ stop: () => {} }) }
    } catch (cause) {
      throw new SingError('IO', `cannot open ${shown(file)}: ${reasonOf(cause)}`, { cause })
    }
  }

  /** Whether the layer, or a part of it, was in the cache before: it may have been damaged there. */
  isOld({ digest }: Descriptor): boolean {
    return this.#old.has(digest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new Error('nobody needs it any more'))
    await this.#running
    this.#progress.finish()
    for (const fd of this.#files.splice(0)) closeSync(fd)
    for (const { promise } of this.#blobs.values())
      await promise.then(
        (blob) => blob[Symbol.dispose](),
        () => {},
      )
  }
}

/** A promise that nobody may ever wait for. */
function newWaiting<T>(): PromiseWithResolvers<T> {
  const waiting = Promise.withResolvers<T>()
  waiting.promise.catch(() => {})
  return waiting
}

function follow(blob: GrowingBlob, reader: Reader): { stop(): void } {
  let isFollowed = true
  const whileFollowed = (tell: () => void) => {
    if (isFollowed) tell()
  }
  blob.onAdvance((available) => whileFollowed(() => reader.advance(available)))
  blob.done.then(
    ({ size }) => whileFollowed(() => reader.complete(size)),
    (error) => whileFollowed(() => reader.abort(error)),
  )
  return {
    stop: () => {
      isFollowed = false
    },
  }
}

/** A line for each layer that is fetched, and one for all of them. */
class Progress {
  readonly #report: Report
  readonly #names: ReadonlyMap<Digest, string>
  readonly #done = new Map<Digest, number>()
  readonly #total: number
  readonly #label: string
  #left: number
  #isTold = false

  constructor(layers: readonly Descriptor[], wanted: readonly Descriptor[], report: Report) {
    this.#report = report
    const count = layers.length
    this.#left = wanted.length
    this.#names = new Map(
      layers.map(({ digest }, at) => [digest, `Layer ${at + 1} of ${count} (${shortDigest(digest)})`]),
    )
    this.#total = wanted.reduce((sum, { size = 0 }) => sum + size, 0)
    this.#label = count === 1 ? 'Downloading the layer' : `Downloading ${count} layers`
  }

  begin({ digest, size }: Descriptor): void {
    if (this.#done.has(digest)) return
    this.#done.set(digest, 0)
    const begun = { kind: 'started', unit: 'bytes' } as const
    if (!this.#isTold) this.#report({ ...begun, task: 'layers', label: this.#label, total: this.#total })
    this.#isTold = true
    const label = this.#names.get(digest) ?? shortDigest(digest)
    this.#report({
      ...begun,
      isPart: true,
      task: digest,
      label,
      ...(size === undefined ? {} : { total: size }),
    })
  }

  add(digest: Digest, count: number): void {
    const done = (this.#done.get(digest) ?? 0) + count
    if (!this.#done.has(digest)) return
    this.#done.set(digest, done)
    this.#report({ kind: 'advanced', task: digest, done })
    const all = [...this.#done.values()].reduce((sum, bytes) => sum + bytes, 0)
    this.#report({ kind: 'advanced', task: 'layers', done: all })
  }

  end(digest: Digest): void {
    if (this.#done.has(digest)) this.#report({ kind: 'finished', task: digest })
    this.#left -= 1
    if (this.#left === 0) this.finish()
  }

  finish(): void {
    if (this.#isTold) this.#report({ kind: 'finished', task: 'layers' })
    this.#isTold = false
  }
}

/** The beginning of a digest, as tools show it. */
export const shortDigest = (digest: Digest): string => digest.replace(/^sha\d+:/, '').slice(0, 12)
