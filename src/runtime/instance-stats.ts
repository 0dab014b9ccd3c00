/** What an instance uses: from its control group where it has one, else from /proc of its processes. */

import { readdirSync, readlinkSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { readIfThere } from '../host/look.ts'
import { lookAtProcess } from '../host/process.ts'
import type { Instance } from './instances.ts'

/** All in bytes but `seconds` of processor time. */
export type Usage = {
  readonly seconds: number
  readonly memory: number
  readonly memoryLimit: number
  readonly processes: number
  readonly read: number
  readonly written: number
  /** Of a network of its own; undefined when it uses that of the host. */
  readonly network: { readonly received: number; readonly sent: number } | undefined
}

const TICKS = 100 // USER_HZ, which no Linux of today has otherwise
const KIBIBYTE = 1024

const link = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** The number behind a key of `key value` lines; 0 without one. */
function numberOf(text: string, key: string): number {
  return Number(new RegExp(`^${key}:?\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
}

type Process = {
  readonly pid: number
  readonly parent: number
  readonly ticks: number
  readonly inside: boolean
}

/** proc_pid_stat(5): fields 4, 14 to 17 behind the name. */
function lookAt(pid: number, namespace: string): Process | undefined {
  const fields = lookAtProcess(pid)?.fields.map(Number) ?? []
  const [, parent] = fields
  if (parent === undefined) return undefined
  const ticks = fields.slice(11, 15).reduce((sum, count) => sum + count, 0)
  return { pid, parent, ticks, inside: link(`/proc/${pid}/ns/pid`) === namespace }
}

/** Processes in the instance's pid namespace, and their children in namespaces below it. */
function processesOf(init: number): Process[] {
  const namespace = link(`/proc/${init}/ns/pid`)
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => lookAt(Number(name), namespace) ?? [])
  const members = new Set(all.filter(({ inside }) => inside).map(({ pid }) => pid))
  for (let size = -1; size !== members.size; ) {
    size = members.size
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid)
  }
  return all.filter(({ pid }) => members.has(pid))
}

/** The share of pages that several processes have in common is counted once, where the kernel tells it. */
function memoryOf(pid: number): number {
  const shares = readIfThere(`/proc/${pid}/smaps_rollup`)
  return (shares ? numberOf(shares, 'Pss') : numberOf(readIfThere(`/proc/${pid}/status`), 'VmRSS')) * KIBIBYTE
}

function networkOf(init: number): Usage['network'] {
  if (link(`/proc/${init}/ns/net`) === link('/proc/self/ns/net')) return undefined
  const rows = readIfThere(`/proc/${init}/net/dev`)
    .split('\n')
    .map((line) => line.trim().split(/[:\s]+/))
    .filter(([name, bytes]) => name !== 'lo' && /^\d+$/.test(bytes ?? ''))
  const sum = (column: number) => rows.reduce((total, row) => total + Number(row[column] ?? 0), 0)
  return { received: sum(1), sent: sum(9) }
}

function usageOfProcesses(init: number): Usage {
  const processes = processesOf(init)
  const sum = (amount: (process: Process) => number) =>
    processes.reduce((total, process) => total + amount(process), 0)
  return {
    seconds: sum(({ ticks }) => ticks) / TICKS,
    memory: sum(({ pid }) => memoryOf(pid)),
    memoryLimit: totalmem(),
    processes: processes.length,
    read: sum(({ pid }) => numberOf(readIfThere(`/proc/${pid}/io`), 'read_bytes')),
    written: sum(({ pid }) => numberOf(readIfThere(`/proc/${pid}/io`), 'write_bytes')),
    network: networkOf(init),
  }
}

/** The files of a control group of version 2; undefined when it has no numbers of memory, as a group of version 1. */
export function usageOfGroup(directory: string): Omit<Usage, 'network'> | undefined {
  const file = (name: string) => readIfThere(join(directory, name)).trim()
  const memory = file('memory.current')
  if (!memory) return undefined
  const limit = Number(file('memory.max'))
  const devices = file('io.stat')
  const sum = (key: string) =>
    [...devices.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce(
      (total, [, count]) => total + Number(count),
      0,
    )
  return {
    seconds: numberOf(file('cpu.stat'), 'usage_usec') / 1e6,
    memory: Number(memory),
    memoryLimit: limit > 0 ? Math.min(limit, totalmem()) : totalmem(),
    processes: Number(file('pids.current')),
    read: sum('rbytes'),
    written: sum('wbytes'),
  }
}

/** One look. */
export function usageOf({ mark, around }: Instance): Usage {
  const [group] = (around.cgroups?.directories ?? []).flatMap((directory) => usageOfGroup(directory) ?? [])
  return group ? { ...group, network: networkOf(mark.pid) } : usageOfProcesses(mark.pid)
}
