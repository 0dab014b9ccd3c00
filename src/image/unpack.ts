/**
 * An image as files in a directory, with the layers of an OCI-SIF as the one tree that an overlay of them shows. Each layer is
 * unpacked on its own, and what it leaves visible of those below is moved into it: nothing is copied.
 */

import { Buffer } from 'node:buffer'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  type Stats,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf, reasonOf, SingError } from '../core/errors.ts'
import { type ExtractOptions, SquashfsImage } from '../native/addon.ts'
import { isOpaque } from './layered.ts'
import type { Window } from './open.ts'

/** Bytes that the files of layers take, hidden ones included, and the newest time that a layer has. */
export async function sizeOfLayers(layers: readonly Window[]): Promise<{ bytes: number; time: number }> {
  let [bytes, time] = [0, 0]
  for (const { file, offset, size } of layers) {
    await using layer = await SquashfsImage.open(file, offset, size)
    bytes += layer.info.bytes
    time = Math.max(time, layer.info.time)
  }
  return { bytes, time }
}

/**
 * Fill the existing directory `to` with what layers show, lowest first. `work` is a directory beside it, where others may be
 * made; the caller removes it.
 * @throws SingError SQUASHFS, IO or DISK_FULL
 */
export async function unpackLayers(
  layers: readonly Window[],
  to: string,
  work: string,
  options: ExtractOptions,
): Promise<void> {
  let below: string | undefined
  for (const [index, { file, offset, size }] of layers.entries()) {
    const tree = index === layers.length - 1 ? to : join(work, `layer-${index}`)
    if (tree !== to) mkdirSync(tree, { mode: 0o700 })
    await using layer = await SquashfsImage.open(file, offset, size)
    await layer.extract(tree, options)
    if (below !== undefined) await layOver(layer, tree, below)
    below = tree
  }
}

async function layOver(layer: SquashfsImage, tree: string, below: string): Promise<void> {
  try {
    await merge(layer, '', Buffer.from(tree), Buffer.from(below))
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    throw new SingError('IO', `cannot unpack the layers into ${tree}: ${reasonOf(cause)}`, { cause })
  }
}

const slash = Buffer.from('/')
const below = (directory: Buffer, name: Buffer): Buffer => Buffer.concat([directory, slash, name])
/** Names are bytes, and sets know texts. */
const key = (name: Buffer): string => name.toString('latin1')

/** Let the owner change a directory; undefined where it may be changed already. */
function opened(directory: Buffer, { mode }: Stats): boolean {
  if ((mode & 0o700) === 0o700) return false
  chmodSync(directory, 0o700)
  return true
}

/** The directory as it was, after names in it have changed. */
function restore(directory: Buffer, { mode, atimeMs, mtimeMs }: Stats, wasOpened: boolean): void {
  if (wasOpened) chmodSync(directory, mode & 0o7777)
  try {
    utimesSync(directory, atimeMs / 1000, mtimeMs / 1000)
  } catch (error) {
    // A directory of somebody else, who let us write into it.
    if (errnoOf(error) !== 'EPERM') throw error
  }
}

/** Another parent is written into the directory that moves. */
function move(from: Buffer, to: Buffer): void {
  const stats = lstatSync(from)
  const wasOpened = stats.isDirectory() && opened(from, stats)
  renameSync(from, to)
  if (wasOpened) chmodSync(to, stats.mode & 0o7777)
}

const isDirectory = (path: Buffer): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/** Move into `upper`, the directory `path` of a layer, what it shows of `lower`; without `lower` there is nothing below. */
async function merge(
  layer: SquashfsImage,
  path: string,
  upper: Buffer,
  lower: Buffer | undefined,
): Promise<void> {
  const stats = lstatSync(upper)
  const wasOpened = opened(upper, stats)
  const own = readdirSync(upper, { encoding: 'buffer' })
  const shown = lower !== undefined && !(await isOpaque(layer, path || '/')) ? lower : undefined
  if (shown) {
    // Marks that could not be made hide all the same.
    const unmade = (await layer.list(path || '/'))?.map((name) => key(Buffer.from(name))) ?? []
    const taken = new Set([...own.map(key), ...unmade])
    opened(shown, lstatSync(shown))
    for (const name of readdirSync(shown, { encoding: 'buffer' }))
      if (!taken.has(key(name))) move(below(shown, name), below(upper, name))
  }
  for (const name of own) {
    const entry = below(upper, name)
    const facts = lstatSync(entry)
    if (facts.isCharacterDevice() && facts.rdev === 0) unlinkSync(entry)
    if (!facts.isDirectory()) continue
    const under = shown && isDirectory(below(shown, name)) ? below(shown, name) : undefined
    await merge(layer, `${path}/${name}`, entry, under)
  }
  restore(upper, stats, wasOpened)
}
