/** Opening SIF files: header and descriptors, the choice of one object, and the bytes of an object. */

import { Buffer } from 'node:buffer'
import { constants, fstatSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import {
  dataTypes,
  decodeDescriptors,
  decodeHeader,
  defaultCapacity,
  defaultTableOffset,
  descriptorLength,
  filesystems,
  headerLength,
  partitionKinds,
  type SifHeader,
  type SifObject,
  tableWindow,
} from './format.ts'

export type Sif = { path: string; header: SifHeader; objects: readonly SifObject[]; fileSize: number }

/** Header and table of nearly every SIF: one read gets both. */
const usualLength = defaultTableOffset + defaultCapacity * descriptorLength
const chunkLength = 1 << 20
/** A named pipe must not keep us waiting for a writer; for regular files the flag means nothing. */
export const readOnly = constants.O_RDONLY | constants.O_NONBLOCK

/**
 * Header and objects of the SIF at `path`. What the objects claim is not yet checked; reading one does that.
 * Throws IMAGE_NOT_FOUND or IO when it cannot be opened, SIF_FORMAT when it is none.
 */
export async function readSif(path: string): Promise<Sif> {
  await using file = await openFile(path, readOnly)
  return parseSif(file.fd, path)
}

/** Open a file for the functions here; a missing one is IMAGE_NOT_FOUND, anything else IO. */
export async function openFile(path: string, flags: string | number): Promise<FileHandle> {
  try {
    return await open(path, flags)
  } catch (cause) {
    const code = errnoOf(cause) === 'ENOENT' ? 'IMAGE_NOT_FOUND' : 'IO'
    throw new SingError(code, `cannot open ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * Header and objects from an open file; synchronous because every start of a container goes through it, with two
 * system calls unless the table lies at an odd place. `path` is for messages and for reading objects later.
 */
export function parseSif(fd: number, path: string): Sif {
  try {
    const start = readStart(fd)
    try {
      return parseFrom(start, fd, path)
    } catch (error) {
      // Somebody who changes the file may have moved the table between the looks at header and table.
      const now = readStart(fd)
      if (now.subarray(0, headerLength).equals(start.subarray(0, headerLength))) throw error
      return parseFrom(now, fd, path)
    }
  } catch (cause) {
    if (!(cause instanceof SingError)) {
      throw new SingError('IO', `cannot read ${shown(path)}: ${reasonOf(cause)}`, { cause })
    }
    throw new SingError(cause.code, `cannot read ${shown(path)}: ${cause.message}`, {
      hint: cause.hint,
      cause,
    })
  }
}

const readStart = (fd: number): Buffer => readAt(fd, 0, Math.min(usualLength, fstatSync(fd).size))

function parseFrom(start: Buffer, fd: number, path: string): Sif {
  const header = decodeHeader(start)
  const fileSize = fstatSync(fd).size
  const { offset, length } = tableWindow(header, fileSize)
  const table =
    offset + length <= start.length ? start.subarray(offset, offset + length) : readAt(fd, offset, length)
  return { path, header, objects: decodeDescriptors(table, header, fileSize), fileSize }
}

/** Up to `length` bytes at `offset`; fewer only at the end of the file. */
export function readAt(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, offset + done)
    if (count === 0) break
    done += count
  }
  return bytes.subarray(0, done)
}

/** A SIF with an image of OCI in place of a root file system. */
export const isOciSif = ({ objects }: Sif): boolean =>
  objects.some(({ dataType }) => dataType === dataTypes.ociRootIndex) &&
  !objects.some(({ partition }) => partition?.kind === partitionKinds.primary)

const rootFilesystems: readonly number[] = [
  filesystems.squashfs,
  filesystems.ext3,
  filesystems.raw,
  filesystems.encryptedSquashfs,
  filesystems.gocryptfs,
]

/**
 * The one partition that is the image's root file system.
 * Throws SIF_OBJECT when there is none, or more than one, or it lies outside the file or is of an unknown kind.
 */
export function primaryPartition(sif: Sif): SifObject {
  const found = sif.objects.filter(({ partition }) => partition?.kind === partitionKinds.primary)
  const [partition] = found
  // Readers take "all descriptors free" for an empty file, whatever is in the table.
  if (partition === undefined || sif.header.free === sif.header.total) {
    const oci = sif.objects.some(({ dataType }) => dataType === dataTypes.ociRootIndex)
    throw new SingError(
      'SIF_OBJECT',
      `${shown(sif.path)} has no primary system partition, so it has no root file system`,
      {
        hint: oci ? 'It is an OCI-SIF, which holds layers of an OCI image instead' : undefined,
      },
    )
  }
  if (found.length > 1) {
    const ids = found.map(({ id }) => id).join(' and ')
    throw new SingError(
      'SIF_OBJECT',
      `${shown(sif.path)} has ${found.length} primary system partitions (objects ${ids})`,
      {
        hint: 'Choose one: sing sif setprim ID IMAGE',
      },
    )
  }
  const filesystem = partition.partition?.filesystem ?? 0
  if (!rootFilesystems.includes(filesystem)) {
    throw new SingError(
      'SIF_OBJECT',
      `the primary system partition of ${shown(sif.path)} has a file system of unknown type ${filesystem}`,
    )
  }
  if (objectWindow(sif, partition).size === 0) {
    throw new SingError('SIF_OBJECT', `the primary system partition of ${shown(sif.path)} is empty`)
  }
  return partition
}

/**
 * The one object with this id.
 * Throws SIF_OBJECT when there is none, or several.
 */
export function findObject(sif: Sif, id: number): SifObject {
  const found = sif.objects.filter((object) => object.id === id)
  const [object] = found
  if (object === undefined) {
    throw new SingError('SIF_OBJECT', `${shown(sif.path)} has no object ${id}`, {
      hint: `To see its objects: sing sif list ${shown(sif.path)}`,
    })
  }
  if (found.length > 1) {
    throw new SingError('SIF_OBJECT', `${shown(sif.path)} has ${found.length} objects with the number ${id}`)
  }
  return object
}

/**
 * Where the object's bytes are, checked to lie within the file.
 * Throws SIF_OBJECT when they do not.
 */
export function objectWindow(sif: Sif, object: SifObject): { offset: number; size: number } {
  const { offset, size } = object
  if (offset >= 0 && size >= 0 && offset + size <= sif.fileSize) return { offset, size }
  throw new SingError(
    'SIF_OBJECT',
    `object ${object.id} of ${shown(sif.path)} is not within the file (${size} bytes at ${offset}, the file has ${sif.fileSize})`,
    { hint: 'The file is cut off or damaged; fetch or build it again.' },
  )
}

/** The object's bytes. Throws SIF_OBJECT when they are more than `limit` or lie outside the file. */
export async function readObject(sif: Sif, object: SifObject, limit = 64 * 1024 * 1024): Promise<Buffer> {
  if (object.size > limit) {
    throw new SingError(
      'SIF_OBJECT',
      `object ${object.id} of ${shown(sif.path)} has ${object.size} bytes, more than expected (${limit})`,
    )
  }
  const chunks: Buffer[] = []
  for await (const chunk of streamObject(sif, object)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The object's bytes in order, in chunks of at most 1 MiB, each its own memory. */
export async function* streamObject(sif: Sif, object: SifObject): AsyncGenerator<Buffer, void, undefined> {
  const { offset, size } = objectWindow(sif, object)
  await using file = await openFile(sif.path, readOnly)
  for (let done = 0; done < size; ) {
    const bytes = Buffer.alloc(Math.min(chunkLength, size - done))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset + done)
    if (bytesRead === 0) {
      throw new SingError(
        'SIF_OBJECT',
        `${shown(sif.path)} ended within object ${object.id}: it has become shorter`,
      )
    }
    yield bytes.subarray(0, bytesRead)
    done += bytesRead
  }
}
