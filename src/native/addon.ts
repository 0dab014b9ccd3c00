/** The one door to the native addon: squashfs images written and read by threads, as promises over plain values. */

import type { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { SingError } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { type Entry, type Step, stepsOf, typeOf } from './entries.ts'
import { toSingError } from './failure.ts'
import { addonPath } from './paths.ts'
import { watch } from './watch.ts'

export type { Entry } from './entries.ts'

/** `level` is the compressor's own: zstd 1 to 22, gzip 1 to 9, xz 0 to 9; lz4 above 1 is its slow, denser kind. */
export type Compression = { kind: 'zstd' | 'gzip' | 'xz' | 'lz4'; level?: number }

export type PackOptions = {
  /** An open file and the place in it where the image begins. The file need not hold anything behind it. */
  fd: number
  offset: number
  /** Absent: zstd, level 5. */
  compression?: Compression
  /** Bytes, a power of two from 4096 to 1048576. Absent: 131072. */
  blockSize?: number
  /** Threads that compress. Absent: one for each processor. */
  workers?: number
  /** All files belong to these instead of their owners. */
  owner?: { uid: number; gid: number }
  /** No time in the image is later than this, in seconds since 1970, and the image itself has it. Absent: that of the newest file. */
  time?: number
  /** Paths relative to the root that are left out with everything below them. */
  exclude?: readonly string[]
  /** Files that come in addition, behind the others; directories that are there are described anew. */
  extra?: Iterable<Entry> | AsyncIterable<Entry>
  report?: Report
  signal?: AbortSignal
}

export type PackResult = {
  /** Bytes that the image takes from `offset` on, a multiple of 4096. */
  size: number
  /** Names in the image. */
  entries: number
  /** Bytes of files that were packed. */
  bytes: number
}

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

type NativePacker = {
  directory(root: string, excludes: readonly string[]): Promise<unknown>
  push(steps: readonly Step[]): Promise<unknown>
  finish(): Promise<PackResult>
  progress(): number
  cancel(): void
  close(): void
}

type Super = { compressor: number; blockSize: number; entries: number; bytes: number; time: number }

type NativeImage = {
  open(): Promise<Super>
  stat(path: string, follow: boolean): Promise<Omit<Stat, 'type'> | undefined>
  list(path: string): Promise<string[] | undefined>
  read(path: string, limit: number): Promise<Buffer | undefined>
  readlink(path: string): Promise<string | undefined>
  xattrs(path: string): Promise<Record<string, Buffer> | undefined>
  extract(options: { from: string; to: string; ownership: boolean; workers: number }): Promise<{
    entries: number
    skipped: number
  }>
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

type Addon = {
  libsquashfs: string
  Packer: new (options: Record<string, number | boolean>) => NativePacker
  Image: new (options: { path: string; offset: number; size: number }) => NativeImage
  Export: new (options: Record<string, string | number | boolean>) => NativeExport
}

let loaded: Addon | undefined

/** The addon is loaded by the first call that needs it: most commands do not. */
export function addon(): Addon {
  if (loaded) return loaded
  const path = addonPath()
  try {
    loaded = createRequire(path)(path) as Addon
  } catch (cause) {
    throw new SingError('INTERNAL', `cannot load ${path}: ${(cause as Error).message}`, {
      hint: 'It was built for another machine or is incomplete: build or install it again',
      cause,
    })
  }
  return loaded
}

/** The version of libsquashfs in the addon. */
export function toolVersion(): string {
  return addon().libsquashfs
}

/** The numbers of squashfs superblocks. */
const compressors = ['', 'gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd']
const standardLevel = { zstd: 5, gzip: 9, xz: 6, lz4: 1 } as const
const levelRange = { zstd: [1, 22], gzip: [1, 9], xz: [0, 9], lz4: [1, 12] } as const

/** More threads than this wait for one another. */
const mostWorkers = 64

function packerOptions(options: PackOptions): Record<string, number | boolean> {
  const compression: Compression = options.compression ?? { kind: 'zstd' }
  const { kind } = compression
  const level = compression.level ?? standardLevel[kind]
  const [least, most] = levelRange[kind]
  const { fd, offset, blockSize = 131_072, workers = availableParallelism(), owner, time } = options
  if (!Number.isInteger(level) || level < least || level > most) {
    throw new RangeError(`level ${level} of ${kind}: expected ${least} to ${most}`)
  }
  if (!Number.isInteger(Math.log2(blockSize)) || blockSize < 4096 || blockSize > 1_048_576) {
    throw new RangeError(`block size ${blockSize}: expected a power of two from 4096 to 1048576`)
  }
  return {
    fd,
    offset,
    blockSize,
    compressor: compressors.indexOf(kind),
    level: kind === 'lz4' ? level - 1 : level,
    workers: Math.max(1, Math.min(workers, mostWorkers)),
    own: owner !== undefined,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    clamp: time !== undefined,
    time: time ?? 0,
  }
}

/** One image from what `fill` gives to the packer; the packer is closed on every way out. */
async function pack(
  options: PackOptions,
  fill: (packer: NativePacker) => Promise<unknown>,
): Promise<PackResult> {
  const { report, signal } = options
  const watched = { task: 'pack', label: 'Packing files', unit: 'bytes', report, signal } as const
  const packer = new (addon().Packer)(packerOptions(options))
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

/**
 * Write everything below `root` as a squashfs image into the file at `options.offset`. The same tree with the same options gives
 * the same bytes. On a failure the file holds a part, which the caller removes.
 * @throws SingError SQUASHFS naming the file that cannot be read, or DISK_FULL
 */
export function packDirectory(root: string, options: PackOptions): Promise<PackResult> {
  const excludes = (options.exclude ?? []).map(withoutSlashes)
  const { extra = [], signal } = options
  return pack(options, async (packer) => {
    await packer.directory(root, excludes)
    await pushAll(packer, extra, signal)
  })
}

/** A trip to another thread is worth it for this much. */
const batchBytes = 1024 * 1024
const batchSteps = 512

async function pushAll(
  packer: NativePacker,
  entries: Iterable<Entry> | AsyncIterable<Entry>,
  signal?: AbortSignal,
): Promise<void> {
  let steps: Step[] = []
  let bytes = 0
  for await (const step of stepsOf(entries)) {
    steps.push(step)
    if (step instanceof Uint8Array) bytes += step.length
    if (bytes < batchBytes && steps.length < batchSteps) continue
    signal?.throwIfAborted()
    await packer.push(steps)
    steps = []
    bytes = 0
  }
  await packer.push(steps)
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

  /** Open the image that lies at [offset, offset + size) of a file. @throws SingError SQUASHFS */
  static async open(path: string, offset: number, size: number): Promise<SquashfsImage> {
    const native = new (addon().Image)({ path, offset, size })
    try {
      return new SquashfsImage(native, path, await native.open())
    } catch (error) {
      native.close()
      throw toSingError(error, path)
    }
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
   * Fill the existing directory `to`, and give it the attributes of the one it is filled from. Nothing in it is replaced.
   * Device nodes that the system does not let us make are `skipped`. What was made before a failure stays.
   * @throws SingError SQUASHFS or DISK_FULL naming the path in the image
   */
  async extract(to: string, options: ExtractOptions = {}): Promise<{ entries: number; skipped: number }> {
    const { from = '/', report, signal, ownership = process.geteuid?.() === 0 } = options
    const workers = Math.min(availableParallelism(), mostExtractors)
    const total = from === '/' ? { total: this.info.entries } : {}
    const watched = {
      task: 'extract',
      label: 'Unpacking files',
      unit: 'entries',
      report,
      signal,
      ...total,
    } as const
    const native = this.#native
    const extracting = watch(native, watched, () => native.extract({ from, to, ownership, workers }))
    return await this.#ask(extracting, to)
  }

  /** Let go of the file; may be called twice. Work that has begun ends by itself. */
  close(): void {
    this.#native.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}
