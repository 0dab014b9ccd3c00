/** Changing SIF files in place: add and delete objects, choose the root file system. When a change holds is for `draft.ts`. */

import { access, type FileHandle, open } from 'node:fs/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type Draft, type EditOptions, editSif } from './draft.ts'
import {
  dataTypes,
  descriptorLength,
  headerLength,
  partitionKinds,
  patchPartition,
  type SifObject,
  tableWindow,
  unknownArchitecture,
} from './format.ts'
import { findObject, objectWindow, type Sif } from './read.ts'
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
  writeData,
} from './write.ts'

export type { EditOptions } from './draft.ts'

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

/** An image that stays open, and what was read of it in the beginning: nothing is looked up by its path again. */
export type OpenSif = { readonly fd: number; readonly sif: Sif }

/**
 * Add an object behind the last one, in the first free descriptor. Returns its id.
 * Throws like `addObjects`.
 */
export async function addObject(path: string, object: NewObject, options: EditOptions = {}): Promise<number> {
  checkDescription(object)
  const [id = 0] = await addObjects(path, async () => [object], options)
  return id
}

/**
 * Add objects behind the last one, in the first free descriptors: all of them, or none. `compose` makes them while nobody else
 * changes the file. Returns their ids.
 * Throws SIF_OBJECT when the table is full, an object lies outside the file, or there would be a second primary partition.
 */
export async function addObjects(
  path: string,
  compose: (source: OpenSif) => Promise<readonly NewObject[]>,
  options: EditOptions = {},
): Promise<number[]> {
  let ids: number[] = []
  await editSif(path, options, async (draft) => {
    const { sif } = draft
    for (const other of sif.objects) objectWindow(sif, other)
    const objects = await compose({ fd: draft.file.fd, sif })
    const slots = freeSlots(draft, objects.length)
    ids = freeIds(sif, slots)
    const arch = newPrimary(sif, objects)
    let end = endOfData(sif, sif.objects)
    for (const [index, object] of objects.entries()) {
      end = await putObject(draft, object, { slot: slots[index] ?? 0, id: ids[index] ?? 0, end })
    }
    const { dataOffset, total } = sif.header
    return {
      ...(arch === undefined ? {} : { arch }),
      ...(dataOffset >= 0 && dataOffset <= end ? { dataSize: end - dataOffset } : {}),
      free: total - sif.objects.length - objects.length,
    }
  })
  return ids
}

/** Write an object behind `end`, and its descriptor into the table. Returns where it ends. */
async function putObject(
  { file, sif, table, time }: Draft,
  object: NewObject,
  { slot, id, end }: { slot: number; id: number; end: number },
): Promise<number> {
  const offset = align(end, alignmentOf(object))
  const { size, extra } = await writeData(file, sif.path, offset, object)
  const descriptor = describe(object, extra, { id, offset, size, paddedSize: offset - end + size, time })
  descriptor.copy(table, slot * descriptorLength)
  return offset + size
}

/** The architecture of the primary partition among new objects; one in all may be there. */
function newPrimary(sif: Sif, objects: readonly NewObject[]): string | undefined {
  const found = objects.flatMap(
    ({ extra, dataType }) => (extra && primaryArchitecture(dataType, extra)) ?? [],
  )
  if (found.length + sif.objects.filter(isPrimary).length > 1 && found.length > 0)
    throw secondPrimary(sif.path)
  return found[0]
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
  await editSif(path, options, async ({ sif, table }) => {
    const object = findObject(sif, id)
    table.fill(0, object.slot * descriptorLength, (object.slot + 1) * descriptorLength)
    const arch = isPrimary(object) ? { arch: unknownArchitecture } : {}
    return { ...arch, free: sif.header.total - sif.objects.length + 1 }
  })
}

/**
 * Make a system partition the primary one; those that were become ordinary system partitions.
 * Throws SIF_OBJECT when there is not exactly one object with this id, or it is no system partition.
 */
export async function setPrimary(path: string, id: number, options: EditOptions = {}): Promise<void> {
  await editSif(path, options, async ({ sif, table, time }) => {
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
      patchPartition(target.raw, kind, time).copy(table, target.slot * descriptorLength)
    const former = sif.objects.filter((other) => other !== object && isPrimary(other))
    if (isPrimary(object) && former.length === 0) return undefined
    for (const other of former) change(other, partitionKinds.system)
    change(object, partitionKinds.primary)
    return { arch: partition.arch }
  })
}

function isPrimary({ partition }: SifObject): boolean {
  return partition?.kind === partitionKinds.primary
}

function freeSlots({ sif, table }: Draft, count: number): number[] {
  const all = Array.from({ length: sif.header.total }, (_, slot) => slot)
  const free = all.filter((slot) => table[slot * descriptorLength + 4] === 0)
  if (free.length < count) throw fullTable(sif.path, sif.header.total)
  return free.slice(0, count)
}

/** Ids follow the slots, unless another object of an odd file has that number. */
function freeIds(sif: Sif, slots: readonly number[]): number[] {
  const taken = new Set(sif.objects.map(({ id }) => id))
  return slots.map((slot) => {
    let id = slot + 1
    while (taken.has(id)) id += 1
    taken.add(id)
    return id
  })
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
