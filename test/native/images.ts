/** Trees and images for the tests of the addon. */

import {
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Entry, type PackOptions, packDirectory, packEntries } from '../../src/native/addon.ts'

/** When the files of `makeTree` were changed, in seconds since 1970. */
export const treeTime = 1_600_000_000

/** Bytes that no compressor makes small, the same in every run. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size)
  let state = seed
  for (let index = 0; index < size; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

/** A tree with one of everything that a plain user can make. Returns its path. */
export function makeTree(folder: string): string {
  const root = join(folder, 'tree')
  mkdirSync(join(root, 'deep/er'), { recursive: true })
  mkdirSync(join(root, 'closed'))
  writeFileSync(join(root, 'empty'), '')
  writeFileSync(join(root, 'small'), 'a few bytes\n')
  writeFileSync(join(root, 'deep/er/large'), noise(300_000))
  writeFileSync(join(root, 'deep/copy'), noise(300_000))
  writeFileSync(join(root, 'deep/text'), 'line after line\n'.repeat(20_000))
  writeFileSync(join(root, 'program'), '#!/bin/sh\n')
  writeFileSync(join(root, 'ünïcode name'), 'x')
  linkSync(join(root, 'small'), join(root, 'deep/again'))
  symlinkSync('deep/er', join(root, 'link'))
  symlinkSync('nowhere', join(root, 'dangling'))
  writeFileSync(join(root, 'holes'), '')
  truncateSync(join(root, 'holes'), 5_000_000)
  chmodSync(join(root, 'program'), 0o4755)
  chmodSync(join(root, 'closed'), 0o1555)
  setTimes(root)
  return root
}

function setTimes(path: string): void {
  const stat = lstatSync(path)
  if (stat.isDirectory()) for (const name of readdirSync(path)) setTimes(join(path, name))
  lutimesSync(path, treeTime, treeTime)
}

/** A file with an image in it, made by `fill`. Returns what packing returned. */
async function packed<T>(path: string, fill: (fd: number) => Promise<T>): Promise<T> {
  const fd = openSync(path, 'w+')
  try {
    return await fill(fd)
  } finally {
    closeSync(fd)
  }
}

type Options = Partial<Omit<PackOptions, 'fd'>>

export function packTree(root: string, path: string, options: Options = {}) {
  return packed(path, (fd) => packDirectory(root, { fd, offset: 0, ...options }))
}

export function packList(entries: readonly Entry[], path: string, options: Options = {}) {
  return packed(path, (fd) => packEntries(streamOf(entries), { fd, offset: 0, ...options }))
}

/** Things as a stream, which is how entries and their data come. */
export async function* streamOf<T>(things: Iterable<T>): AsyncGenerator<T> {
  yield* things
}

/** An entry with plain attributes. */
export function entry(path: string, type: Entry['type'], more: Partial<Entry> = {}): Entry {
  return {
    path,
    type,
    mode: type === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
    size: 0,
    ...more,
  }
}

/** A regular file with this content. */
export function file(path: string, content: string | Uint8Array, more: Partial<Entry> = {}): Entry {
  const data = Buffer.from(content)
  return entry(path, 'file', { size: data.length, data: streamOf([data]), ...more })
}

/** Everything about a tree that an image keeps, a line for each path; hard links by the first path of the file. */
export function describeTree(root: string): string[] {
  const first = new Map<number, string>()
  const lines: string[] = []
  const walk = (path: string): void => {
    const full = join(root, path)
    const { mode, uid, gid, size, mtimeMs, ino, nlink } = lstatSync(full)
    const type = mode & 0o170000
    const isDirectory = type === 0o040000
    const earlier = isDirectory ? path : (first.get(ino) ?? path)
    first.set(ino, earlier)
    const content =
      type === 0o120000 ? readlinkSync(full) : type === 0o100000 ? readFileSync(full).toString('base64') : ''
    const links = isDirectory ? '' : nlink
    const length = isDirectory ? '' : size
    const seconds = Math.floor(mtimeMs / 1000)
    lines.push([path, mode.toString(8), uid, gid, length, seconds, links, earlier, content].join(' '))
    if (isDirectory) for (const name of readdirSync(full).sort()) walk(join(path, name))
  }
  walk('.')
  return lines
}
