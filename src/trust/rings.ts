/** Files of keys, read: bounded, not through links, and not where others could have put keys in. */

import { chmodSync, closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'
import { basename } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { type Blocks, toBlocks } from './blocks.ts'
import type { KeyPlace, RingKind } from './places.ts'

/** Thousands of keys with many signatures. */
const sizeLimit = 64 * 1024 * 1024
const keyLimit = 20_000

export type Ring = Blocks & {
  readonly path: string
  /** What the file was when it was read: a writer that takes no lock may change it. Undefined: it was not there. */
  readonly stamp: string | undefined
}

export const stampOf = ({ dev, ino, size, mtimeMs }: Stats): string => [dev, ino, size, mtimeMs].join(':')

const isForeign = ({ uid }: Stats): boolean => uid !== 0 && uid !== process.geteuid?.()
const modeOf = ({ mode }: Stats): string => (mode & 0o777).toString(8)

/** Whether somebody else than the owner and root could have changed it. */
function requireUnchanged(stats: Stats, path: string, place: KeyPlace): void {
  if ((stats.mode & 0o022) === 0) return
  const hint = isForeign(stats)
    ? `It belongs to the user ${stats.uid}, who can take the right away: chmod go-w ${shown(path)}`
    : `Take the right away and look at what is there: chmod go-w ${shown(path)}; sing key list`
  const where = path === place.directory ? 'the directory of keys ' : 'the keys in '
  throw new SingError(
    'KEY',
    `cannot trust ${where}${shown(path)}: others may change it (mode ${modeOf(stats)})`,
    {
      hint,
    },
  )
}

/** The directory of somebody's own keys is closed to others; the peers close it in the same way, and say so. */
function repairMode(path: string, stats: Stats, wanted: number, report: Report): Stats {
  const isOwn = stats.uid === process.geteuid?.()
  if (!isOwn || (stats.mode & 0o777) === wanted || (stats.mode & 0o077) === 0) return stats
  const what = stats.isDirectory() ? 'Directory' : 'File'
  const text = `${what} mode (${modeOf(stats)}) on ${shown(path)} needs to be ${wanted.toString(8)}, fixing that...`
  report({ kind: 'warning', text })
  chmodSync(path, wanted)
  return statSync(path)
}

/**
 * Look at the directory of keys, and close one of our own to others.
 * @throws SingError KEY when others may change it
 */
export function checkDirectory(place: KeyPlace, report: Report): void {
  const { directory, owner } = place
  const stats = statSync(directory, { throwIfNoEntry: false })
  if (!stats) return
  if (!stats.isDirectory())
    throw new SingError('KEY', `${shown(directory)} is no directory of keys: it is a file`)
  requireUnchanged(owner === 'own' ? repairMode(directory, stats, 0o700, report) : stats, directory, place)
}

function readAll(fd: number, { size }: Stats, path: string): Uint8Array {
  if (size > sizeLimit)
    throw new SingError('KEY', `${shown(path)} is no ring of keys: it is larger than 64 MiB`)
  const bytes = Buffer.alloc(size)
  let length = 0
  for (let got = -1; got !== 0 && length < size; length += got)
    got = readSync(fd, bytes, length, size - length, null)
  return bytes.subarray(0, length)
}

/** The keys of an open file. */
function readOpen(fd: number, path: string, place: KeyPlace, report: Report): Ring {
  const stats = fstatSync(fd)
  if (!stats.isFile()) throw new SingError('KEY', `${shown(path)} is no ring of keys: it is no regular file`)
  requireUnchanged(place.owner === 'own' ? repairMode(path, stats, 0o600, report) : stats, path, place)
  if (place.owner !== 'own' && path === place.secret && (stats.mode & 0o077) !== 0)
    report({ kind: 'warning', text: `Other users can read the private keys in ${shown(path)}: chmod 600 it` })
  const blocks = toBlocks(readAll(fd, stats, path))
  if (blocks.keys.length > keyLimit)
    throw new SingError('KEY', `${shown(path)} has ${blocks.keys.length} keys: at most ${keyLimit} are read`)
  return { path, stamp: stampOf(stats), ...blocks }
}

function cannotRead(path: string, cause: unknown): SingError {
  if (errnoOf(cause) === 'ELOOP')
    return new SingError('KEY', `cannot read keys from ${shown(path)}: it is a symbolic link`, {
      hint: `Name the directory that ${shown(basename(path))} is in with --keysdir or SING_KEYSDIR`,
      cause,
    })
  return new SingError('KEY', `cannot read keys from ${shown(path)}: ${reasonOf(cause)}`, { cause })
}

/** Damage does not hide the keys beside it, but somebody should know. */
function tellDamage({ path, damage }: Ring, report: Report): void {
  if (damage.length === 0) return
  const size = damage.reduce((sum, { length }) => sum + length, 0)
  const text = `${shown(path)} is damaged: ${size} bytes in ${damage.length} place(s) are no keys and are skipped`
  report({ kind: 'warning', text })
}

/**
 * The keys of one kind in a place; none when it has no such file.
 * @throws SingError KEY when it cannot be read or trusted
 */
export function readRing(place: KeyPlace, kind: RingKind, report: Report): Ring {
  const path = place[kind]
  if (path === undefined) return { path: place.public, stamp: undefined, keys: [], damage: [] }
  let fd: number | undefined
  try {
    checkDirectory(place, report)
    // A link of the site was made by its root.
    const links = place.owner === 'own' || place.secret !== undefined ? constants.O_NOFOLLOW : 0
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | links)
    const ring = readOpen(fd, path, place, report)
    tellDamage(ring, report)
    return ring
  } catch (error) {
    if (error instanceof SingError) throw error
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? ''))
      return { path, stamp: undefined, keys: [], damage: [] }
    throw cannotRead(path, error)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

export type PlacedRing = { readonly place: KeyPlace; readonly ring: Ring }

/** The keys of one kind in several places. What cannot be read hides nothing but itself where it is not our own. */
export function readRings(places: readonly KeyPlace[], kind: RingKind, report: Report): PlacedRing[] {
  return places.flatMap((place) => {
    try {
      return [{ place, ring: readRing(place, kind, report) }]
    } catch (error) {
      if (place.owner === 'own' || !(error instanceof SingError)) throw error
      report({ kind: 'warning', text: `${error.message}; it is left out` })
      return []
    }
  })
}
