/**
 * Layers as a directory that can be changed, nothing of it unpacked: their squashfs are mounted below, and what changes lies
 * in a directory above. For a process that has its mount namespace to itself: with the process the mounts and their servers end.
 */

import { spawn } from 'node:child_process'
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, statSync, utimesSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Window } from '../image/open.ts'
import { copyOwnerNote, mountFuse, mountOverlay, unmount } from '../native/mount.ts'
import { programPath } from '../native/paths.ts'

export type MountOptions = {
  /** An empty directory, where the files appear. */
  readonly at: string
  /** A new directory for what this needs, changes above all; its file system must be one that an overlay can use. */
  readonly directory: string
  /** All files belong to root, because no other id exists here. */
  readonly allRoot: boolean
  /** Devices cannot be made here: those of layers appear as empty files, and are devices again when they are packed. */
  readonly inUserNamespace: boolean
}

export type Mounted = Disposable & {
  /** The directory with everything that is not as in the layers. */
  readonly changes: string
}

/**
 * Mount layers, the topmost first, and an overlay above them. Without layers there is an empty directory.
 * @throws Error where the kernel does not do it; nothing is mounted then
 */
export async function mountStack(layers: readonly Window[], options: MountOptions): Promise<Mounted> {
  const { at, directory } = options
  const [upper, work] = [join(directory, 'upper'), join(directory, 'work')]
  const served = layers.map((_, index) => join(directory, `layer-${index}`))
  const [top = join(directory, 'empty')] = served
  const lowers = served.length > 0 ? served : [top]
  for (const path of [directory, upper, work, ...lowers]) mkdirSync(path, { mode: 0o755 })
  const takeAway = () => {
    for (const path of served) unmount(path)
  }
  try {
    await serveAll(layers, served, options)
    copyAttributes(top, upper)
    mountOverlay(at, { lowers, upper, work })
  } catch (error) {
    takeAway()
    throw error
  }
  return {
    changes: upper,
    [Symbol.dispose]() {
      unmount(at)
      takeAway()
    },
  }
}

/** All at the same time. None is on its way any more when this fails. */
async function serveAll(
  layers: readonly Window[],
  at: readonly string[],
  options: MountOptions,
): Promise<void> {
  const starts = layers.map((layer, index) => serve(layer, at[index] ?? '', options))
  for (const start of await Promise.allSettled(starts)) if (start.status === 'rejected') throw start.reason
}

/** Mount a squashfs whose server is a child of ours. */
async function serve(layer: Window, at: string, options: MountOptions): Promise<void> {
  const { file, offset, size, key } = layer
  const { allRoot, inUserNamespace } = options
  const fuse = openSync('/dev/fuse', 'r+')
  const image = openSync(file, 'r')
  try {
    mountFuse(at, fuse)
    const where = ['--fuse', '3', '--image', '4', '--offset', `${offset}`, '--size', `${size}`]
    const how = ['--stacked', ...(inUserNamespace ? ['--noted'] : []), ...(allRoot ? ['--owner', '0:0'] : [])]
    const unlock = key === undefined ? [] : ['--key', '5']
    const args = [...where, ...how, ...unlock, '--parent', String(process.pid)]
    const child = spawn(programPath('sing-squashfs'), args, {
      cwd: '/',
      env: {},
      stdio: ['ignore', 'ignore', 'ignore', fuse, image, ...(key === undefined ? [] : [key])],
    })
    child.on('error', () => {}) // the mount says it
    child.unref()
  } finally {
    // The server alone holds it now: when that ends, whoever waits for an answer hears of it.
    closeSync(fuse)
    closeSync(image)
  }
  await stat(at)
}

/** The uppermost directory shows its own attributes, not those of the one below. */
function copyAttributes(from: string, to: string): void {
  const { uid, gid, mode, atime, mtime } = statSync(from)
  chownSync(to, uid, gid)
  copyOwnerNote(from, to)
  chmodSync(to, mode & 0o7777)
  utimesSync(to, atime, mtime)
}
