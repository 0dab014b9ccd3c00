/**
 * What the signatures of a file are worth, kept for a while, so that the processes of one machine do not all read the same large
 * image. A note is about a file as it was at one moment; whoever changes the file makes it worthless (docs/policy.md).
 */

import { createHash } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../core/errors.ts'
import { type Session, sessionPlace } from '../host/session.ts'
import { releaseLock, waitForLock } from '../store/lock.ts'

const prefix = 'verified-'
/** Milliseconds: keys expire, and what is younger than the last change could miss a second one. */
const [lifetime, settled] = [60 * 60 * 1000, 2000]

/**
 * File systems on which the kernel, or a server of the site, says when a file was changed (statfs(2)). Elsewhere the time is what somebody
 * wrote into an image of a file system, or what a program answers: another image in the same place could have the same one.
 */
const keepingTime = new Set([
  0xef53, // ext2 and later
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
  0xca451a4e, // bcachefs
  0x01021994, // tmpfs
  0x794c7630, // overlay
  0x6969, // nfs
  0xfe534d42, // smb
  0x0bd00bd0, // lustre
  0x47504653, // gpfs
  0x19830326, // beegfs
  0x00c36400, // ceph
  0xaad7aaea, // panfs
])

/** Whether a note about an open file can be found out to be old. */
export const isNoted = (fd: number): boolean => keepingTime.has(statfsSync(`/proc/self/fd/${fd}`).type >>> 0)

/** A directory that is this user's alone, or undefined. */
function ownPlace(session: Session): string | undefined {
  const place = sessionPlace(session)
  try {
    mkdirSync(place, { mode: 0o700 })
  } catch {
    // It is there, or it cannot be made.
  }
  const stats = lstatSync(place, { throwIfNoEntry: false })
  const isOwn = stats?.isDirectory() && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0
  return isOwn ? place : undefined
}

const isOld = (path: string): boolean => {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Math.abs(Date.now() - stats.mtimeMs) > lifetime
}

function read<T>(path: string): T | undefined {
  try {
    return isOld(path) ? undefined : (JSON.parse(readFileSync(path, 'utf8')) as T)
  } catch {
    return undefined
  }
}

function write(path: string, value: unknown, place: string): void {
  for (const name of readdirSync(place).filter((found) => found.startsWith(prefix))) {
    if (isOld(join(place, name))) rmSync(join(place, name), { force: true })
  }
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, JSON.stringify(value), { mode: 0o600, flag: 'wx' })
  renameSync(draft, path)
}

/** Without a place for notes everybody reads the file, which is slower and not wrong. */
function tryWrite(path: string, value: unknown, place: string): void {
  try {
    write(path, value, place)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

async function tryLock(path: string, isDone: () => boolean, signal: AbortSignal) {
  try {
    return await waitForLock(path, { signal, isDone })
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return undefined
  }
}

export type Subject = {
  /** Everything that the answer depends on. */
  readonly parts: readonly string[]
  /** When the file was changed last, in milliseconds. */
  readonly changed: number
}

/** The answer about a file: one that is known, or that of `find`, which one process works out while the others wait. */
export async function remembered<T>(
  { parts, changed }: Subject,
  session: Session,
  find: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const place = Date.now() - changed > settled ? ownPlace(session) : undefined
  if (place === undefined) return await find()
  const name = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  const path = join(place, prefix + name)
  const lock = `${path}.lock`
  const isKnown = (): boolean => read(path) !== undefined
  const held = isKnown() ? undefined : await tryLock(lock, isKnown, signal)
  try {
    const known = read<T>(path)
    if (known !== undefined) return known
    const found = await find()
    if (held) tryWrite(path, found, place)
    return found
  } finally {
    if (held) await releaseLock(held, lock)
  }
}
