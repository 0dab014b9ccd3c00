/** What is in a cache: its entries, and their removal where nobody uses them. */

import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../core/errors.ts'
import { takeLock } from '../native/lock.ts'
import {
  type EntryType,
  entryTypes,
  folderOf,
  type ImageType,
  lockEnding,
  partialEnding,
  recordEnding,
  workEnding,
} from './place.ts'
import { readRecord } from './record.ts'

export type CacheEntry = {
  readonly type: EntryType
  /** What it is called in the cache. */
  readonly id: string
  /** What it was made from, where that was noted. */
  readonly name: string
  readonly path: string
  /** Bytes that it takes, with what belongs to it. */
  readonly size: number
  /** When it was last used, in milliseconds since 1970. */
  readonly used: number
  /** Half a download, or what an interrupted process left. */
  readonly isPartial: boolean
}

const endings = [partialEnding, recordEnding, lockEnding, workEnding]

function listFolder(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch {
    return []
  }
}

/** Bytes of the files at a path and below it, as they lie on the disk, and the latest time of them. */
function measure(path: string): { size: number; used: number } {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats) return { size: 0, used: 0 }
  if (!stats.isDirectory()) return { size: stats.blocks * 512, used: stats.mtimeMs }
  const inside = listFolder(path).map(({ name }) => measure(join(path, name)))
  return {
    size: inside.reduce((sum, { size }) => sum + size, 0),
    used: Math.max(stats.mtimeMs, ...inside.map(({ used }) => used)),
  }
}

/** The name without what is put behind it for files beside an entry. */
function stemOf(name: string): string {
  const ending = endings.find((candidate) => name.endsWith(candidate))
  return ending === undefined ? name : name.slice(0, -ending.length)
}

function readEntry(type: EntryType, folder: string, stem: string, names: ReadonlySet<string>): CacheEntry {
  const path = join(folder, stem)
  const isPartial = !names.has(stem)
  const parts = [stem, ...endings.map((ending) => stem + ending)].filter((name) => names.has(name))
  const sizes = parts.map((name) => measure(join(folder, name)))
  return {
    type,
    id: stem,
    name: readRecord(path)?.name ?? '',
    path,
    size: sizes.reduce((sum, { size }) => sum + size, 0),
    used: isPartial ? Math.max(0, ...sizes.map(({ used }) => used)) : (sizes[0]?.used ?? 0),
    isPartial,
  }
}

/** Blobs lie in a folder for each kind of digest, packages in one for each tool. */
const hasFolders = (type: EntryType): boolean => type === 'blob' || type === 'packages'

function readFolder(type: EntryType, folder: string): CacheEntry[] {
  const found = listFolder(folder).filter(({ name }) => !name.startsWith('.'))
  if (hasFolders(type) && found.some((entry) => entry.isDirectory())) {
    return found.flatMap(({ name }) => readFiles(type, join(folder, name)))
  }
  return readFiles(type, folder)
}

function readFiles(type: EntryType, folder: string, beginning = ''): CacheEntry[] {
  const files = listFolder(folder).map(({ name }) => name)
  const names = new Set(files.filter((name) => name.startsWith(beginning)))
  const stems = new Set([...names].map(stemOf))
  return [...stems].map((stem) => readEntry(type, folder, stem, names))
}

/** Everything in a cache, by type. */
export function readContents(root: string, types: readonly EntryType[] = entryTypes): CacheEntry[] {
  return types.flatMap((type) => readFolder(type, join(root, folderOf(type))))
}

/** The images of a type whose ids begin so. */
export function readImages(root: string, type: ImageType, beginning: string): CacheEntry[] {
  return readFiles(type, join(root, folderOf(type)), beginning).filter(({ isPartial }) => !isPartial)
}

const isDirectory = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/** Do something while holding the lock of an entry, unless somebody else has it. */
function withFreeLock(path: string, act: () => void): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    if (takeLock(fd) && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) act()
  } finally {
    closeSync(fd)
  }
}

/** A directory is what commands of a build wanted to keep (`RUN --mount=type=cache`). */
function remove(path: string): void {
  try {
    if (isDirectory(path)) rmSync(path, { recursive: true })
    else unlinkSync(path)
  } catch {
    // Gone already.
  }
}

/** Whether nobody reads the file. Who does has a shared lock, which on a network file system only a writer can see. */
function isUnused(path: string): boolean {
  // Who uses a directory holds the lock of the entry.
  if (isDirectory(path)) return true
  let fd: number
  try {
    fd = openSync(path, 'r+')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true
    throw error
  }
  try {
    return takeLock(fd)
  } finally {
    closeSync(fd)
  }
}

/** Remove half a download, unless somebody goes on with it. */
export function removePartial(path: string): void {
  const partial = path + partialEnding
  withFreeLock(partial, () => remove(partial))
}

/** Remove an entry with all that belongs to it; false when a process makes or uses it. */
export function removeEntry({ type, path }: CacheEntry): boolean {
  const lock = path + (type === 'blob' ? partialEnding : lockEnding)
  let isRemoved = false
  withFreeLock(lock, () => {
    isRemoved = isUnused(path)
    if (isRemoved) for (const ending of ['', recordEnding]) remove(path + ending)
    rmSync(path + workEnding, { recursive: true, force: true })
    remove(lock)
  })
  return isRemoved
}
