/** Copies one file or tree into a root file system: names are bytes, nothing is written through a link of the image. */

import { closeSync, constants, openSync, type Stats } from 'node:fs'
import { chmod, lchown, lutimes, mkdir, readdir, readlink, stat, symlink, unlink } from 'node:fs/promises'
import { errnoOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { copyOwnerNote } from '../native/mount.ts'
import { copyContents } from './contents.ts'
import { type BytePath, failure, look, onDisk, resolveBytes, toText } from './inside.ts'

export type TransferOptions = {
  /** The root file system that is written to. */
  readonly root: BytePath
  /**
   * `host`: links are followed and owners are not kept, as files of a user become files of an image. `stage`: links, owners
   * and all mode bits are kept, as it was an image before. `context`: links and all mode bits are kept, owners are not.
   */
  readonly kind: 'host' | 'stage' | 'context'
  /** Whose all copies are. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined
  /** The permissions of all copies. */
  readonly mode?: number | undefined
  /** What in directories is not copied. */
  readonly leavesOut?: ((from: BytePath) => boolean) | undefined
  readonly report: Report
  readonly signal?: AbortSignal | undefined
}

type State = TransferOptions & {
  /** Directories that are being copied, from the top down, by device and inode. */
  readonly above: Set<string>
  readonly rootId: string
  /** Set once the system refused an owner: one warning is enough. */
  isOwnerRefused: boolean
}

const unfollowed = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const identity = (stats: Stats): string => `${stats.dev}:${stats.ino}`

const named = (path: BytePath): string => shown(toText(path))

/**
 * Copy what is at `from` to `to`, a resolved place inside the root whose directory exists. A directory is put into a directory
 * that is there, a file replaces a file. Modes and modification times are kept. Sockets, pipes and devices are left out with a
 * warning.
 * Throws BUILD naming the file, DISK_FULL when there is no room.
 */
export async function transfer(from: BytePath, to: BytePath, options: TransferOptions): Promise<void> {
  const root = await stat(onDisk(options.root || '/'))
  const state: State = { ...options, above: new Set(), rootId: identity(root), isOwnerRefused: false }
  await copyEntry(from, to, state)
}

async function copyEntry(from: BytePath, to: BytePath, state: State): Promise<void> {
  state.signal?.throwIfAborted()
  try {
    const stats = state.kind === 'host' ? await stat(onDisk(from)) : look(from)
    if (!stats) throw new SingError('BUILD', `cannot copy ${named(from)}: no such file or directory`)
    if (stats.isDirectory()) await copyDirectory(from, to, stats, state)
    else if (stats.isFile()) await copyRegular(from, to, stats, state)
    else if (stats.isSymbolicLink()) await copyLink(from, to, stats, state)
    else state.report({ kind: 'warning', text: `${named(from)} is a device, pipe or socket and is left out` })
  } catch (error) {
    throw failure(`cannot copy ${named(from)}`, error)
  }
}

async function copyDirectory(from: BytePath, to: BytePath, stats: Stats, state: State): Promise<void> {
  const id = identity(stats)
  if (id === state.rootId) {
    state.report({ kind: 'warning', text: `${named(from)} is where the image is being made and is left out` })
    return
  }
  if (state.above.has(id))
    throw new SingError('BUILD', `cannot copy ${named(from)}: the link leads back above itself`)
  // Merged directories such as /bin are links in the image; what goes there goes where they lead.
  const place = look(to)?.isSymbolicLink() ? resolveBytes(state.root, to.slice(state.root.length)) : to
  const existing = look(place)
  if (existing && !existing.isDirectory()) {
    throw new SingError(
      'BUILD',
      `cannot copy the directory ${named(from)}: there is a file in its place in the image`,
    )
  }
  if (!existing) await mkdir(onDisk(place), 0o700)
  state.above.add(id)
  const names = (await readdir(onDisk(from), { encoding: 'buffer' })).map((name) => name.toString('latin1'))
  for (const name of names.sort()) {
    if (!state.leavesOut?.(`${from}/${name}`)) await copyEntry(`${from}/${name}`, `${place}/${name}`, state)
  }
  state.above.delete(id)
  if (existing) return
  copyNote(from, place, state)
  await setAttributes(place, stats, state)
}

/** Make room for a file or link. What is there goes, so that no other name of the same file changes with it; says what it was. */
async function clear(from: BytePath, to: BytePath): Promise<Stats | undefined> {
  const existing = look(to)
  if (!existing) return undefined
  if (existing.isDirectory()) {
    throw new SingError('BUILD', `cannot copy ${named(from)}: there is a directory in its place in the image`)
  }
  await unlink(onDisk(to))
  return existing
}

async function copyRegular(from: BytePath, to: BytePath, stats: Stats, state: State): Promise<void> {
  const existing = await clear(from, to)
  await copyContents(onDisk(from), onDisk(to), stats.size, state.signal)
  // As `cp` writes into a file that is there: to the image it is the same file with other contents.
  const isKept = state.kind === 'host' && existing?.isFile()
  copyNote(from, to, state)
  await setAttributes(to, stats, state, isKept ? existing : undefined)
}

async function copyLink(from: BytePath, to: BytePath, stats: Stats, state: State): Promise<void> {
  await clear(from, to)
  await symlink(await readlink(onDisk(from), 'buffer'), onDisk(to))
  await setAttributes(to, stats, state)
}

/** An owner or a device that one id alone cannot have stands in a note on the file (docs/fakeroot.md). */
function copyNote(from: BytePath, to: BytePath, { kind, owner }: State): void {
  if (kind !== 'stage' || owner) return
  // By number: names are bytes.
  const [source, target] = [openSync(onDisk(from), unfollowed), openSync(onDisk(to), unfollowed)]
  try {
    copyOwnerNote(`/proc/self/fd/${source}`, `/proc/self/fd/${target}`)
  } finally {
    closeSync(source)
    closeSync(target)
  }
}

async function setAttributes(to: BytePath, stats: Stats, state: State, kept?: Stats): Promise<void> {
  const owner = state.owner ?? (state.kind === 'stage' ? stats : kept)
  if (owner) await setOwner(to, owner, state)
  // After the owner: changing that takes the setuid bits away.
  const mode = state.mode ?? (kept ?? stats).mode & (state.kind === 'host' ? 0o777 : 0o7777)
  if (!stats.isSymbolicLink()) await chmod(onDisk(to), mode)
  await lutimes(onDisk(to), stats.atime, stats.mtime)
}

async function setOwner(
  to: BytePath,
  { uid, gid }: { uid: number; gid: number },
  state: State,
): Promise<void> {
  const made = look(to)
  if (!made || (made.uid === uid && made.gid === gid)) return
  try {
    await lchown(onDisk(to), uid, gid)
  } catch (error) {
    // Without privilege (EPERM), or with an id that the user namespace does not have (EINVAL).
    if (errnoOf(error) !== 'EPERM' && errnoOf(error) !== 'EINVAL') throw error
    if (state.isOwnerRefused) return
    state.isOwnerRefused = true
    state.report({ kind: 'warning', text: `The owner of ${named(to)} and maybe others cannot be kept` })
  }
}
