/** The files of an image as a layer for other runtimes: a compressed tar that is made while it is read. */

import type { Buffer } from 'node:buffer'
import { availableParallelism } from 'node:os'
import type { Addon, NativeExportResult } from './addon.ts'
import { toSingError } from './failure.ts'
import { addon } from './load.ts'
import type { LayerFile } from './packing.ts'

/** Where the files are: a squashfs in a file, or a directory. `whiteouts`: it is one layer of overlayfs among others. */
export type LayerFiles = (LayerFile & { readonly whiteouts?: boolean }) | { readonly directory: string }

/** A text file of root's on top of the others; its folder is there. */
export type ExtraFile = {
  readonly path: string
  readonly data: string
  readonly mode: number
  readonly mtime: number
}

export type LayerOptions = {
  readonly compression: 'none' | 'gzip' | 'zstd'
  readonly extras?: readonly ExtraFile[]
}

export type LayerResult = {
  /** Digest of the tar. */
  readonly diffId: string
  /** Bytes of the tar. */
  readonly bytes: number
  readonly entries: number
  /** Sockets, and names that mean something else in a layer, were left out: how many, and the first one. */
  readonly skipped: number
  readonly firstSkipped: string
}

const kinds = { none: 0, gzip: 1, zstd: 2 } as const
/** What the tools of registries use, but for the slow end of gzip. */
const levels = { none: 0, gzip: 5, zstd: 3 } as const
/** More threads than this wait for the one that reads. */
const mostWorkers = 8

/** A layer that can be read more than once: the same files give the same bytes each time. */
export class LayerExport {
  readonly #files: LayerFiles
  readonly #options: LayerOptions
  #result: NativeExportResult | undefined

  constructor(files: LayerFiles, options: LayerOptions) {
    this.#files = files
    this.#options = options
  }

  /** What was found, once it has been read to its end. */
  get result(): LayerResult | undefined {
    return this.#result
  }

  /**
   * The bytes of the layer in pieces.
   * @throws SingError SQUASHFS naming the file that cannot be read; the reason of the signal
   */
  async *read(signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const native = new (addon<Addon>().Export)(this.#parameters())
    const cancel = () => native.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        const piece = await native.next()
        if (!(piece instanceof Uint8Array)) {
          this.#result = piece
          return
        }
        yield piece
      }
    } catch (error) {
      signal.throwIfAborted()
      throw toSingError(error, this.#place())
    } finally {
      signal.removeEventListener('abort', cancel)
      native.close()
    }
  }

  #place(): string {
    return 'file' in this.#files ? this.#files.file : this.#files.directory
  }

  #parameters(): Record<string, unknown> {
    const { compression, extras = [] } = this.#options
    const files = this.#files
    const place =
      'file' in files
        ? { path: files.file, isDirectory: false, offset: files.offset, size: files.size, key: files.key }
        : { path: files.directory, isDirectory: true, offset: 0, size: 0 }
    return {
      ...place,
      whiteouts: 'file' in files && files.whiteouts === true,
      extras,
      kind: kinds[compression],
      level: levels[compression],
      workers: Math.min(availableParallelism(), mostWorkers),
    }
  }
}
