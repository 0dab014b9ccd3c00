/** Temporary directories of a build: made, marked with their owner, removed at the end, and found again after a kill. */

import {
  accessSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { mountOf } from './mount.ts'
import { removeTree } from './tree.ts'

const prefix = 'sing-build-'
const markName = 'owner'
const markLimit = 4096

/** A tmpfs smaller than this is no place for a root file system when there is a disk. */
const smallMemory = 16 * 1024 ** 3
const tmpfsMagic = 0x01021994

/** Who made a directory. A process id means something only together with where and when it was given. */
type Mark = { boot: string; host: string; pidNamespace: string; pid: number; started: string }

/** The temporary directory of one build. */
export type Scratch = {
  readonly path: string
  /** Make a directory in it, which only we may enter, and return its path. */
  readonly directory: (name: string) => string
  /** Remove it with everything in it, or tell where it was left. */
  readonly close: () => void
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/** When a process was started, in clock ticks since boot; undefined when there is none. proc_pid_stat(5), field 22. */
function startTime(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`)
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}

function ownMark(): Mark {
  return {
    boot: readText('/proc/sys/kernel/random/boot_id'),
    host: `${hostname()} ${readText('/etc/machine-id')}`,
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
    pid: process.pid,
    started: startTime(process.pid) ?? '',
  }
}

function readMark(directory: string): Mark | undefined {
  const path = join(directory, markName)
  try {
    const stats = lstatSync(path)
    if (!stats.isFile() || stats.size > markLimit) return undefined
    return JSON.parse(readFileSync(path, 'utf8')) as Mark
  } catch {
    return undefined
  }
}

/**
 * Whether the maker of a directory is surely gone. Temporary directories may be shared between machines and containers, so a
 * process id that was given elsewhere says nothing.
 */
function isAbandoned(mark: Mark | undefined, own: Mark): boolean {
  if (!mark) return false
  if (mark.boot !== own.boot) return mark.host === own.host
  if (mark.pidNamespace !== own.pidNamespace) return false
  return !Number.isSafeInteger(mark.pid) || startTime(mark.pid) !== mark.started
}

/** Remove the directories that builds of this user left behind because they were killed. */
export function removeAbandoned(parent: string, report: Report): void {
  const own = ownMark()
  const uid = process.geteuid?.()
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue
    const path = join(parent, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (!stats?.isDirectory() || stats.uid !== uid || !isAbandoned(readMark(path), own)) continue
    try {
      removeTree(path)
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
    return mkdtempSync(join(parent, prefix))
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
  writeFileSync(join(path, markName), JSON.stringify(ownMark()), { mode: 0o600 })
  removeAbandoned(parent, report)
  return {
    path,
    directory(name) {
      const directory = join(path, name)
      mkdirSync(directory, { mode: 0o755 })
      return directory
    },
    close() {
      if (keep) return report({ kind: 'info', text: `The temporary files are kept in ${path}` })
      try {
        removeTree(path)
      } catch (error) {
        report({ kind: 'warning', text: `cannot remove the temporary files in ${path}: ${reasonOf(error)}` })
      }
    },
  }
}
