/** Image files as the source of a bind: which part of the file holds the file system to bind from. */

import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { filesystems, partitionKinds, type SifObject } from '../sif/format.ts'
import { findObject, objectWindow, parseSif, primaryPartition, readAt } from '../sif/read.ts'
import type { Window } from './open.ts'
import { checkSuperblock, isSquashfs, superblockLength } from './superblock.ts'

function refuse(path: string, reason: string, hint?: string): SingError {
  return new SingError('BIND', `cannot bind from the image ${shown(path)}: ${reason}`, { hint })
}

/** The object asked for, else the only data partition, else the root file system. */
function choosePartition(fd: number, path: string, id: number | undefined): SifObject {
  const sif = parseSif(fd, path)
  if (id !== undefined) return findObject(sif, id)
  const data = sif.objects.filter(({ partition }) => partition?.kind === partitionKinds.data)
  if (data.length > 1)
    throw refuse(path, `it has ${data.length} data partitions`, 'Choose one with id=NUMBER')
  return data[0] ?? primaryPartition(sif)
}

function sifWindow(fd: number, path: string, id: number | undefined): { offset: number; size: number } {
  const object = choosePartition(fd, path, id)
  const { partition } = object
  if (!partition)
    throw refuse(path, `object ${object.id} is no file system`, `See: sing sif list ${shown(path)}`)
  if (partition.filesystem !== filesystems.squashfs) {
    throw refuse(path, `object ${object.id} is no squashfs, and other file systems cannot be bound yet`)
  }
  return objectWindow(parseSif(fd, path), object)
}

function openFile(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw refuse(path, reasonOf(cause))
  }
}

/**
 * The part of an image file (SIF or squashfs) that a bind with `image-src` or `id` means. `id` is the number of a SIF object.
 * @throws SingError BIND when it is a directory, no image or of a kind that cannot be bound
 */
export function openDataImage(path: string, id: number | undefined): Window {
  const fd = openFile(path)
  try {
    const facts = fstatSync(fd)
    if (!facts.isFile())
      throw refuse(path, 'it is no image file', 'Bind a directory without image-src and id')
    const head = readAt(fd, 0, 2048)
    const isSif = head.toString('latin1', 0x20, 0x29) === 'SIF_MAGIC'
    if (!isSif && !isSquashfs(head))
      throw refuse(path, 'it is neither a SIF nor a squashfs file; ext3 cannot be bound yet')
    const { offset, size } = isSif ? sifWindow(fd, path, id) : { offset: 0, size: facts.size }
    checkSuperblock(readAt(fd, offset, superblockLength), size, path)
    return { file: resolve(path), offset, size }
  } finally {
    closeSync(fd)
  }
}
