/**
 * Changing SIF files in place: add and delete objects, choose the root file system. Data first, then the table, the
 * header last, each synced, so that a crash leaves the old file or the new one.
 */

import { Buffer } from 'node:buffer'
import { access, type FileHandle, open } from 'node:fs/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import {
  dataTypes,
  descriptorLength,
  headerLength,
  noTime,
  partitionKinds,
  patchHeader,
  patchPartition,
  type SifObject,
  tableWindow,
  unknownArchitecture,
} from './format.ts'
import { findObject, objectWindow, openFile, parseSif, readAt, type Sif } from './read.ts'
import {
  align,
  alignmentOf,
  type CreateOptions,
  checkDescription,
  type Description,
  describe,
  fullTable,
  type NewObject,
  primaryArchitecture,
  SifWriter,
  secondPrimary,
  writeAll,
  writeData,
  writeError,
} from './write.ts'

export type EditOptions = {
  /** Unix seconds of the change; now unless given. */
  time?: number
}

/** A SIF open for a change, and its header and table as they were read. */
type Draft = { file: FileHandle; sif: Sif; table: Buffer; tableOffset: number; time: number }

type HeaderChanges = Parameters<typeof patchHeader>[1]

/** Make an empty SIF. Throws EXISTS when something has that name, unless forced. */
export async function newSif(path: string, options: CreateOptions & { force?: boolean } = {}): Promise<void> {
  const exists = await access(path).then(
    () => true,
    () => false,
  )
  if (exists && !options.force) {
    throw new SingError('EXISTS', `cannot create ${shown(path)}: it exists already`, {
      hint: 'To replace it with an empty image, add --force.',
    })
  }
  await using writer = await SifWriter.create(path, { launch: false, ...options })
  await writer.commit()
}

/**
 * Add an object behind the last one, in the first free descriptor. Returns its id.
 * Throws SIF_OBJECT when the table is full, an object lies outside the file, or it would be a second primary partition.
 */
export async function addObject(path: string, object: NewObject, options: EditOptions = {}): Promise<number> {
  checkDescription(object)
  await using file = await openFile(path, 'r+')
  const draft = beginEdit(file, path, options)
  const { sif, table, time } = draft
  const slot = freeSlot(draft)
  const arch = object.extra && primaryArchitecture(object.dataType, object.extra)
  if (arch !== undefined && sif.objects.some(isPrimary)) throw secondPrimary(path)
  for (const other of sif.objects) objectWindow(sif, other)

  const end = endOfData(sif, sif.objects)
  const offset = align(end, alignmentOf(object))
  const { size, extra } = await writeOrUndo(draft, offset, object)
  const id = freeId(sif, slot)
  const place = { id, offset, size, paddedSize: offset - end + size, time }
  describe(object, extra, place).copy(table, slot * descriptorLength)
  const { dataOffset, total } = sif.header
  await finishEdit(draft, {
    ...(arch === undefined ? {} : { arch }),
    ...(dataOffset >= 0 && dataOffset <= offset ? { dataSize: offset + size - dataOffset } : {}),
    free: total - sif.objects.length - 1,
  })
  return id
}

/**
 * Add the content of a file (or pipe) as an object. Returns its id.
 * Throws IO when the file cannot be read, and like `addObject`.
 */
export async function addFile(
  path: string,
  from: string,
  description: Description,
  options: EditOptions = {},
) {
  const source = await open(from).catch((cause) => {
    throw new SingError('IO', `cannot open ${shown(from)}: ${reasonOf(cause)}`, { cause })
  })
  await using file = source
  const facts = await file.stat()
  // The file may be the image itself, which grows while it is read.
  const range = facts.isFile() ? { start: 0, end: facts.size - 1 } : {}
  const empty = facts.isFile() && facts.size === 0
  const data = empty ? new Uint8Array() : readStream(file, from, range)
  return await addObject(path, { ...description, data }, options)
}

async function* readStream(file: FileHandle, path: string, range: { start?: number; end?: number }) {
  try {
    yield* file.createReadStream({
      ...range,
      autoClose: false,
      highWaterMark: 1 << 20,
    }) as AsyncIterable<Buffer>
  } catch (cause) {
    throw new SingError('IO', `cannot read ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * Free an object's descriptor. Its data stays in the file until something is written over it.
 * Throws SIF_OBJECT when there is not exactly one object with this id.
 */
export async function deleteObject(path: string, id: number, options: EditOptions = {}): Promise<void> {
  await using file = await openFile(path, 'r+')
  const draft = beginEdit(file, path, options)
  const { sif, table } = draft
  const object = findObject(sif, id)
  table.fill(0, object.slot * descriptorLength, (object.slot + 1) * descriptorLength)
  await finishEdit(draft, {
    ...(isPrimary(object) ? { arch: unknownArchitecture } : {}),
    free: sif.header.total - sif.objects.length + 1,
  })
}

/**
 * Make a system partition the primary one; those that were become ordinary system partitions.
 * Throws SIF_OBJECT when there is not exactly one object with this id, or it is no system partition.
 */
export async function setPrimary(path: string, id: number, options: EditOptions = {}): Promise<void> {
  await using file = await openFile(path, 'r+')
  const draft = beginEdit(file, path, options)
  const { sif, time } = draft
  const object = findObject(sif, id)
  const { partition } = object
  if (!partition || !(isPrimary(object) || partition.kind === partitionKinds.system)) {
    const what = object.dataType === dataTypes.partition ? 'a partition for other uses' : 'not a partition'
    throw new SingError(
      'SIF_OBJECT',
      `object ${id} of ${shown(path)} is ${what}; only system partitions can be primary`,
    )
  }
  const change = (target: SifObject, kind: number) =>
    patchPartition(target.raw, kind, time).copy(draft.table, target.slot * descriptorLength)
  const former = sif.objects.filter((other) => other !== object && isPrimary(other))
  if (isPrimary(object) && former.length === 0) return
  for (const other of former) change(other, partitionKinds.system)
  change(object, partitionKinds.primary)
  await finishEdit(draft, { arch: partition.arch })
}

function isPrimary({ partition }: SifObject): boolean {
  return partition?.kind === partitionKinds.primary
}

function beginEdit(file: FileHandle, path: string, options: EditOptions): Draft {
  const sif = parseSif(file.fd, path)
  const { offset, length } = tableWindow(sif.header, sif.fileSize)
  const { id, created, modified } = sif.header
  // An image that keeps neither id nor times stays reproducible when it is changed.
  const timeless = id === '' && created === noTime && modified === noTime
  const time = timeless ? noTime : (options.time ?? Math.floor(Date.now() / 1000))
  return { file, sif, table: readAt(file.fd, offset, length), tableOffset: offset, time }
}

function freeSlot({ sif, table }: Draft): number {
  for (let slot = 0; slot < sif.header.total; slot += 1) {
    if (table[slot * descriptorLength + 4] === 0) return slot
  }
  throw fullTable(sif.path, sif.header.total)
}

/** Ids follow the slots, unless another object of an odd file has that number. */
function freeId(sif: Sif, slot: number): number {
  const taken = new Set(sif.objects.map(({ id }) => id))
  let id = slot + 1
  while (taken.has(id)) id += 1
  return id
}

/** Where data may begin that must not touch header, table or an object; objects outside the file do not count. */
function endOfData(sif: Sif, objects: readonly SifObject[]): number {
  const { dataOffset } = sif.header
  const table = tableWindow(sif.header, sif.fileSize)
  const ends = objects.map(({ offset, size }) => offset + size).filter((end) => end <= sif.fileSize)
  const start = dataOffset <= sif.fileSize ? dataOffset : 0
  return ends.reduce(
    (most, end) => Math.max(most, end),
    Math.max(start, headerLength, table.offset + table.length),
  )
}

/** Write an object's data; when that fails (a full disk, say) the file gets its old length back. */
async function writeOrUndo({ file, sif }: Draft, offset: number, object: NewObject) {
  try {
    return await writeData(file, sif.path, offset, object)
  } catch (error) {
    await file.truncate(sif.fileSize).catch(() => {})
    throw error
  }
}

/**
 * Write table and header, if they still are what was read: programs that change SIF files do not lock them, so the
 * least is not to destroy the other's change.
 */
async function finishEdit(
  { file, sif, table, tableOffset, time }: Draft,
  changes: HeaderChanges,
): Promise<void> {
  const before = sif.objects
  const now = parseSif(file.fd, sif.path)
  const same =
    Buffer.compare(now.header.raw, sif.header.raw) === 0 &&
    now.objects.length === before.length &&
    now.objects.every((object, index) => Buffer.compare(object.raw, before[index]?.raw ?? object.raw) === 0)
  if (!same) {
    throw new SingError('SIF_FORMAT', `${shown(sif.path)} was changed by another program at the same time`, {
      hint: 'Nothing of this change was kept; try again.',
    })
  }
  try {
    await file.datasync()
    await writeAll(file, tableOffset, table)
    await file.datasync()
    await writeAll(file, 0, patchHeader(sif.header.raw, { ...changes, modified: time }))
    await file.sync()
  } catch (cause) {
    throw writeError(sif.path, cause)
  }
}
