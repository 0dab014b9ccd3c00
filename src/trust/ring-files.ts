/**
 * Files of keys, written: one writer at a time, beside the old file and renamed, so that a ring is the old one or the new one
 * whatever happens.
 */

import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { replaceFile, writeAll } from '../config/replace.ts'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { releaseLock, waitForLock } from '../store/lock.ts'
import type { KeyBlock } from './blocks.ts'
import { type KeyPlace, nameOf, type RingKind } from './places.ts'
import { checkDirectory, type Ring, readRing, stampOf } from './rings.ts'

export type Rings = Readonly<Record<RingKind, Ring>>

/** The keys that a ring is to have; absent: it stays as it is. */
export type Change<T> = {
  readonly public?: readonly KeyBlock[] | undefined
  readonly secret?: readonly KeyBlock[] | undefined
  readonly result: T
}

export type ChangeOptions = { readonly signal: AbortSignal; readonly report: Report }

/** A program that takes no lock may write in between: then everything begins again. */
const tries = 5

/** Public keys last: whoever sees one may look for the private one. */
const kinds = ['secret', 'public'] as const

const isShared = ({ owner }: KeyPlace): boolean => owner === 'site'

/** Root keeps the keys of others theirs. */
function keepOwner(path: string, directory: string): void {
  const { uid, gid } = statSync(directory)
  if (process.geteuid?.() === 0 && uid !== 0) chownSync(path, uid, gid)
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r')
  try {
    fsyncSync(fd)
  } catch {
    // Some file systems do not sync directories.
  } finally {
    closeSync(fd)
  }
}

function replace(path: string, pieces: readonly Uint8Array[], mode: number): void {
  replaceFile(path, pieces, 0o600, (draft) => {
    chmodSync(draft, mode)
    keepOwner(draft, dirname(path))
  })
  syncDirectory(dirname(path))
}

/** Drafts of writers that were killed: whoever has the lock is the only one. */
function removeDrafts(directory: string): void {
  const isDraft = (name: string): boolean => /^\.(global-)?pgp-(public|secret)\.partial-\d+$/.test(name)
  for (const name of readdirSync(directory).filter(isDraft)) rmSync(join(directory, name), { force: true })
}

/** What is damaged makes the peers read nothing at all, so it is moved out; it may be somebody's only copy. */
function keepDamage({ path, damage }: Ring, report: Report): void {
  if (damage.length === 0) return
  const aside = `${path}.damaged`
  const fd = openSync(aside, 'a', 0o600)
  try {
    writeAll(fd, damage)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  report({ kind: 'warning', text: `What was damaged in ${shown(path)} is kept in ${shown(aside)}` })
}

function isAsRead({ path, stamp }: Ring): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  return (stats && stampOf(stats)) === stamp
}

function writeRing(ring: Ring, keys: readonly KeyBlock[], place: KeyPlace, report: Report): void {
  keepDamage(ring, report)
  replace(
    ring.path,
    keys.map(({ bytes }) => bytes),
    isShared(place) ? 0o644 : 0o600,
  )
}

function cannotWrite(place: KeyPlace, cause: unknown): SingError {
  const isForbidden = ['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(cause) ?? '')
  const hint =
    isForbidden && isShared(place)
      ? 'The ring of the site is changed by its administrator; without --global the keys are yours alone'
      : isForbidden
        ? 'Name a directory of your own with --keysdir or SING_KEYSDIR'
        : undefined
  return new SingError('KEY', `cannot write keys to ${nameOf(place)}: ${reasonOf(cause)}`, { hint, cause })
}

function makeDirectory(place: KeyPlace, report: Report): void {
  // A file in its place would be taken for a directory that is there already.
  checkDirectory(place, report)
  mkdirSync(place.directory, { recursive: true, mode: isShared(place) ? 0o755 : 0o700 })
  checkDirectory(place, report)
}

const lockPath = ({ directory }: KeyPlace): string => join(directory, '.keys.lock')

async function changeLocked<T>(
  place: KeyPlace,
  { report }: ChangeOptions,
  change: (rings: Rings) => Promise<Change<T>>,
): Promise<T> {
  removeDrafts(place.directory)
  for (let left = tries; left > 0; left--) {
    const rings = { public: readRing(place, 'public', report), secret: readRing(place, 'secret', report) }
    const wanted = await change(rings)
    if (!kinds.every((kind) => place[kind] === undefined || isAsRead(rings[kind]))) continue
    for (const kind of kinds) if (wanted[kind]) writeRing(rings[kind], wanted[kind], place, report)
    return wanted.result
  }
  throw new SingError('KEY', `cannot write keys to ${nameOf(place)}: another program keeps changing them`)
}

/**
 * Change the rings of a place while nobody else does. `change` is given what is there, may be called again when another
 * program changed that, and says what is to be there.
 * @throws SingError KEY when a ring cannot be read or written; the reason of the signal
 */
export async function changeRings<T>(
  place: KeyPlace,
  options: ChangeOptions,
  change: (rings: Rings) => Promise<Change<T>>,
): Promise<T> {
  const path = lockPath(place)
  try {
    makeDirectory(place, options.report)
    const onWait = (): void =>
      options.report({ kind: 'info', text: `Waiting for another program that changes ${nameOf(place)}` })
    const lock = await waitForLock(path, { signal: options.signal, onWait })
    try {
      return await changeLocked(place, options, change)
    } finally {
      if (lock) await releaseLock(lock, path)
    }
  } catch (error) {
    if (errnoOf(error) === undefined || error instanceof SingError) throw error
    throw cannotWrite(place, error)
  }
}
