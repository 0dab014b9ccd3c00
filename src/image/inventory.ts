/** Everything that an image holds, whatever its kind, without starting or mounting it: names, and what is in files on demand. */

import { Buffer } from 'node:buffer'
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { isCapable, SquashfsImage, type Surveyed } from '../native/addon.ts'
import { typeOf } from '../native/entries.ts'
import { readAt } from '../sif/read.ts'
import { type Layers, unpackedLayers } from './layers.ts'
import type { Window } from './open.ts'

/** A name in an image. */
export type Item = Omit<Surveyed, 'opaque' | 'place' | 'major' | 'minor'> & {
  /** By whom it is read: the layer that has it. */
  readonly layer: number
  /** Where its content is, there. */
  readonly place: number | Buffer
}

export interface Inventory extends Disposable {
  /** A directory before what it holds. */
  readonly items: readonly Item[]
  /** Directories that the caller may not look into. */
  readonly closed: readonly string[]
  /** Bytes of a regular file, fewer at its end. @throws SingError when they cannot be read */
  read(item: Item, offset: number, length: number): Buffer
}

/** An image's inventory; dispose of it after use. @throws SingError SQUASHFS, IO */
export async function takeInventory(image: Layers): Promise<Inventory> {
  const { rootfs } = image
  if ('directory' in rootfs) return directoryInventory(rootfs.directory)
  return await packedInventory(layersOf(image).toReversed())
}

/** Parts of an image that make its files, lowest first; an ext3 in it is left out, which only a mount can read. */
function layersOf(image: Layers): Window[] {
  if (image.kind === 'oci-sif') return unpackedLayers(image)
  const above = (image.overlays ?? []).filter(({ filesystem }) => filesystem === 'squashfs')
  return [...unpackedLayers(image), ...above]
}

/** @param windows topmost first */
async function packedInventory(windows: readonly Window[]): Promise<Inventory> {
  const layers: SquashfsImage[] = []
  const close = () => {
    for (const layer of layers) layer.close()
  }
  try {
    const surveys: Surveyed[][] = []
    for (const window of windows) {
      const layer = await SquashfsImage.at(window)
      layers.push(layer)
      surveys.push(await layer.survey())
    }
    return {
      items: mergeSurveys(surveys),
      closed: [],
      read: ({ layer, place }, offset, length) =>
        layers[layer]?.slice(Number(place), offset, length) ?? Buffer.alloc(0),
      [Symbol.dispose]: close,
    }
  } catch (error) {
    close()
    throw error
  }
}

const isWhiteout = ({ type, major, minor }: Surveyed): boolean =>
  type === 'character' && major === 0 && minor === 0

/** What an overlay of layers shows, topmost first (overlayfs.rst, "whiteouts and opaque directories"). */
export function mergeSurveys(surveys: readonly (readonly Surveyed[])[]): Item[] {
  const [only] = surveys
  if (only && surveys.length === 1) return only.map((entry) => ({ ...entry, layer: 0 }))
  const shown: Shown = { items: new Map(), ended: new Set(), opaque: new Set() }
  for (const [layer, survey] of surveys.entries()) addLayer(survey, layer, shown)
  return inOrder(shown.items)
}

type Shown = {
  readonly items: Map<string, Item>
  /** What is no directory in a layer: those below do not count, whether it is seen itself or not. */
  readonly ended: Set<string>
  /** Directories that hide those of the layers below. */
  readonly opaque: Set<string>
}

/** Add what a layer has and those above do not hide. */
function addLayer(survey: readonly Surveyed[], layer: number, { items, ended, opaque }: Shown): void {
  let hidden: string | undefined
  const visible: Surveyed[] = []
  for (const entry of survey) {
    const { path, type } = entry
    if (hidden !== undefined && path.startsWith(hidden)) continue
    if (ended.has(path) || opaque.has(path)) hidden = path === '/' ? '/' : `${path}/`
    else visible.push(entry)
    if (type !== 'directory') ended.add(path)
  }
  for (const entry of visible) {
    if (entry.opaque) opaque.add(entry.path)
    if (!items.has(entry.path) && !isWhiteout(entry)) items.set(entry.path, { ...entry, layer })
  }
}

/** Each directory before what it holds: by names, of which `/` is the least. */
function inOrder(items: ReadonlyMap<string, Item>): Item[] {
  const key = (path: string): string => path.replaceAll('/', '\0')
  const keyed = [...items.values()].map((item) => [key(item.path), item] as const)
  return keyed.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, item]) => item)
}

const slash = Buffer.from('/')

function directoryInventory(root: string): Inventory {
  const items: Item[] = []
  const closed: string[] = []
  walk(Buffer.from(root), '/', items, closed)
  return {
    items,
    closed,
    read: ({ place, path }, offset, length) => readStretch(root, place, path, offset, length),
    [Symbol.dispose]: () => {},
  }
}

function walk(place: Buffer, path: string, items: Item[], closed: string[]): void {
  const stats = lstatSync(place, { throwIfNoEntry: false })
  // Gone while we look.
  if (!stats) return
  const type = typeOf(stats.mode)
  items.push({
    path,
    type,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    mtime: Math.floor(stats.mtimeMs / 1000),
    size: stats.size,
    inode: stats.ino,
    links: stats.nlink,
    target: type === 'symlink' ? readlinkSync(place) : undefined,
    capable: type === 'file' && (stats.mode & 0o111) !== 0 && isCapable(place),
    layer: 0,
    place,
  })
  if (type !== 'directory') return
  for (const name of namesIn(place, path, closed))
    walk(Buffer.concat([place, slash, name]), `${path === '/' ? '' : path}/${name}`, items, closed)
}

function namesIn(place: Buffer, path: string, closed: string[]): Buffer[] {
  try {
    return readdirSync(place, { encoding: 'buffer' }).sort(Buffer.compare)
  } catch (cause) {
    if (errnoOf(cause) !== 'EACCES')
      throw new SingError('IO', `cannot look into ${shown(path)}: ${reasonOf(cause)}`, { cause })
    closed.push(path)
    return []
  }
}

function readStretch(
  root: string,
  place: number | Buffer,
  path: string,
  offset: number,
  length: number,
): Buffer {
  if (typeof place === 'number') return Buffer.alloc(0)
  try {
    // What became a link meanwhile is not followed, and a pipe does not keep us waiting.
    const fd = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      return readAt(fd, offset, length)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    if (['ENOENT', 'ELOOP', 'EACCES', 'ENXIO'].includes(errnoOf(cause) ?? '')) return Buffer.alloc(0)
    throw new SingError('IO', `cannot read ${shown(path)} of ${shown(root)}: ${reasonOf(cause)}`, { cause })
  }
}
