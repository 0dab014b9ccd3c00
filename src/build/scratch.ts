/** Temporary directories of a build: made, marked with their owner, removed at the end, and found again after a kill. */

import { accessSync, constants, lstatSync, mkdirSync, readdirSync, statfsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { isAbandoned, makeMarked, markName, removeMark, removeUnmarked } from '../host/mark.ts'
import { mountOf } from './mount.ts'
import { removeTree } from './tree.ts'

const prefix = 'sing-build-'

/** A tmpfs smaller than this is no place for a root file system when there is a disk. */
const smallMemory = 16 * 1024 ** 3
const tmpfsMagic = 0x01021994

/** The temporary directory of one build. */
export type Scratch = {
  readonly path: string
  /** Make a directory in it, which only we may enter, and return its path. */
  readonly directory: (name: string) => string
  /** Dispose of something that lies in it before it is removed. */
  readonly hold: (thing: Disposable) => void
  /** Remove it with everything in it, or tell where it was left. */
  readonly close: () => void
}

/**
 * Remove a temporary directory, its mark at last: when this is killed half way, the next build still knows that nobody owns the rest.
 */
function removeDirectory(path: string): void {
  for (const name of readdirSync(path)) if (name !== markName) removeTree(join(path, name))
  removeTree(path)
}

/** Remove the directories that builds of this user left behind because they were killed. */
export function removeAbandoned(parent: string, report: Report): void {
  const uid = process.geteuid?.()
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue
    const path = join(parent, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (!stats?.isDirectory() || stats.uid !== uid) continue
    if (!isAbandoned(path)) {
      removeUnmarked(path)
      continue
    }
    try {
      removeDirectory(path)
      report({ kind: 'verbose', text: `Removed ${path}, which a build that was killed had left` })
    } catch (error) {
      // Files of subordinate ids can be removed only by a build that has these ids.
      report({ kind: 'debug', text: `cannot remove ${path}: ${reasonOf(error)}` })
    }
  }
}

function isUsable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
    return !mountOf(directory).isNoexec
  } catch {
    return false
  }
}

/**
 * The directory for temporary directories when nobody named one: /tmp, unless nothing can be started there, or it is memory and
 * /var/tmp is not.
 */
function defaultParent(): string {
  if (!isUsable('/var/tmp')) return '/tmp'
  if (!isUsable('/tmp')) return '/var/tmp'
  const memory = statfsSync('/tmp')
  const isSmallMemory = memory.type === tmpfsMagic && memory.bavail * memory.bsize < smallMemory
  return isSmallMemory && statfsSync('/var/tmp').type !== tmpfsMagic ? '/var/tmp' : '/tmp'
}

/** The directory in which temporary directories are made: the one asked for, TMPDIR, or the default. Absolute. */
export function scratchParent(
  asked: string | undefined,
  environment: Readonly<Record<string, string>>,
): string {
  return resolve(asked || environment.TMPDIR || defaultParent())
}

function makeDirectory(parent: string): string {
  try {
    return makeMarked(parent, prefix)
  } catch (cause) {
    throw new SingError('IO', `cannot make a temporary directory in ${shown(parent)}: ${reasonOf(cause)}`, {
      hint: 'Name another directory with --tmpdir or SINGULARITY_TMPDIR',
      cause,
    })
  }
}

/**
 * Make the temporary directory of a build below `parent`, after removing those whose builds were killed. With `keep` it
 * stays at the end and its path is told.
 */
export function openScratch(parent: string, options: { keep: boolean; report: Report }): Scratch {
  const { keep, report } = options
  const path = makeDirectory(parent)
  removeAbandoned(parent, report)
  const held: Disposable[] = []
  return {
    path,
    hold: (thing) => held.push(thing),
    directory(name) {
      const directory = join(path, name)
      mkdirSync(directory, { mode: 0o755 })
      return directory
    },
    close() {
      for (const thing of held.splice(0).reverse()) thing[Symbol.dispose]()
      if (keep) {
        // Otherwise the next build would find it and take it for one that was killed.
        removeMark(path)
        return report({ kind: 'info', text: `The temporary files are kept in ${path}` })
      }
      try {
        removeDirectory(path)
      } catch (error) {
        report({ kind: 'warning', text: `cannot remove the temporary files in ${path}: ${reasonOf(error)}` })
      }
    },
  }
}
