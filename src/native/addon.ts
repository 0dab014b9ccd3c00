/** The one door to the native addon: squashfs images written and read by threads, as promises over plain values. */

import type { Buffer } from 'node:buffer'
import { availableParallelism } from 'node:os'
import type { Report } from '../core/events.ts'
import { type Entry, typeOf } from './entries.ts'
import { toSingError } from './failure.ts'
import { addon } from './load.ts'
import {
  compressors,
  type LayerFile,
  type NativePacker,
  type PackerOptions,
  type PackOptions,
  type PackResult,
  packerOptions,
  pushAll,
} from './packing.ts'
import { type Columns, type Surveyed, surveyOf } from './survey.ts'
import { watch } from './watch.ts'

export type { Entry } from './entries.ts'
export type { Compression, Encryption, LayerFile, PackOptions, PackResult } from './packing.ts'
export type { Surveyed } from './survey.ts'

export type Stat = {
  type: Entry['type']
  mode: number
  uid: number
  gid: number
  mtime: number
  size: number
  inode: number
  links: number
  /** Of devices. */
  major: number
  minor: number
}

type DirectoryPacker = NativePacker & {
  directory(
    options: { root: string; exclude: readonly string[]; keepMarks: boolean; namedMarks: boolean } & Pick<
      PackOptions,
      'base'
    >,
  ): Promise<unknown>
}

type Super = { compressor: number; blockSize: number; entries: number; bytes: number; time: number }

type NativeExtraction = {
  from: string
  to: string
  ownership: boolean
  notes: boolean
  workers: number
  /** Layers, the topmost first; absent: marks of overlays mean nothing. */
  below?: readonly LayerFile[]
}

export type Extracted = {
  /** Without the directory itself. */
  entries: number
  /** Device nodes that the system does not let us make. */
  skipped: number
}

type NativeImage = {
  open(): Promise<Super>
  stat(path: string, follow: boolean): Promise<Omit<Stat, 'type'> | undefined>
  list(path: string): Promise<string[] | undefined>
  read(path: string, limit: number): Promise<Buffer | undefined>
  readlink(path: string): Promise<string | undefined>
  xattrs(path: string): Promise<Record<string, Buffer> | undefined>
  stored(path: string): Promise<number[] | undefined>
  survey(): Promise<Columns>
  slice(place: number, offset: number, length: number): Buffer
  extract(options: NativeExtraction): Promise<Extracted>
  progress(): number
  cancel(): void
  close(): void
}

/** What makes a layer: `next` gives its pieces, and what there is to say when the last one was given. */
export type NativeExport = {
  next(): Promise<Buffer | NativeExportResult>
  progress(): number
  cancel(): void
  close(): void
}
export type NativeExportResult = {
  diffId: string
  bytes: number
  entries: number
  skipped: number
  firstSkipped: string
}

export type Addon = {
  libsquashfs: string
  capable(path: Buffer): boolean
  Packer: new (options: PackerOptions) => DirectoryPacker
  Image: new (options: { path: string; offset: number; size: number; key?: number }) => NativeImage
  Export: new (options: Record<string, unknown>) => NativeExport
}

/** The version of libsquashfs in the addon. */
export function toolVersion(): string {
  return addon<Addon>().libsquashfs
}

/** Whether a file of this machine has capabilities. */
export const isCapable = (path: Buffer): boolean => addon<Addon>().capable(path)

/** One image from what `fill` gives to the packer; the packer is closed on every way out. */
async function pack(
  options: PackOptions,
  fill: (packer: DirectoryPacker) => Promise<unknown>,
): Promise<PackResult> {
  const { report, signal } = options
  const watched = { task: 'pack', label: 'Packing files', unit: 'bytes', report, signal } as const
  const packer = new (addon<Addon>().Packer)(packerOptions(options))
  try {
    return await watch(packer, watched, async () => {
      await fill(packer)
      return await packer.finish()
    })
  } catch (error) {
    throw toSingError(error, 'the image')
  } finally {
    packer.close()
  }
}

const withoutSlashes = (path: string): string => path.replace(/^\/+|\/+$/g, '')

/** `keep`: it is the upper directory of an overlay, and what hides files goes on doing so; `named`: names are marks, too. */
type Marks = { readonly keep: boolean; readonly named: boolean }

function packTree(root: string, options: PackOptions, { keep, named }: Marks): Promise<PackResult> {
  const { base, extra = [], signal } = options
  const exclude = (options.exclude ?? []).map(withoutSlashes)
  return pack(options, async (packer) => {
    await packer.directory({ root, exclude, keepMarks: keep, namedMarks: named, ...(base ? { base } : {}) })
    await pushAll(packer, extra, signal)
  })
}

/**
 * Write everything below `root` as a squashfs image into the file at `options.offset`. The same tree with the same options gives
 * the same bytes. Records of owners and devices (docs/fakeroot.md) are applied and do not come along. On a failure the file
 * holds a part, which the caller removes.
 * @throws SingError SQUASHFS naming the file that cannot be read, or DISK_FULL
 */
export function packDirectory(root: string, options: PackOptions): Promise<PackResult> {
  return packTree(root, options, { keep: false, named: false })
}

/**
 * The same for the upper directory of an overlay, as a layer to be stacked on those below it: whiteouts stay, and what makes a directory
 * opaque is `user.overlay.opaque`. Other marks of the overlay are left out. `namedMarks`: fuse-overlayfs has written there, for which names
 * like `.wh.NAME` are marks.
 * @throws SingError SQUASHFS also for a change that refers to a file under another name (redirect_dir, metacopy)
 */
export function packLayer(
  upper: string,
  options: PackOptions,
  { namedMarks = false }: { readonly namedMarks?: boolean } = {},
): Promise<PackResult> {
  return packTree(upper, options, { keep: true, named: namedMarks })
}

/**
 * Write entries as they come as a squashfs image. A path comes once, except directories, which may be described again.
 * @throws what the entries throw; SingError SQUASHFS naming the entry, or DISK_FULL
 */
export function packEntries(entries: AsyncIterable<Entry>, options: PackOptions): Promise<PackResult> {
  return pack(options, (packer) => pushAll(packer, entries, options.signal))
}

/** Files are made in one thread and filled in others; beyond this the first is what everybody waits for. */
const mostExtractors = 8

export type ExtractOptions = {
  /** The directory of the image whose contents are wanted; absent: all of it. */
  from?: string
  report?: Report
  signal?: AbortSignal
  /** Set owners where the system allows it; absent: when we are root. */
  ownership?: boolean
  /** There is but one id: note whose files are, and what devices are, for whoever packs them (docs/fakeroot.md). */
  notes?: boolean
}

/**
 * A squashfs image in a file, open for reading. Paths are inside the image and links never lead out of it; `undefined` means that
 * there is no such path, or nothing of the kind asked for. Damage is a SingError SQUASHFS.
 */
export class SquashfsImage implements AsyncDisposable {
  readonly info: { compression: string; blockSize: number; entries: number; bytes: number; time: number }
  readonly #native: NativeImage
  readonly #path: string

  private constructor(native: NativeImage, path: string, { compressor, ...info }: Super) {
    this.#native = native
    this.#path = path
    this.info = { compression: compressors[compressor] ?? 'unknown', ...info }
  }

  /**
   * Open the image that lies at [offset, offset + size) of a file; `key` is the descriptor of what opens an encrypted one.
   * @throws SingError SQUASHFS
   */
  static async open(path: string, offset: number, size: number, key?: number): Promise<SquashfsImage> {
    const native = new (addon<Addon>().Image)({ path, offset, size, ...(key === undefined ? {} : { key }) })
    try {
      return new SquashfsImage(native, path, await native.open())
    } catch (error) {
      native.close()
      throw toSingError(error, path)
    }
  }

  /** The same for a part of a file that is one. */
  static at({ file, offset, size, key }: LayerFile): Promise<SquashfsImage> {
    return SquashfsImage.open(file, offset, size, key)
  }

  async #ask<T>(answer: Promise<T>, place = this.#path): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw toSingError(error, place)
    }
  }

  /** What a path is; of a link itself unless `follow`. */
  async stat(path: string, follow = true): Promise<Stat | undefined> {
    const stat = await this.#ask(this.#native.stat(path, follow))
    return stat && { ...stat, type: typeOf(stat.mode), mode: stat.mode & 0o7777 }
  }

  /** The names in a directory, in the order of their bytes. */
  async list(path: string): Promise<string[] | undefined> {
    return await this.#ask(this.#native.list(path))
  }

  /** The contents of a regular file. @throws SingError SQUASHFS also when it is larger than `limit` bytes */
  async read(path: string, limit: number): Promise<Buffer | undefined> {
    return await this.#ask(this.#native.read(path, limit))
  }

  /** The target of a symbolic link, as it is written there. */
  async readlink(path: string): Promise<string | undefined> {
    return await this.#ask(this.#native.readlink(path))
  }

  /** Extended attributes by full name; none for a path that is not there. */
  async xattrs(path: string): Promise<Record<string, Buffer>> {
    return (await this.#ask(this.#native.xattrs(path))) ?? {}
  }

  /**
   * Where the bytes of a regular file lie in the image: offset and size of each piece.
   * @throws SingError SQUASHFS also when they do not lie there as they are
   */
  async stored(path: string): Promise<number[] | undefined> {
    return await this.#ask(this.#native.stored(path))
  }

  /** Everything in the image, a directory before what it holds. @throws SingError SQUASHFS also for more than anybody packs */
  async survey(): Promise<Surveyed[]> {
    return surveyOf(await this.#ask(this.#native.survey()))
  }

  /** Bytes of the regular file at a place that `survey` told, fewer at its end. Does not wait. */
  slice(place: number, offset: number, length: number): Buffer {
    try {
      return this.#native.slice(place, offset, length)
    } catch (error) {
      throw toSingError(error, this.#path)
    }
  }

  /**
   * Fill the existing directory `to`, and give it the attributes of the one it is filled from. Nothing in it is replaced.
   * Device nodes that the system does not let us make are `skipped`. What was made before a failure stays.
   * @throws SingError SQUASHFS or DISK_FULL naming the path in the image
   */
  async extract(to: string, options: ExtractOptions = {}): Promise<Extracted> {
    const total = (options.from ?? '/') === '/' ? this.info.entries : undefined
    return await this.#extract(to, options, { total })
  }

  /**
   * The same for a stack of layers, of which this is the topmost: what an overlay of them shows, without its marks.
   * @param below the others, the topmost first
   */
  async extractAbove(
    below: readonly LayerFile[],
    to: string,
    options: ExtractOptions = {},
  ): Promise<Extracted> {
    const total = below.length === 0 ? this.info.entries : undefined
    return await this.#extract(to, options, { total, below })
  }

  async #extract(
    to: string,
    { from = '/', report, signal, ownership = process.geteuid?.() === 0, notes = false }: ExtractOptions,
    { total, below }: { total: number | undefined; below?: readonly LayerFile[] },
  ): Promise<Extracted> {
    const workers = Math.min(availableParallelism(), mostExtractors)
    const watched = {
      task: 'extract',
      label: 'Unpacking files',
      unit: 'entries',
      report,
      signal,
      ...(total === undefined ? {} : { total }),
    } as const
    const how = { from, to, ownership, notes, workers, ...(below ? { below } : {}) }
    return await this.#ask(
      watch(this.#native, watched, () => this.#native.extract(how)),
      to,
    )
  }

  /** Let go of the file; may be called twice. Work that has begun ends by itself. */
  close(): void {
    this.#native.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}
