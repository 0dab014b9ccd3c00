/** What the commands of instances show of containers that run in the background. */

import { closeSync, openSync, readSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatSize } from '../core/units.ts'
import { allUsers } from '../host/users.ts'
import { type Usage, usageOf } from '../runtime/instance-stats.ts'
import { statusOf, waitForStatus } from '../runtime/instance-stop.ts'
import {
  findInstances,
  type Instance,
  isRunning,
  logsOf,
  placeOf,
  requireInstance,
  requireName,
  sizeOf,
} from '../runtime/instances.ts'
import { isAnswerTerminal, redrawAnswer } from '../ui/output.ts'
import { toColumns } from '../ui/table.ts'
import type { Call, Context } from './command.ts'
import { everybodys, ownPlace, placeFor } from './instances.ts'

async function listed(call: Call): Promise<Instance[]> {
  const { flags, args, context } = call
  if (flags.all !== true || process.geteuid?.() !== 0) return findInstances(placeFor(call), args[0])
  const places = allUsers().map((user) => placeOf(everybodys(context.environment), user))
  const own = ownPlace(context)
  const all = [own, ...places.filter(({ directory }) => directory !== own.directory)]
  return (await Promise.all(all.map((place) => findInstances(place, args[0])))).flat()
}

const jsonOf = (instance: Instance) => ({
  instance: instance.name,
  pid: instance.mark.pid,
  img: instance.image.path,
  ip: instance.ip,
  logErrPath: instance.logs.err,
  logOutPath: instance.logs.out,
  user: instance.user,
  since: instance.since,
  /** What the command has ended with; null while it runs. */
  status: statusOf(instance) ?? null,
})

const toJson = (value: unknown): string => `${JSON.stringify(value, null, '\t')}\n`

function listRows(instances: readonly Instance[], logs: boolean): string[][] {
  if (!logs) {
    const rows = instances.map(({ name, mark, ip, image }) => [name, String(mark.pid), ip, image.path])
    return [['INSTANCE NAME', 'PID', 'IP', 'IMAGE'], ...rows]
  }
  const rows = instances.flatMap(({ name, mark, logs: { out, err } }) => [
    [name, String(mark.pid), err],
    ['', '', out],
  ])
  return [['INSTANCE NAME', 'PID', 'LOGS'], ...rows]
}

/** `instance list` */
export async function list(call: Call): Promise<number> {
  const { flags, context } = call
  const instances = await listed(call)
  if (flags.json === true) context.print(toJson({ instances: instances.map(jsonOf) }))
  else context.print(toColumns(listRows(instances, flags.logs === true), '    '))
  return 0
}

/** Print what a file has got since; returns how far. */
function printFrom(path: string, from: number, context: Context): number {
  const size = sizeOf(path)
  // A restart without a past begins the file anew.
  let at = size < from ? 0 : from
  if (size === at) return at
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(64 * 1024)
    for (let length = -1; length !== 0; at += length) {
      length = readSync(file, bytes, 0, bytes.length, at)
      if (length > 0) context.print(bytes.subarray(0, length))
    }
  } finally {
    closeSync(file)
  }
  return at
}

const FOLLOW_PAUSE = 200

/** What an instance has written, and with --follow what it writes until it ends: `instance logs`. */
export async function logs(call: Call): Promise<number> {
  const { flags, args, context } = call
  const [name = ''] = args
  requireName(name)
  const place = placeFor(call)
  const both = logsOf(place, name)
  const paths = flags.out === true ? [both.out] : flags.err === true ? [both.err] : [both.out, both.err]
  const found = await findInstances(place, name)
  if (found.length === 0 && sizeOf(both.out) + sizeOf(both.err) === 0) requireInstance(place, name)
  let positions = paths.map(() => 0)
  for (;;) {
    const [instance] = found
    const isLast = flags.follow !== true || !instance || !isRunning(instance)
    positions = paths.map((path, index) => printFrom(path, positions[index] ?? 0, context))
    if (isLast) return 0
    await sleep(FOLLOW_PAUSE)
  }
}

/** Wait for the command of an instance; its status is ours: `instance wait`. */
export async function wait(call: Call): Promise<number> {
  const place = placeFor(call)
  return waitForStatus(requireInstance(place, call.args[0] ?? ''))
}

const percent = (part: number, whole: number): string => `${((part / whole) * 100).toFixed(2)}%`

function statsTable({ name }: Instance, usage: Usage, cpu: number): string {
  const { memory, memoryLimit, processes, read, written, network } = usage
  const row = [
    name,
    `${cpu.toFixed(2)}%`,
    `${formatSize(memory)} / ${formatSize(memoryLimit)}`,
    percent(memory, memoryLimit),
    `${formatSize(read)} / ${formatSize(written)}`,
    network ? `${formatSize(network.received)} / ${formatSize(network.sent)}` : 'host',
    String(processes),
  ]
  const header = ['INSTANCE NAME', 'CPU USAGE', 'MEM USAGE / LIMIT', 'MEM %', 'BLOCK I/O', 'NET I/O', 'PIDS']
  return toColumns([header, row], '    ')
}

const SAMPLE_PAUSE = 500

/** What an instance uses: `instance stats`. */
export async function stats(call: Call): Promise<number> {
  const { flags, args, context } = call
  const instance = requireInstance(placeFor(call), args[0] ?? '')
  const streams = flags.json !== true && flags['no-stream'] !== true && isAnswerTerminal()
  let [before, at] = [usageOf(instance), performance.now()]
  for (let lines = 0; isRunning(instance); ) {
    await sleep(SAMPLE_PAUSE)
    const [usage, now] = [usageOf(instance), performance.now()]
    const cpu = Math.max(0, (usage.seconds - before.seconds) / ((now - at) / 1000)) * 100
    if (flags.json === true) {
      context.print(
        toJson({ instance: instance.name, cpuPercent: cpu, ...usage, network: usage.network ?? null }),
      )
      return 0
    }
    lines = redrawAnswer(statsTable(instance, usage, cpu), lines)
    if (!streams) return 0
    ;[before, at] = [usage, now]
  }
  return 0
}
