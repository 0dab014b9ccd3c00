/** What packers of all kinds are told, and how they get entries. */

import { availableParallelism } from 'node:os'
import type { Report } from '../core/events.ts'
import { type Entry, type Step, stepsOf } from './entries.ts'

/** `level` is the compressor's own: zstd 1 to 22, gzip 1 to 9, xz 0 to 9; lz4 above 1 is its slow, denser kind. */
export type Compression = { kind: 'zstd' | 'gzip' | 'xz' | 'lz4'; level?: number }

/** A squashfs image in a file, which is one of several; stacks of them have the topmost first. */
export type LayerFile = {
  readonly file: string
  readonly offset: number
  readonly size: number
  /** The descriptor of what opens it, when it is encrypted. */
  readonly key?: number | undefined
}

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
  /** All files belong to these instead of their owners; with `unlessKnown` those that neither a layer nor a record says the owner of. */
  owner?: { uid: number; gid: number; unlessKnown?: boolean }
  /** No time in the image is later than this, in seconds since 1970, and the image itself has it. Absent: that of the newest file. */
  time?: number
  /** Paths relative to the root that are left out with everything below them. */
  exclude?: readonly string[]
  /**
   * The root is an overlay over these layers, and `changes` its upper directory. Files of layers have the owners that they have there,
   * and are copied as they lie, compressed, from those with the same compressor and block size, unless they are to be packed anew.
   */
  base?: { layers: readonly LayerFile[]; changes: string; repack?: boolean }
  /** Files that come in addition, behind the others; directories that are there are described anew. */
  extra?: Iterable<Entry> | AsyncIterable<Entry>
  /** The image is written encrypted, as gocryptfs encrypts files, inside of another squashfs. Absent: as it is. */
  encryption?: Encryption
  report?: Report
  signal?: AbortSignal
}

export type Encryption = {
  /** 32 bytes, of the contents. The packer has a copy of its own. */
  key: Uint8Array
  /** What gocryptfs needs beside its passphrase to find the key. */
  configuration: Uint8Array
  /** Of the encrypted file. */
  name: string
}

export type PackResult = {
  /** Bytes that the image takes from `offset` on, a multiple of 4096. */
  size: number
  /** Names in the image. */
  entries: number
  /** Bytes of files that were packed. */
  bytes: number
}

/** What the packers of the addon have in common. */
export type NativePacker = {
  push(steps: readonly Step[]): Promise<unknown>
  finish(): Promise<PackResult>
  progress(): number
  cancel(): void
  close(): void
}

/** The numbers of squashfs superblocks. */
export const compressors = ['', 'gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd']
const standardLevel = { zstd: 5, gzip: 9, xz: 6, lz4: 1 } as const
const levelRange = { zstd: [1, 22], gzip: [1, 9], xz: [0, 9], lz4: [1, 12] } as const

/** More threads than this wait for one another. */
const mostWorkers = 64

export type PackerOptions = Record<string, number | boolean | Encryption | undefined>

export function packerOptions(options: PackOptions): PackerOptions {
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
    ownUnknown: owner?.unlessKnown ?? false,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    clamp: time !== undefined,
    time: time ?? 0,
    encryption: options.encryption,
  }
}

/** A trip to another thread is worth it for this much. */
const batchBytes = 1024 * 1024
const batchSteps = 512

/** Give all entries to a packer. */
export async function pushAll(
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
