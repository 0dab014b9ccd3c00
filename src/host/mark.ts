/** Marks of processes: which one it was, so that one that was killed can be told from a living one. */

import { mkdtempSync, readlinkSync, renameSync, rmdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { errnoOf } from '../core/errors.ts'
import { readIfThere } from './look.ts'
import { startTime } from './process.ts'

/** A link to nowhere: its text is there at once and whole, which that of a file is not. */
export const markName = 'owner'

/** A process id means something only together with where and when it was given. */
export type Mark = {
  readonly boot: string
  readonly host: string
  readonly pidNamespace: string
  readonly pid: number
  /** In clock ticks since boot. */
  readonly started: string
}

/** `elsewhere`: it was given on another machine or in another pid namespace, and nobody here can know. */
export type Standing = 'alive' | 'gone' | 'elsewhere'

/** Where pids are given here. */
function ownPlace(): Omit<Mark, 'pid' | 'started'> {
  return {
    boot: readIfThere('/proc/sys/kernel/random/boot_id').trim(),
    host: `${hostname()} ${readIfThere('/etc/machine-id').trim()}`,
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
  }
}

/** The mark of a running process; undefined when there is none. */
export function markOf(pid: number): Mark | undefined {
  const started = startTime(pid)
  return started === undefined ? undefined : { ...ownPlace(), pid, started }
}

function ownMark(): Mark {
  return { ...ownPlace(), pid: process.pid, started: startTime(process.pid) ?? '' }
}

/** Whether a value from a file can be a mark. */
export function isMark(value: unknown): value is Mark {
  if (typeof value !== 'object' || value === null) return false
  const { boot, host, pidNamespace, pid, started } = value as Record<string, unknown>
  const texts = [boot, host, pidNamespace, started].every((text) => typeof text === 'string')
  return texts && Number.isSafeInteger(pid) && (pid as number) > 0
}

/** Whether the marked process still runs. */
export function standingOf(mark: Mark): Standing {
  const own = ownPlace()
  if (mark.boot !== own.boot) return mark.host === own.host ? 'gone' : 'elsewhere'
  if (mark.pidNamespace !== own.pidNamespace) return 'elsewhere'
  return startTime(mark.pid) === mark.started ? 'alive' : 'gone'
}

/** The owner of a running process, as /proc tells it; undefined when there is none. */
export function ownerOf(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid
}

function readMark(directory: string): Mark | undefined {
  try {
    const mark: unknown = JSON.parse(readlinkSync(join(directory, markName)))
    return isMark(mark) ? mark : undefined
  } catch {
    return undefined
  }
}

/** Mark a directory as belonging to another process than before. */
export function passMark(directory: string, mark: Mark): void {
  const draft = join(directory, `${markName}.${process.pid}`)
  symlinkSync(JSON.stringify(mark), draft)
  renameSync(draft, join(directory, markName))
}

/** A new directory below `parent`, marked as belonging to this process. Its name begins with the prefix. */
export function makeMarked(parent: string, prefix: string): string {
  const mark = JSON.stringify(ownMark())
  for (;;) {
    const directory = mkdtempSync(join(parent, prefix))
    try {
      symlinkSync(mark, join(directory, markName))
      return directory
    } catch (error) {
      // Somebody took it for one that was left behind.
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }
}

/** Take the mark away: the directory belongs to the user from now on. */
export function removeMark(directory: string): void {
  rmSync(join(directory, markName), { force: true })
}

/**
 * Whether the owner of a directory is surely gone. Temporary directories may be shared between machines and containers, so a
 * process id that was given elsewhere says nothing.
 */
export function isAbandoned(directory: string): boolean {
  const mark = readMark(directory)
  return mark !== undefined && standingOf(mark) === 'gone'
}

/** Remove an empty directory: it was made by a process that was killed before it left its mark, or that makes another one. */
export function removeUnmarked(directory: string): void {
  try {
    rmdirSync(directory)
  } catch {
    // Not empty, so it is somebody's.
  }
}
