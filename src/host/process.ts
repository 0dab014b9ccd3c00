/** What /proc tells of a process. */

import { readFileSync } from 'node:fs'

export type ProcessLook = {
  readonly name: string
  /** The fields behind the name: the first is the state, number 3 of proc_pid_stat(5). */
  readonly fields: readonly string[]
}

/** /proc/PID/stat; undefined when there is no such process. */
export function lookAtProcess(pid: number | 'self'): ProcessLook | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const end = text.lastIndexOf(')')
    return { name: text.slice(text.indexOf('(') + 1, end), fields: text.slice(end + 2).split(' ') }
  } catch {
    return undefined
  }
}

/**
 * When a process was started, in clock ticks since boot (field 22); undefined when there is none, or only what its parent has
 * not yet heard of.
 */
export function startTime(pid: number): string | undefined {
  const fields = lookAtProcess(pid)?.fields ?? []
  return /[ZX]/.test(fields[0] ?? '') ? undefined : fields[19]
}
