/**
 * A sandbox that becomes an image file without a copy of it: the tree is packed where it lies, untouched, and what the image
 * says about itself is made in a small tree of its own and packed in the place of the sandbox's.
 */

import { createReadStream, lstatSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Entry } from '../native/addon.ts'
import { typeOf } from '../native/entries.ts'
import { copyTree } from './copy.ts'
import { existsInside, resolveInside } from './inside.ts'
import { prepareRootfs } from './metadata.ts'
import type { BuildTools } from './request.ts'

const metadata = '.singularity.d'

/** A tree to be packed: a directory without some of its parts, and what comes in addition. */
export type Tree = {
  readonly root: string
  /** Relative paths. */
  readonly exclude: readonly string[]
  readonly extra: readonly Entry[]
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** Directories of a sandbox that hold what the image says about itself; undefined when links lead to them. */
export function metadataDirectories(sandbox: string): string[] | undefined {
  const parents = [metadata, 'scif', 'scif/apps'].filter((path) => existsInside(sandbox, `/${path}`))
  if (!parents.every((path) => isDirectory(join(sandbox, path)))) return undefined
  const names = parents.includes('scif/apps') ? readdirSync(join(sandbox, 'scif/apps')) : []
  const apps = names.map((name) => `scif/apps/${name}`)
  if (apps.some((path) => lstatSync(join(sandbox, path)).isSymbolicLink())) return undefined
  const ofApps = apps.map((path) => `${path}/scif`).filter((path) => isDirectory(join(sandbox, path)))
  return parents.includes(metadata) ? [metadata, ...ofApps] : ofApps
}

/** Copy what the sandbox says about itself, and the base files of an image, into the empty directory `own`. */
export async function copyMetadata(
  sandbox: string,
  directories: readonly string[],
  own: string,
  tools: BuildTools,
): Promise<void> {
  const { facts, report, signal, scratch } = tools
  for (const path of directories) {
    mkdirSync(join(own, path), { recursive: true, mode: 0o755 })
    const options = { scratch: scratch.path, ownership: facts.isRoot, report, signal }
    await copyTree(join(sandbox, path), join(own, path), options)
  }
  await prepareRootfs(own)
}

function pathsIn(root: string, path: string): string[] {
  if (!isDirectory(join(root, path))) return [path]
  return [path, ...readdirSync(join(root, path)).flatMap((name) => pathsIn(root, `${path}/${name}`))]
}

/** The two halves of a device number as Linux packs them (makedev(3)). */
function deviceOf(number: number): { major: number; minor: number } {
  return { major: (number >>> 8) & 0xfff, minor: (number & 0xff) | ((number >>> 12) & 0xfff00) }
}

/** Opened only when it is its turn. */
async function* dataOf(file: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(file)
}

function entryOf(file: string, path: string): Entry {
  const stats = lstatSync(file)
  // Only what is a file is read: a pipe would keep us waiting for its writer.
  const type = typeOf(stats.mode)
  return {
    path,
    type,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    mtime: Math.floor(stats.mtimeMs / 1000),
    size: type === 'file' ? stats.size : 0,
    ...(type === 'block' || type === 'character' ? { device: deviceOf(stats.rdev) } : {}),
    ...(type === 'file' ? { data: dataOf(file) } : {}),
    ...(type === 'symlink' ? { link: readlinkSync(file) } : {}),
  }
}

/** Where a path of the image lies in the sandbox, whose directories may be links: relative. */
function placeIn(sandbox: string, path: string): string {
  return join(resolveInside(sandbox, dirname(path)), path.slice(path.lastIndexOf('/') + 1)).slice(
    sandbox.length + 1,
  )
}

/** The root of the image is for everybody to enter, however private the directory of the sandbox is. */
function rootEntry(sandbox: string): Entry {
  return { ...entryOf(sandbox, '.'), mode: 0o755 }
}

/** The sandbox with its metadata replaced by those in `own`, and with the base files that it lacks. */
export function mergedTree(sandbox: string, own: string): Tree {
  const extra = readdirSync(own)
    .filter((name) => name !== 'scif')
    .flatMap((name) => pathsIn(own, name))
    .filter(
      (path) => path === metadata || path.startsWith(`${metadata}/`) || !existsInside(sandbox, `/${path}`),
    )
    .map((path) => entryOf(join(own, path), path.startsWith(metadata) ? path : placeIn(sandbox, `/${path}`)))
  return { root: sandbox, exclude: [metadata], extra: [rootEntry(sandbox), ...extra] }
}
