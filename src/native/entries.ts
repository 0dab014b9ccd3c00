/** Files for an image as values, and the steps that the addon takes to write them. */

/** A file for an image: everything about it, and its data for `size` bytes of a regular file. */
export type Entry = {
  /** Relative to the root; parents that are not described are made. */
  path: string
  type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'block' | 'character' | 'fifo' | 'socket'
  mode: number
  uid: number
  gid: number
  /** Seconds since 1970. */
  mtime: number
  size: number
  /** Target of a symlink as it is; of a hardlink an earlier path. */
  link?: string
  device?: { major: number; minor: number }
  /** By full name; those that squashfs has no place for (not user., trusted. or security.) are left out. */
  xattrs?: Record<string, Uint8Array>
  data?: AsyncIterable<Uint8Array>
}

type EntryStep = {
  path: string
  mode: number
  uid: number
  gid: number
  mtime: number
  size: number
  isLink: boolean
  link: string
  target: string
  major: number
  minor: number
  xattrs: Record<string, Uint8Array> | undefined
}
/** What the addon takes: an entry with the bits of its type in the mode, or data of the entry before. */
export type Step = EntryStep | Uint8Array

const typeBits: Record<Exclude<Entry['type'], 'hardlink'>, number> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
}

function toStep(entry: Entry): EntryStep {
  const { path, type, mode, uid, gid, mtime, size, link = '', device, xattrs } = entry
  const bits = typeBits[type === 'hardlink' ? 'file' : type]
  return {
    path,
    mode: bits | (mode & 0o7777),
    uid,
    gid,
    mtime: Math.trunc(mtime),
    size: type === 'file' ? size : 0,
    isLink: type === 'hardlink',
    link,
    target: link,
    major: device?.major ?? 0,
    minor: device?.minor ?? 0,
    xattrs,
  }
}

/** Entries and their data in the order in which they are written. */
export async function* stepsOf(entries: Iterable<Entry> | AsyncIterable<Entry>): AsyncGenerator<Step> {
  for await (const entry of entries) {
    yield toStep(entry)
    if (entry.type === 'file' && entry.data) yield* entry.data
  }
}

/** The type of a file by the bits of its mode. */
export function typeOf(mode: number): Entry['type'] {
  const bits = mode & 0o170000
  for (const [type, value] of Object.entries(typeBits)) if (value === bits) return type as Entry['type']
  return 'file'
}
