/** What --overlay names: a directory, a squashfs or ext3 file, or the overlay partitions of a SIF. */

import { accessSync, closeSync, constants, fstatSync, lstatSync, openSync, statfsSync } from 'node:fs'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { partitionKinds } from '../sif/format.ts'
import { isOciSif, objectWindow, parseSif, readAt } from '../sif/read.ts'
import { ext3Length, isExt3 } from './ext3.ts'
import { checkFilesystem, type Directory, mountable, type Overlay } from './open.ts'
import { isSquashfs } from './superblock.ts'

/** Something to lay over an image. A directory keeps changes in `upper/`, and so does an ext3. */
export type OverlayLayer =
  | (Directory & {
      /** Its changes are marked as fuse-overlayfs does it, which the kernel does not understand. */
      readonly marked?: boolean
    })
  | Overlay

function refuse(path: string, reason: string, hint?: string): SingError {
  return new SingError('OVERLAY', `--overlay ${shown(path)}: ${reason}`, { hint })
}

const readOnlyHint = 'To only read it, add :ro'

function requireWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    throw refuse(path, `it cannot be written to: ${reasonOf(cause)}`, readOnlyHint)
  }
}

/**
 * Both drivers leave a directory behind in work/: the kernel's has no permissions, that of fuse-overlayfs has some. Looking
 * for the marks themselves would mean to walk through all changes.
 */
export function isMarked(path: string): boolean {
  const work = lstatSync(`${path}/work/work`, { throwIfNoEntry: false })
  return work?.isDirectory() === true && (work.mode & 0o777) !== 0
}

/** Nothing where no changes were ever written. */
function directoryLayers(path: string, readonly: boolean): OverlayLayer[] {
  if (!readonly) requireWritable(path)
  if (readonly && !lstatSync(`${path}/upper`, { throwIfNoEntry: false })?.isDirectory()) return []
  return [{ directory: path, type: statfsSync(path).type, marked: isMarked(path) }]
}

function sifLayers(fd: number, path: string): Overlay[] {
  const sif = parseSif(fd, path)
  return sif.objects.flatMap((object) => {
    const { partition } = object
    const filesystem = partition && mountable[partition.filesystem]
    if (partition?.kind !== partitionKinds.overlay || !filesystem) return []
    return [{ file: path, ...objectWindow(sif, object), filesystem }]
  })
}

function fileLayers(fd: number, path: string, fileSize: number): Overlay[] {
  const head = readAt(fd, 0, ext3Length)
  if (head.toString('latin1', 0x20, 0x29) === 'SIF_MAGIC') {
    const layers = sifLayers(fd, path)
    if (layers.length > 0) return layers
    if (isOciSif(parseSif(fd, path))) throw refuse(path, 'it is an OCI-SIF, whose layers belong to its image')
    throw refuse(
      path,
      'it is a SIF without an overlay partition',
      `To add one: sing overlay create ${shown(path)}`,
    )
  }
  const filesystem = isSquashfs(head) ? 'squashfs' : isExt3(head) ? 'ext3' : undefined
  if (filesystem) return [{ file: path, offset: 0, size: fileSize, filesystem }]
  throw refuse(
    path,
    'it is neither a directory nor a squashfs, ext3 or SIF file',
    `To make an overlay: sing overlay create FILE, or mkdir DIRECTORY`,
  )
}

function hintFor(path: string): string {
  const [, start = '', option = ''] = /^(.*):([^/:]*)$/.exec(path) ?? []
  if (start && lstatSync(start, { throwIfNoEntry: false }))
    return `"${shown(option)}" is no option of an overlay: :ro and :rw are`
  return `To make it: mkdir ${shown(path)}`
}

function openPath(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw refuse(path, reasonOf(cause), errnoOf(cause) === 'ENOENT' ? hintFor(path) : undefined)
  }
}

/**
 * The layers behind a word of --overlay, lowest first.
 * @throws SingError OVERLAY when there is nothing to lay over an image, or it cannot be written to and should be
 */
export function openOverlay(path: string, readonly: boolean): OverlayLayer[] {
  const fd = openPath(path)
  try {
    const facts = fstatSync(fd)
    if (facts.isDirectory()) return directoryLayers(path, readonly)
    if (!facts.isFile()) throw refuse(path, 'it is neither a file nor a directory')
    const layers = fileLayers(fd, path, facts.size)
    for (const layer of layers) checkFilesystem(fd, layer, path)
    if (!readonly && layers.some(({ filesystem }) => filesystem === 'ext3')) requireWritable(path)
    return layers
  } finally {
    closeSync(fd)
  }
}
