/** The layers of an image, packed from the top down into one squashfs image while they arrive; nothing is unpacked. */

import type { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { type Entry, typeOf } from './entries.ts'
import { toLayerError, toSingError } from './failure.ts'
import { addon } from './load.ts'
import {
  type NativePacker,
  type PackerOptions,
  type PackOptions,
  type PackResult,
  packerOptions,
  pushAll,
} from './packing.ts'
import { watch } from './watch.ts'

/** What an image may cost before it is refused; all layers together. */
export type LayerLimits = {
  /** Names in the layers, also of files that other layers hide. */
  entries: number
  /** Bytes of files, holes included. */
  bytes: number
  /** Bytes out of each compressed byte, once a layer is larger than a gigabyte. */
  ratio: number
  /** Bytes of extended attributes. */
  xattrs: number
}

export const layerLimits: LayerLimits = {
  entries: 5_000_000,
  bytes: 2 ** 40,
  ratio: 2000,
  xattrs: 64 * 2 ** 20,
}

export type LayerOptions = PackOptions & {
  limits?: Partial<LayerLimits>
  /** Paths: small files that are one of these, or below, are kept in memory for `captured`. */
  capture?: readonly string[]
  /**
   * `keep`: the image is one layer, to be stacked with others by overlayfs. Names that it removes become character devices 0:0, and
   * directories that hide what is below get `trusted.overlay.opaque`. Absent: removed names are gone.
   */
  whiteouts?: 'keep'
}

export type Layer = {
  /** A file, and the place in it where the layer begins. */
  fd: number
  offset: number
  /** Bytes that are there; absent while the file grows: `advance` and `complete` tell. */
  size?: number
  /** Of the uncompressed archive, as the image says; compared. */
  diffId?: string
  /** Of the bytes as they are in the file; compared. Absent: not computed. */
  digest?: string
  /** For messages. */
  name: string
  /** For the line about its progress; absent: the name. */
  label?: string
}

export type LayerResult = {
  /** Of the uncompressed archive. */
  diffId: string
  /** Of the bytes in the file, when somebody asked for it. */
  digest: string | undefined
  /** Files, directories and whiteouts in the layer. */
  entries: number
  /** Of the uncompressed archive. */
  bytes: number
}

type NativeResult = { entries: number; bytes: number; leftOut: number; packed: string; plain: string }

type NativeLayerPacker = NativePacker & {
  layer(options: { fd: number; offset: number; packed: number; plain: number }): Promise<NativeResult>
  advance(available: number): void
  complete(size: number): void
  stop(): void
  merge(): Promise<unknown>
  lookup(path: string): [mode: number, link?: string] | undefined
  captured(): [path: string, mode: number, data: Buffer][]
}

type Addon = {
  LayerPacker: new (options: PackerOptions, captures: readonly string[]) => NativeLayerPacker
}

/** The addon's numbers of digests. */
const kinds = ['', 'sha256', 'sha512']
const kindOf = (digest: string | undefined): string => digest?.split(':')[0] ?? ''

/**
 * One image from layers: `layer` for each from the top down, then, when there are no more, `merge`, `lookup`, `captured`, `add`,
 * and `finish`. The same layers with the same options give the same bytes. After a failure the file holds a part, which the
 * caller removes.
 */
export class LayerPacker implements Disposable {
  readonly #native: NativeLayerPacker
  readonly #options: LayerOptions
  #aborted: Error | undefined
  #leftOut = 0

  private constructor(options: LayerOptions) {
    const { capture = [], limits, whiteouts } = options
    const all = { ...packerOptions(options), ...layerLimits, ...limits, keepWhiteouts: whiteouts === 'keep' }
    this.#native = new (addon<Addon>().LayerPacker)(all, capture)
    this.#options = options
  }

  static open(options: LayerOptions): LayerPacker {
    return new LayerPacker(options)
  }

  /**
   * Apply the next layer, below those applied so far.
   * @throws SingError IMAGE_FORMAT for a layer that cannot be used, DIGEST for one that is another, DISK_FULL; or the error given to `abort`
   */
  async layer(input: Layer): Promise<LayerResult> {
    const { fd, offset, size, name, label = name, diffId, digest } = input
    const { report, signal } = this.#options
    const native = this.#native
    this.#aborted = undefined
    const numbers = { packed: numberOf(digest ?? ''), plain: numberOf(diffId ?? 'sha256:') }
    const total = size === undefined ? {} : { total: size }
    const watched = {
      task: 'pack',
      label: `Packing layer ${label}`,
      unit: 'bytes',
      isPart: true,
      ...total,
      report,
      signal,
    } as const
    try {
      const result = await watch(native, watched, () => {
        const work = native.layer({ fd, offset, ...numbers })
        if (size !== undefined) native.complete(size)
        return work
      })
      this.#leftOut += result.leftOut
      return checked(input, result)
    } catch (error) {
      throw this.#aborted ?? toLayerError(error, `unpack layer ${shown(name)}`)
    }
  }

  /** The file of the layer now has so many bytes behind its offset. */
  advance(available: number): void {
    this.#native.advance(available)
  }

  /** And these are all. */
  complete(size: number): void {
    this.#native.complete(size)
  }

  /** The rest of the layer does not come, because of this: `layer` rejects with it. */
  abort(error: Error): void {
    this.#aborted = error
    this.#native.stop()
  }

  /**
   * There are no more layers: make one tree of them. `add` and `finish` do it by themselves.
   * @throws SingError IMAGE_FORMAT when something in one layer needs what no layer has
   */
  async merge(): Promise<void> {
    await this.#ask(this.#native.merge())
  }

  /** What a path of the merged tree is; links on the way are followed inside the image, one at its end is not. */
  lookup(path: string): { type: Entry['type']; link?: string } | undefined {
    const found = this.#native.lookup(path)
    if (!found) return undefined
    const [mode, link] = found
    return { type: typeOf(mode), ...(link === undefined ? {} : { link }) }
  }

  /** The small files of the merged tree below the paths of `capture`, by path. */
  captured(): ReadonlyMap<string, { mode: number; data: Buffer }> {
    const files = this.#native.captured()
    return new Map(files.map(([path, mode, data]) => [path, { mode: mode & 0o7777, data }]))
  }

  /** Entries on top of all layers: they replace what is there; directories are described anew. */
  async add(entries: Iterable<Entry> | AsyncIterable<Entry>): Promise<void> {
    await this.#ask(pushAll(this.#native, entries, this.#options.signal))
  }

  /** Write what is left. @throws SingError DISK_FULL, or IMAGE_FORMAT as `merge` */
  async finish(): Promise<PackResult> {
    const result = await this.#ask(this.#native.finish())
    if (this.#leftOut > 0) {
      const text = `${this.#leftOut} extended attributes were left out: squashfs has a place for user., trusted. and security. only`
      this.#options.report?.({ kind: 'verbose', text })
    }
    return result
  }

  async #ask<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#options
    const cancel = () => this.#native.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      signal?.throwIfAborted()
      return await work
    } catch (error) {
      signal?.throwIfAborted()
      throw isMerging(error) ? toLayerError(error, 'merge the layers') : toSingError(error, 'the image')
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** Let go of everything; may be called twice. Work that has begun ends by itself. */
  [Symbol.dispose](): void {
    this.#native.close()
  }
}

/** What the layers are to blame for, and not who puts something on top of them. */
const isMerging = (error: unknown): boolean => (error as { action?: unknown } | undefined)?.action === 'merge'

function numberOf(digest: string): number {
  const number = kinds.indexOf(kindOf(digest))
  if (number >= 0) return number
  throw new SingError('DIGEST', `cannot check ${shown(digest)}: unknown kind of digest`, {
    hint: 'sha256 and sha512 are known',
  })
}

/** Everything was read by now, so that the sums are known; nobody has used the image yet. */
function checked(
  { name, diffId, digest }: Layer,
  { entries, bytes, packed, plain }: NativeResult,
): LayerResult {
  const found = {
    diffId: `${kindOf(diffId) || 'sha256'}:${plain}`,
    digest: digest && `${kindOf(digest)}:${packed}`,
  }
  if (digest !== undefined && found.digest !== digest) throw differs(name, 'its bytes', digest, found.digest)
  if (diffId !== undefined && found.diffId !== diffId) {
    throw differs(name, 'its unpacked bytes', diffId, found.diffId)
  }
  return { ...found, entries, bytes }
}

function differs(name: string, what: string, wanted: string, found: string | undefined): SingError {
  const sentence = `cannot use layer ${shown(name)}: ${what} should have the digest ${shown(wanted)}, but have ${found}`
  return new SingError('DIGEST', sentence, {
    hint: 'The layer is damaged, or the image names another one: get it again',
  })
}
