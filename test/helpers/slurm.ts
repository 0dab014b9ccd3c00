/**
 * A cluster of one node, this machine: munge, slurmctld and slurmd on loopback, with files, ports and a key of their own.
 * Needs root. Whoever starts it must stop it, on every way out.
 */

import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism, hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Outcome, type RunOptions, run } from './sing.ts'

/** How the cluster follows the processes of a job: by their parents, or by cgroups (version 1) that also limit them. */
export type Tracking = 'parents' | 'cgroups'

export type Cluster = {
  /** A command of Slurm's, as the ordinary user unless the options say otherwise. */
  readonly slurm: (command: readonly string[], options?: RunOptions) => Promise<Outcome>
  readonly stop: () => Promise<void>
}

const daemons = ['munged', 'slurmctld', 'slurmd'] as const

export async function startSlurm(tracking: Tracking): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'sing-slurm-'))
  const config = join(folder, 'slurm.conf')
  const slurm = (command: readonly string[], options: RunOptions = {}) =>
    run(command, { ...options, env: { SLURM_CONF: config, ...options.env } })
  const stop = () => stopAll(folder, tracking)
  try {
    await layOut(folder, tracking)
    const munge = ['key-file', 'socket', 'pid-file', 'log-file', 'seed-file'].map(
      (name) => `--${name}=${join(folder, 'munge', name)}`,
    )
    await start(slurm, ['munged', ...munge])
    await start(slurm, ['slurmctld'])
    await start(slurm, ['slurmd'])
    await until(async () => (await slurm(['sinfo', '-h', '-o', '%t'])).stdout.trim() === 'idle')
  } catch (error) {
    const told = daemons.map((name) => readIfThere(join(folder, `${name}.log`))).join('')
    await stop()
    throw new Error(`cannot start Slurm: ${told}`, { cause: error })
  }
  return { slurm, stop }
}

/** Each of them goes into the background when it is ready. */
async function start(slurm: Cluster['slurm'], command: readonly string[]): Promise<void> {
  const { status, stderr } = await slurm(command, { as: 'self', cwd: '/' })
  if (status !== 0) throw new Error(`${command[0]}: ${stderr}`)
}

async function layOut(folder: string, tracking: Tracking): Promise<void> {
  chmodSync(folder, 0o755)
  for (const name of ['munge', 'state', 'spool']) mkdirSync(join(folder, name), { mode: 0o755 })
  writeFileSync(join(folder, 'munge', 'key-file'), randomBytes(128), { mode: 0o400 })
  const ports = [await freePort(), await freePort()]
  writeFileSync(join(folder, 'slurm.conf'), configuration(folder, tracking, ports))
  writeFileSync(join(folder, 'cgroup.conf'), tracking === 'cgroups' ? cgroupConfiguration : '')
}

function configuration(folder: string, tracking: Tracking, [controller, node]: readonly number[]): string {
  const byCgroups = tracking === 'cgroups'
  return `ClusterName=sing
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=${folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
ReturnToService=2
KillWait=3
SchedulerParameters=batch_sched_delay=0
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdPidFile=${folder}/slurmd.pid
SlurmdLogFile=${folder}/slurmd.log
ProctrackType=${byCgroups ? 'proctrack/cgroup' : 'proctrack/linuxproc'}
TaskPlugin=${byCgroups ? 'task/cgroup' : 'task/none'}
JobAcctGatherType=${byCgroups ? 'jobacct_gather/cgroup' : 'jobacct_gather/none'}
SelectType=select/cons_tres
SelectTypeParameters=${byCgroups ? 'CR_Core_Memory' : 'CR_Core'}
NodeName=${hostname()} NodeAddr=127.0.0.1 Port=${node} CPUs=${availableParallelism()} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`
}

const cgroupConfiguration = `CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainCores=yes
ConstrainRAMSpace=yes
`

async function freePort(): Promise<number> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('a port has no number')
  return address.port
}

async function stopAll(folder: string, tracking: Tracking): Promise<void> {
  const pids = ['slurmd.pid', 'slurmctld.pid', 'munge/pid-file']
    .map((name) => Number(readIfThere(join(folder, name))))
    .filter((pid) => pid > 0)
  for (const pid of pids) await end(pid)
  // A daemon that ends may still write its state down.
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  const made = tracking === 'cgroups' ? ['cpuset', 'memory', 'freezer', 'cpuacct', 'devices'] : []
  for (const controller of made)
    await until(() => isRemoved(join('/sys/fs/cgroup', controller, `slurm_${hostname()}`)))
}

async function end(pid: number): Promise<void> {
  if (!isAlive(pid)) return
  process.kill(pid, 'SIGTERM')
  await until(() => !isAlive(pid))
}

/** Whether the process runs; one that has ended and that nobody reaps does not. */
export function isAlive(pid: number): boolean {
  return /^State:\s+[^ZX]/m.test(readIfThere(`/proc/${pid}/status`))
}

/** Wait until it holds; every 20 ms a look, for a minute. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('waited for a minute in vain')
    await setTimeout(20)
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Directories of cgroups go one by one, the deepest first, and those with a process that is about to end a little later. */
function isRemoved(path: string): boolean {
  if (!existsSync(path)) return true
  const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  if (!below.every(({ name }) => isRemoved(join(path, name)))) return false
  try {
    rmdirSync(path)
    return true
  } catch {
    return false
  }
}
