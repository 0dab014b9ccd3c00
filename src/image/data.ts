/** Image files as the source of a bind: which part of the file holds the file system to bind from. */

import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { partitionKinds, type SifObject } from '../sif/format.ts'
import {
  findObject,
  isOciSif,
  objectWindow,
  parseSif,
  primaryPartition,
  readAt,
  type Sif,
} from '../sif/read.ts'
import { ext3Length, isExt3 } from './ext3.ts'
import { checkFilesystem, isEncrypted, mountable, type Overlay, type Window } from './open.ts'
import { isSquashfs } from './superblock.ts'

function refuse(path: string, reason: string, hint?: string): SingError {
  return new SingError('BIND', `cannot bind from the image ${shown(path)}: ${reason}`, { hint })
}

/** The object asked for, else the only data partition, else the root file system. */
function choosePartition(sif: Sif, path: string, id: number | undefined): SifObject {
  if (id !== undefined) return findObject(sif, id)
  const data = sif.objects.filter(({ partition }) => partition?.kind === partitionKinds.data)
  if (data.length > 1)
    throw refuse(path, `it has ${data.length} data partitions`, 'Choose one with id=NUMBER')
  return data[0] ?? primaryPartition(sif)
}

type Part = { offset: number; size: number; filesystem: Overlay['filesystem'] }

async function ociSifPart(fd: number, sif: Sif): Promise<Part> {
  const { ociSifLayers, readOciSif } = await import('./oci-sif.ts')
  const [layer, ...more] = ociSifLayers(fd, readOciSif(fd, sif), sif.path)
  if (layer && more.length === 0) return layer
  throw refuse(
    sif.path,
    `it is an OCI-SIF of ${more.length + 1} layers, and one is needed`,
    'Make one of them: sing build IMAGE.sif SOURCE',
  )
}

async function sifPart(fd: number, path: string, id: number | undefined): Promise<Part> {
  const sif = parseSif(fd, path)
  if (id === undefined && isOciSif(sif)) return ociSifPart(fd, sif)
  const object = choosePartition(sif, path, id)
  const { partition } = object
  if (!partition)
    throw refuse(path, `object ${object.id} is no file system`, `See: sing sif list ${shown(path)}`)
  if (isEncrypted(partition.filesystem))
    throw refuse(
      path,
      `object ${object.id} is encrypted`,
      'Bind from its files: sing build --sandbox DIRECTORY IMAGE',
    )
  const filesystem = mountable[partition.filesystem]
  if (!filesystem) throw refuse(path, `object ${object.id} is neither a squashfs nor an ext3`)
  return { ...objectWindow(sif, object), filesystem }
}

function barePart(head: Uint8Array, path: string, size: number): Part {
  if (isSquashfs(head)) return { offset: 0, size, filesystem: 'squashfs' }
  if (isExt3(head)) return { offset: 0, size, filesystem: 'ext3' }
  throw refuse(path, 'it is neither a SIF nor a squashfs nor an ext3 file')
}

/** Whether a file says at its beginning that it is an image. */
export function isImageFile(path: string): boolean {
  const fd = openFile(path)
  try {
    const head = readAt(fd, 0, ext3Length)
    return isSif(head) || isSquashfs(head) || isExt3(head)
  } finally {
    closeSync(fd)
  }
}

const isSif = (head: Buffer): boolean => head.toString('latin1', 0x20, 0x29) === 'SIF_MAGIC'

function openFile(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw refuse(path, reasonOf(cause))
  }
}

/**
 * The part of an image file (SIF, squashfs or ext3) that a bind with `image-src` or `id` means. `id` is the number of a SIF object.
 * @throws SingError BIND when it is a directory, no image or of a kind that cannot be bound
 */
export async function openDataImage(path: string, id: number | undefined): Promise<Window> {
  const fd = openFile(path)
  try {
    const facts = fstatSync(fd)
    if (!facts.isFile())
      throw refuse(path, 'it is no image file', 'Bind a directory without image-src and id')
    const head = readAt(fd, 0, ext3Length)
    const part = isSif(head) ? await sifPart(fd, path, id) : barePart(head, path, facts.size)
    checkFilesystem(fd, part, path)
    const { offset, size, filesystem } = part
    return { file: resolve(path), offset, size, filesystem }
  } finally {
    closeSync(fd)
  }
}
