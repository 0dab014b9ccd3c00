/** The batch job that this process is part of, so that what it leaves behind can end with it. */

import { readFileSync } from 'node:fs'

type Ancestor = { readonly pid: number; readonly name: string; readonly parent: number }

/** proc_pid_stat(5), fields 2 and 4. */
function look(pid: number): Ancestor | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const end = text.lastIndexOf(')')
    const name = text.slice(text.indexOf('(') + 1, end)
    return { pid, name, parent: Number(text.slice(end + 2).split(' ')[1]) }
  } catch {
    return undefined
  }
}

/**
 * The process that stands for the Slurm step we are in: it lives as long as the step. Slurm itself finds what was left behind
 * only where it tracks processes by control groups.
 */
export function findJob(environment: Readonly<Record<string, string>>): number | undefined {
  if (!environment.SLURM_JOB_ID) return undefined
  let ancestor = look(process.ppid)
  while (ancestor && ancestor.pid > 1 && ancestor.name !== 'slurmstepd') ancestor = look(ancestor.parent)
  return ancestor?.name === 'slurmstepd' ? ancestor.pid : undefined
}
