/** The batch job that this process is part of, so that what it leaves behind can end with it. */

import { lookAtProcess } from './process.ts'

type Ancestor = { readonly pid: number; readonly name: string; readonly parent: number }

function look(pid: number): Ancestor | undefined {
  const found = lookAtProcess(pid)
  return found && { pid, name: found.name, parent: Number(found.fields[1]) }
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
