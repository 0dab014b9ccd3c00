/** Make the cgroups of a plan, put a process into them, and take them away again. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { errnoOf, reasonOf, SingError } from '../core/errors.ts'
import type { CgroupGroup, CgroupPlan } from '../plan/cgroup.ts'
import type { Setting } from '../plan/limits.ts'

/** What `removeCgroups` needs; plain, so that it can be kept in a file. */
export type CgroupRecord = { readonly kind: 'cgroups'; readonly directories: readonly string[] }

const prefix = 'sing-'

function failure(what: string, error: unknown): SingError {
  return new SingError('RESOURCES', `${what}: ${reasonOf(error)}`, { cause: error })
}

function removeIfEmpty(directory: string): boolean {
  try {
    rmdirSync(directory)
    return true
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
  }
}

/** Cgroups of launches that were killed hard; those with processes in them stay by themselves. */
function sweep(parent: string): void {
  for (const name of namesIn(parent)) {
    const [, pid] = /^sing-(\d+)(?:-\d+)?$/.exec(name) ?? []
    if (pid && !existsSync(`/proc/${pid}`)) removeIfEmpty(join(parent, name))
  }
}

/** What hinders reading will hinder making, which tells it. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function makeDirectory(parent: string): string {
  for (let count = 0; ; count += 1) {
    const directory = join(parent, `${prefix}${process.pid}${count === 0 ? '' : `-${count}`}`)
    try {
      mkdirSync(directory)
      return directory
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw failure(`cannot make the cgroup ${directory}`, error)
    }
  }
}

function apply(directory: string, { controller, files }: Setting): void {
  const file = files.find(({ name }) => existsSync(join(directory, name)))
  if (!file) {
    const [first] = files
    throw new SingError('RESOURCES', `cannot set ${first?.name}: the kernel has no such limit`, {
      hint:
        controller === 'memory'
          ? 'Swap is limited only where the kernel counts it (swapaccount=1)'
          : undefined,
    })
  }
  try {
    writeFileSync(join(directory, file.name), file.value)
  } catch (error) {
    throw failure(`cannot set ${file.name} to ${file.value}`, error)
  }
}

/** An empty cpuset takes no process; the parent may have none of its own but what it got. */
function inherit(parent: string, directory: string, name: string): void {
  const value = readFileSync(join(parent, name), 'utf8').trim()
  if (value) writeFileSync(join(directory, name), value)
}

function enable({ parent, enable: controllers }: CgroupGroup): void {
  if (controllers.length === 0) return
  const line = controllers.map((name) => `+${name}`).join(' ')
  try {
    writeFileSync(join(parent, 'cgroup.subtree_control'), line)
  } catch (error) {
    throw failure(`cannot turn on ${controllers.join(', ')} in the cgroup ${parent}`, error)
  }
}

function makeGroup(group: CgroupGroup, made: string[]): void {
  sweep(group.parent)
  enable(group)
  const directory = makeDirectory(group.parent)
  made.push(directory)
  for (const name of group.inherit) inherit(group.parent, directory, name)
  for (const setting of group.settings) apply(directory, setting)
}

/**
 * Make the cgroups and move the process into them, with whatever it starts from now on.
 * @throws SingError RESOURCES; nothing is left behind then
 */
export async function enterCgroups(
  plan: CgroupPlan & { readonly kind: 'groups' },
  pid: number,
): Promise<CgroupRecord> {
  const directories: string[] = []
  try {
    for (const group of plan.groups) makeGroup(group, directories)
    joinCgroups({ kind: 'cgroups', directories }, pid)
  } catch (error) {
    await removeCgroups({ kind: 'cgroups', directories })
    throw error
  }
  return { kind: 'cgroups', directories }
}

/** Put a process into cgroups that are there. @throws SingError RESOURCES */
export function joinCgroups({ directories }: CgroupRecord, pid: number): void {
  for (const directory of directories) {
    try {
      writeFileSync(join(directory, 'cgroup.procs'), String(pid))
    } catch (error) {
      throw failure(`cannot enter the cgroup ${directory}`, error)
    }
  }
}

/** How long processes that have ended may still be there. */
const patience = { tries: 50, milliseconds: 20 } as const

/**
 * Remove cgroups whose processes have ended. What a container without processes of its own has left running keeps its
 * limits, and its cgroup until a later launch finds it empty.
 */
export async function removeCgroups({ directories }: CgroupRecord): Promise<void> {
  for (const directory of directories) {
    for (let tries = 0; tries < patience.tries && !removeIfEmpty(directory); tries += 1)
      await setTimeout(patience.milliseconds)
  }
}
