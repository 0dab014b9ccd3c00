/** Marks of processes: which one it was, so that one that was killed can be told from a living one. */

import { lstatSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'

const markName = 'owner'
const markLimit = 4096

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

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/**
 * When a process was started; undefined when there is none, or only what its parent has not yet heard of.
 * proc_pid_stat(5), fields 3 and 22.
 */
function startTime(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`)
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? undefined : fields[19]
}

/** Where pids are given here. */
function ownPlace(): Omit<Mark, 'pid' | 'started'> {
  return {
    boot: readText('/proc/sys/kernel/random/boot_id'),
    host: `${hostname()} ${readText('/etc/machine-id')}`,
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
  const path = join(directory, markName)
  try {
    const stats = lstatSync(path)
    if (!stats.isFile() || stats.size > markLimit) return undefined
    const mark: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return isMark(mark) ? mark : undefined
  } catch {
    return undefined
  }
}

/** Mark a directory as belonging to this process, or to another one. */
export function leaveMark(directory: string, mark: Mark = ownMark()): void {
  writeFileSync(join(directory, markName), JSON.stringify(mark), { mode: 0o600 })
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
