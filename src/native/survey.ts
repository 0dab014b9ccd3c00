/** What the addon tells of everything in an image, from columns of values to one value for each name. */

import { type Entry, typeOf } from './entries.ts'

/** A name in an image, and the file behind it. */
export type Surveyed = {
  /** Absolute in the image; `/` is its root. */
  readonly path: string
  readonly type: Entry['type']
  /** Permissions. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: number
  readonly size: number
  readonly inode: number
  readonly links: number
  /** Of devices. */
  readonly major: number
  readonly minor: number
  /** Of a symbolic link, as it is written there. */
  readonly target: string | undefined
  /** Has file capabilities. */
  readonly capable: boolean
  /** A directory of a layer that hides those of layers below. */
  readonly opaque: boolean
  /** By which its content is read. */
  readonly place: number
}

export type Columns = {
  readonly paths: string
  readonly targets: string
  readonly numbers: Float64Array
}

const width = 11
const CAPABLE = 1
const OPAQUE = 2

/** One value for each name, a directory before what it holds. */
export function surveyOf({ paths, targets, numbers }: Columns): Surveyed[] {
  const names = paths.split('\0').slice(0, -1)
  const targetsLeft = targets.split('\0').slice(0, -1).values()
  return names.map((name, index) => {
    const row = numbers.subarray(index * width, (index + 1) * width)
    const [bits = 0, uid = 0, gid = 0, mtime = 0, size = 0, inode = 0] = row
    const [links = 0, major = 0, minor = 0, place = 0, marks = 0] = row.subarray(6)
    const type = typeOf(bits)
    return {
      path: `/${name}`,
      type,
      mode: bits & 0o7777,
      uid,
      gid,
      mtime,
      size,
      inode,
      links,
      major,
      minor,
      target: type === 'symlink' ? targetsLeft.next().value : undefined,
      capable: (marks & CAPABLE) !== 0,
      opaque: (marks & OPAQUE) !== 0,
      place,
    }
  })
}
