/** What is in an image, a line for each file, so that two images can be compared and an expectation can be kept as text. */

import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openImage } from '../../src/image/open.ts'
import { SquashfsImage } from '../../src/native/addon.ts'
import { must } from './oci.ts'

/** A file of an image: type, mode, owner, and what it holds. */
export type Line = { readonly what: string; readonly owner: string }

/** Files of an image by their shown paths; the root is `/`. */
export type Tree = ReadonlyMap<string, Line>

export type TreeOptions = {
  /** Not everybody who makes an image writes the same words here: only that the file is there counts. */
  readonly isOwnText?: (path: string) => boolean
  /** What counts of a text. */
  readonly contentOf?: (text: string, path: string) => string
}

/** Names are bytes: what is no plain sign is shown as its number. */
const shown = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replace(/[^!-~]|\\/g, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`)

function typeOf(stats: Stats): string {
  if (stats.isDirectory()) return 'directory'
  if (stats.isFile()) return 'file'
  if (stats.isSymbolicLink()) return 'link'
  if (stats.isFIFO()) return 'pipe'
  return stats.isSocket() ? 'socket' : 'device'
}

/** Files without a right to read them are ours nevertheless. */
function bytesOf(place: Buffer, mode: number): Buffer {
  if ((mode & 0o400) === 0) chmodSync(place, 0o600)
  return readFileSync(place)
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16)

/** Everything in an image file; owners are those in the image whoever looks. */
export async function treeOf(path: string, options: TreeOptions = {}): Promise<Tree> {
  const { rootfs } = await openImage(path, { anyArchitecture: true })
  if ('directory' in rootfs) throw new Error(`${path} is a directory`)
  await using image = await SquashfsImage.open(rootfs.file, rootfs.offset, rootfs.size)
  const place = mkdtempSync(join(tmpdir(), 'sing-tree-'))
  try {
    await image.extract(place)
    return await walk(Buffer.from(place), image, options)
  } finally {
    await must(['chmod', '-R', 'u+rwX', place])
    rmSync(place, { recursive: true })
  }
}

async function walk(place: Buffer, image: SquashfsImage, options: TreeOptions): Promise<Tree> {
  const lines = new Map<string, Line>()
  const names = new Map<number, string>()
  const visit = async (path: Buffer): Promise<void> => {
    const inside = path.subarray(place.length)
    const name = shown(inside) || '/'
    const stats = lstatSync(path)
    // Owners are asked for by text.
    const stat = await image.stat(inside.toString() || '/', false)
    const first = stats.isDirectory() ? name : (names.get(stats.ino) ?? name)
    names.set(stats.ino, first)
    const holds = first === name ? held(path, name, stats, options) : `= ${first}`
    const mode = (stat?.mode ?? stats.mode & 0o7777).toString(8)
    lines.set(name, { what: `${typeOf(stats)} ${mode} ${holds}`.trim(), owner: `${stat?.uid}:${stat?.gid}` })
    if (!stats.isDirectory()) return
    for (const child of readdirSync(path, 'buffer').sort(Buffer.compare))
      await visit(Buffer.concat([path, Buffer.from('/'), child]))
  }
  await visit(place)
  return lines
}

function held(
  place: Buffer,
  name: string,
  stats: Stats,
  { isOwnText, contentOf = (text) => text }: TreeOptions,
): string {
  if (stats.isSymbolicLink()) return `-> ${shown(readlinkSync(place, 'buffer'))}`
  if (!stats.isFile()) return ''
  if (isOwnText?.(name)) return '(its own words)'
  const bytes = bytesOf(place, stats.mode)
  const text = bytes.toString()
  return digest(Buffer.from(text).equals(bytes) ? Buffer.from(contentOf(text, name)) : bytes)
}

/** The lines of a tree that another does not have, and those that it lacks. */
export function differences(tree: Tree, from: Tree, withOwners: boolean): string[] {
  const line = (path: string, { what, owner }: Line) => `${path} ${what}${withOwners ? ` ${owner}` : ''}`
  const added = [...tree].flatMap(([path, one]) => {
    const other = from.get(path)
    return other && line(path, other) === line(path, one) ? [] : [line(path, one)]
  })
  return [...added, ...[...from.keys()].filter((path) => !tree.has(path)).map((path) => `${path} is gone`)]
}
