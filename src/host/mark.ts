/** Marks in temporary directories: who made them, so that those of processes that were killed can be told from living ones. */

import { lstatSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'

const markName = 'owner'
const markLimit = 4096

/** Who made a directory. A process id means something only together with where and when it was given. */
type Mark = { boot: string; host: string; pidNamespace: string; pid: number; started: string }

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/**
 * When a process was started, in clock ticks since boot; undefined when there is none, or only what its parent has not yet
 * heard of. proc_pid_stat(5), fields 3 and 22.
 */
function startTime(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`)
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' ? undefined : fields[19]
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

/** Mark a directory as made by this process. */
export function leaveMark(directory: string): void {
  writeFileSync(join(directory, markName), JSON.stringify(ownMark()), { mode: 0o600 })
}

/** Take the mark away: the directory belongs to the user from now on. */
export function removeMark(directory: string): void {
  rmSync(join(directory, markName), { force: true })
}

/**
 * Whether the maker of a directory is surely gone. Temporary directories may be shared between machines and containers, so a
 * process id that was given elsewhere says nothing.
 */
export function isAbandoned(directory: string): boolean {
  const mark = readMark(directory)
  if (!mark) return false
  const own = ownMark()
  if (mark.boot !== own.boot) return mark.host === own.host
  if (mark.pidNamespace !== own.pidNamespace) return false
  return !Number.isSafeInteger(mark.pid) || startTime(mark.pid) !== mark.started
}
