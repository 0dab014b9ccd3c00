/** Making SIF files: a new one appears under its name only when it is whole. Changing one in place is `edit.ts`. */

import { Buffer } from 'node:buffer'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { digestExtra } from './details.ts'
import {
  dataTypes,
  defaultCapacity,
  defaultTableOffset,
  descriptorLength,
  encodeDescriptor,
  encodeHeader,
  launchLine,
  maximumCapacity,
  partitionKinds,
  type SifLink,
  unknownArchitecture,
} from './format.ts'

export type Description = {
  /** One of `dataTypes`. */
  dataType: number
  /** 1 unless given; 0 is no group. */
  group?: number
  link?: SifLink
  /** At most 128 bytes; none unless given. */
  name?: string
  /** See `details.ts`; the digest of an OCI object is computed when it is absent. */
  extra?: Uint8Array
  /** 4096 for partitions and 1 for others unless given. */
  alignment?: number
}

export type NewObject = Description & {
  data: Uint8Array | AsyncIterable<Uint8Array>
  /** Leave holes for zeros. Only for the last object of a file, whose rest is cut off before. */
  sparse?: boolean
}

/** A place for an object that someone else writes. */
export type Slot = {
  /** Open for reading and writing; stays the writer's. */
  fd: number
  offset: number
  /** To be called once, when all is written, with the number of bytes, and the extra bytes if only these tell them. Gives the id. */
  finish(size: number, extra?: Uint8Array): number
}

export type CreateOptions = {
  /** UUID; random unless given, empty for none. */
  id?: string
  /** Unix seconds of everything in the file; now unless given. With `id` it makes the bytes reproducible. */
  time?: number
  /** False leaves out the line that makes the file a program. */
  launch?: boolean
  /** Number of descriptors; 48 unless given. */
  capacity?: number
  /** Permissions, less the umask; 0755 unless given. */
  mode?: number
}

/** Looks at a whole file that has no name yet. Throws when it is to have none. */
export type Examine = (path: string) => Promise<void>

/** Writes a new SIF beside its final name; `commit` gives it the name, disposing without a commit removes it. */
export class SifWriter implements AsyncDisposable {
  readonly #path: string
  readonly #partial: string
  readonly #file: FileHandle
  readonly #options: Required<Omit<CreateOptions, 'mode'>>
  /** Those that are reserved only are undefined. */
  readonly #descriptors: (Buffer | undefined)[] = []
  #end: number
  #arch = unknownArchitecture
  #busy = false
  #done = false

  private constructor(path: string, partial: string, file: FileHandle, options: CreateOptions) {
    this.#path = path
    this.#partial = partial
    this.#file = file
    this.#options = {
      id: options.id ?? randomUUID(),
      time: options.time ?? Math.floor(Date.now() / 1000),
      launch: options.launch ?? true,
      capacity: options.capacity ?? defaultCapacity,
    }
    this.#end = this.#dataOffset
  }

  /** Begin a SIF that will be at `path`. Throws IO when its directory takes no file. */
  static async create(path: string, options: CreateOptions = {}): Promise<SifWriter> {
    const capacity = options.capacity ?? defaultCapacity
    if (!(capacity >= 1 && capacity <= maximumCapacity)) {
      throw new SingError('SIF_FORMAT', `a SIF cannot have ${capacity} descriptors`)
    }
    if (options.id && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(options.id)) {
      throw new SingError('SIF_FORMAT', `the image id "${shown(options.id)}" is no UUID`)
    }
    const partial = join(dirname(path), `${partialPrefix(path)}${randomBytes(4).toString('hex')}`)
    try {
      return new SifWriter(path, partial, await open(partial, 'wx+', options.mode ?? 0o755), options)
    } catch (cause) {
      throw writeError(path, cause)
    }
  }

  /** Unix seconds of everything in the file. */
  get time(): number {
    return this.#options.time
  }

  get #dataOffset(): number {
    return defaultTableOffset + this.#options.capacity * descriptorLength
  }

  /** Write an object behind the others. Returns its id: the next, or one that was set aside by `later`. */
  async add(object: NewObject, id?: number): Promise<number> {
    const { offset, finish } = this.#reserve(object, id)
    const { size, extra } = await writeData(this.#file, this.#path, offset, object)
    return finish(size, extra)
  }

  /** A place for an object behind the others; nothing else can be added before it is finished. */
  async slot(description: Description & { extra: Uint8Array }): Promise<Slot> {
    const { offset, finish } = this.#reserve(description)
    const { extra: usual } = description
    return { fd: this.#file.fd, offset, finish: (size, extra = usual) => finish(size, extra) }
  }

  /** Set an id aside for an object whose data comes behind that of objects with higher ones. */
  later(): number {
    if (this.#descriptors.length >= this.#options.capacity)
      throw fullTable(this.#path, this.#options.capacity)
    return this.#descriptors.push(undefined)
  }

  #reserve(description: Description, known?: number) {
    if (this.#busy || this.#done)
      throw new SingError('INTERNAL', 'a SIF takes one object at a time, until it is whole')
    checkDescription(description)
    const id = known ?? this.later()
    this.#busy = true
    const offset = align(this.#end, alignmentOf(description))
    const finish = (size: number, extra: Uint8Array): number => {
      const primary = primaryArchitecture(description.dataType, extra)
      if (primary !== undefined && this.#arch !== unknownArchitecture) throw secondPrimary(this.#path)
      this.#arch = primary ?? this.#arch
      const place = { id, offset, size, paddedSize: offset - this.#end + size, time: this.#options.time }
      this.#descriptors[id - 1] = describe(description, extra, place)
      this.#end = offset + size
      this.#busy = false
      return id
    }
    return { offset, finish }
  }

  /**
   * Make the file whole and give it its name, replacing what had that name. `examine` sees it before, and is the last who can
   * refuse it.
   */
  async commit(examine?: Examine): Promise<void> {
    const descriptors = this.#descriptors.filter((descriptor) => descriptor !== undefined)
    if (this.#busy || this.#done || descriptors.length < this.#descriptors.length)
      throw new SingError('INTERNAL', 'a SIF is committed once, with every object finished')
    const { id, time, launch, capacity } = this.#options
    const header = encodeHeader({
      launch: launch ? launchLine : '',
      version: '01',
      arch: this.#arch,
      id,
      created: time,
      modified: time,
      free: capacity - descriptors.length,
      total: capacity,
      tableOffset: defaultTableOffset,
      tableSize: capacity * descriptorLength,
      dataOffset: this.#dataOffset,
      dataSize: this.#end - this.#dataOffset,
    })
    try {
      // Whoever wrote a slot may have gone past what it then kept.
      await this.#file.truncate(this.#end)
      await writeAll(this.#file, defaultTableOffset, Buffer.concat(descriptors))
      await writeAll(this.#file, 0, header)
      await this.#file.sync()
      await examine?.(this.#partial)
      await rename(this.#partial, this.#path)
    } catch (cause) {
      throw cause instanceof SingError ? cause : writeError(this.#path, cause)
    }
    this.#done = true
    await this.#file.close()
    await syncDirectory(dirname(this.#path))
  }

  /** Remove the partial file, unless it was committed. May be called twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#done) return
    this.#done = true
    await this.#file.close()
    await unlink(this.#partial).catch(() => {})
  }
}

/**
 * What the name of an unfinished `path` begins with. Of the name itself there are 200 of 255 bytes: it must stay valid with
 * what is put around it.
 */
export function partialPrefix(path: string): string {
  const stem = Buffer.from(basename(path)).subarray(0, 200).toString()
  // A sign that was cut through is shown by another one.
  return `.${stem.replace(/\uFFFD$/, '')}.partial-`
}

/** The next multiple of `alignment` from `offset` on. */
export function align(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment
}

/** What an object's start is a multiple of: partitions can then be mounted by the kernel. */
export function alignmentOf({ alignment, dataType }: Description): number {
  return alignment ?? (dataType === dataTypes.partition ? 4096 : 1)
}

/** Refuse what no descriptor can hold. Throws SIF_OBJECT. */
export function checkDescription({ name = '', group = 1, link, alignment = 1, extra }: Description): void {
  if (Buffer.byteLength(name) > 128 || name.includes('\0')) {
    throw new SingError('SIF_OBJECT', `the object name "${shown(name)}" is longer than 128 bytes`)
  }
  for (const id of [group, link && link.kind !== 'none' ? link.id : 0]) {
    if (!Number.isInteger(id) || id < 0 || id > 0x0fffffff) {
      throw new SingError('SIF_OBJECT', `${id} cannot be the number of an object or group`)
    }
  }
  if (!Number.isInteger(alignment) || alignment < 1 || alignment > 1 << 30) {
    throw new SingError(
      'SIF_OBJECT',
      `an object cannot be aligned to ${alignment} bytes; 1 to 1 GiB is possible`,
    )
  }
  if (extra && extra.length > 384) throw new SingError('INTERNAL', 'a descriptor has 384 extra bytes')
}

/** The architecture code in a primary partition's extra bytes; undefined for any other object. */
export function primaryArchitecture(dataType: number, extra: Uint8Array): string | undefined {
  const bytes = Buffer.from(extra)
  const primary = dataType === dataTypes.partition && bytes.readInt32LE(4) === partitionKinds.primary
  return primary ? bytes.toString('latin1', 8, 10) : undefined
}

/** A descriptor's bytes from its description and place. */
export function describe(
  { dataType, group = 1, link = { kind: 'none' }, name = '' }: Description,
  extra: Uint8Array,
  place: { id: number; offset: number; size: number; paddedSize: number; time: number },
): Buffer {
  const { id, offset, size, paddedSize, time } = place
  const times = { created: time, modified: time, uid: 0, gid: 0 }
  return encodeDescriptor({ dataType, id, group, link, offset, size, paddedSize, ...times, name, extra })
}

/**
 * Write an object's data at `offset`. Returns its size, and its extra bytes, which hold the digest of an OCI object.
 * Throws DISK_FULL or IO.
 */
export async function writeData(
  file: FileHandle,
  path: string,
  offset: number,
  { dataType, extra, data, sparse = false }: NewObject,
) {
  const needsDigest = !extra && (dataType === dataTypes.ociBlob || dataType === dataTypes.ociRootIndex)
  const hash = needsDigest ? createHash('sha256') : undefined
  let size = 0
  if (sparse) await file.truncate(offset)
  for await (const chunk of data instanceof Uint8Array ? [data] : data) {
    hash?.update(chunk)
    try {
      if (sparse && isZero(chunk)) await file.truncate(offset + size + chunk.length)
      else await writeAll(file, offset + size, chunk)
    } catch (cause) {
      throw writeError(path, cause)
    }
    size += chunk.length
  }
  return { size, extra: hash ? digestExtra(`sha256:${hash.digest('hex')}`) : (extra ?? new Uint8Array()) }
}

const zeros = Buffer.alloc(1 << 20)
const isZero = (bytes: Uint8Array): boolean =>
  bytes.length <= zeros.length && zeros.subarray(0, bytes.length).equals(bytes)

/** Write all bytes at a position; system errors come as they are. */
export async function writeAll(file: FileHandle, offset: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done)
    done += bytesWritten
  }
}

/** A system error of writing `path`, as one for people: DISK_FULL or IO. */
export function writeError(path: string, cause: unknown): SingError {
  if (cause instanceof SingError) return cause
  const full = ['ENOSPC', 'EDQUOT'].includes(errnoOf(cause) ?? '')
  return new SingError(full ? 'DISK_FULL' : 'IO', `cannot write ${shown(path)}: ${reasonOf(cause)}`, {
    cause,
  })
}

/** The refusal of one more object than the table can hold. */
export function fullTable(path: string, capacity: number): SingError {
  return new SingError(
    'SIF_OBJECT',
    `${shown(path)} takes no more objects: all ${capacity} descriptors are in use`,
  )
}

/** The refusal of another root file system. */
export function secondPrimary(path: string): SingError {
  return new SingError('SIF_OBJECT', `${shown(path)} has a primary system partition already`, {
    hint: 'Add it as a system partition (--parttype 1), then choose it with: sing sif setprim ID IMAGE',
  })
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r')
  // Some file systems cannot sync directories, and then the rename is as safe as it gets.
  await directory.sync().catch(() => {})
}
