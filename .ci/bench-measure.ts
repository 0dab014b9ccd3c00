/** How `npm run bench` measures: wall time, memory and disk of a command and all that it starts, and the table of the results. */

import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { commandLine, program } from '../test/helpers/sing.ts'

export type Row = {
  readonly title: string
  readonly ours: string
  readonly peers?: string
  /** Ours divided by the peer's, or by the limit where there is no peer. */
  readonly ratio?: number
  readonly limit?: number
}

export const cache = process.env.SING_BENCH_CACHE ?? '/var/tmp/sing-bench'
export const work = join(cache, 'work')
export const rows: Row[] = []

export function seconds(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(2)} s`
}

/** A row with both sides, and the limit of ours divided by the peer's. */
export function compare(
  title: string,
  ours: number,
  peers: number,
  limit: number | undefined,
  show = seconds,
): void {
  rows.push({
    title,
    ours: show(ours),
    peers: show(peers),
    ratio: ours / peers,
    ...(limit === undefined ? {} : { limit }),
  })
}

/** A row whose limit is a figure of its own; the peer's stands beside it. */
export function bound(title: string, ours: number, limit: number, show = seconds, peers?: number): void {
  const beside = peers === undefined ? {} : { peers: show(peers) }
  rows.push({ title, ours: show(ours), ...beside, ratio: ours / limit, limit: 1 })
}

/** The command that the peer's side runs: in its root, as the same user, with our checkout and the images visible. */
export function inPeerRoot(command: readonly string[]): string[] {
  return [process.env.SING_PEER ?? 'peer', ...command]
}

export const peerEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  SING_PEER_BIND: [join(program, '..', '..'), cache].join(':'),
}

export function must(command: readonly string[], env: NodeJS.ProcessEnv = peerEnvironment): void {
  output(command, env)
}

/** What a command that must succeed writes to its standard output. */
export function output(command: readonly string[], env: NodeJS.ProcessEnv): string {
  const [file = '', ...args] = command
  const { status, stderr, stdout } = spawnSync(file, args, { cwd: work, env, encoding: 'utf8' })
  if (status === 0) return stdout
  throw new Error(`${command.join(' ')} ended with status ${status}:\n${stdout}${stderr}`)
}

/** A new empty folder of the measuring user's. */
export function emptyFolder(name: string): string {
  const folder = join(work, name)
  must(commandLine(['sh', '-c', 'chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1" && mkdir "$1"', 'sh', folder]))
  return folder
}

/** Median wall times of commands, in seconds: several rounds of hyperfine, one command after the other in each. */
export function times(
  commands: readonly string[],
  runs: number,
  { rounds = 3, env = {}, before = [] }: { rounds?: number; env?: NodeJS.ProcessEnv; before?: string[] } = {},
): number[] {
  const all = commands.map((): number[] => [])
  const report = join(work, 'times.json')
  // What is done before each run of a command, and not counted.
  const prepared = before.flatMap((command) => ['--prepare', command])
  const counts = ['-w', '2', '-r', String(runs)]
  const call = ['hyperfine', '-N', ...counts, ...prepared, '--export-json', report, ...commands]
  for (let round = 0; round < rounds; round += 1) {
    must(inPeerRoot(call), { ...peerEnvironment, ...env })
    const { results } = JSON.parse(readFileSync(report, 'utf8')) as { results: Timed[] }
    results.forEach((result, index) => {
      all[index]?.push(...wallTimes(result))
    })
  }
  return all.map(median)
}

/** One command in hyperfine's report: the form of version 1, and that of version 2. */
type Timed = {
  readonly times?: readonly number[]
  readonly measurements?: readonly { readonly time_wall_clock: { readonly value: number } }[]
}

function wallTimes({ times, measurements = [] }: Timed): readonly number[] {
  return times ?? measurements.map(({ time_wall_clock }) => time_wall_clock.value)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

type Process = {
  readonly pid: number
  readonly parent: number
  readonly resident: number
  readonly program: string
}

export function processes(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      const number = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0)
      const exe = readlinkSync(`/proc/${name}/exe`)
      return [{ pid: Number(name), parent: number('PPid'), resident: number('VmRSS') * 1024, program: exe }]
    } catch {
      return [] // it has ended meanwhile
    }
  })
}

/** The process and everything it has started. */
function family(pid: number): Process[] {
  const all = processes()
  const members = new Set([pid])
  for (let size = 0; size < members.size; ) {
    size = members.size
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid)
  }
  return all.filter(({ pid }) => members.has(pid))
}

export type Watched = {
  /** Wall time in seconds. */
  readonly wall: number
  /** The most memory that the processes had resident together, in bytes. */
  readonly peak: number
  /** The most that the file system of `disk` held beyond what it holds at the end, in bytes. */
  readonly temporary: number
}

type Watching = {
  readonly env: NodeJS.ProcessEnv
  /** Count those processes on the machine that run this program, instead of the command and all it has started. */
  readonly only?: string
  /** A mount whose use is watched. */
  readonly disk?: string
}

/** Run to the end, with a look at all of it every 25 ms. */
export async function watch(command: readonly string[], { env, only, disk }: Watching): Promise<Watched> {
  const [file = '', ...args] = command
  const begin = performance.now()
  const child = spawn(file, args, { cwd: work, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let [peak, fullest, stderr] = [0, 0, '']
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  const look = () => {
    const measured = only
      ? processes().filter(({ program }) => program.endsWith(only))
      : family(child.pid ?? 0)
    peak = Math.max(
      peak,
      measured.reduce((sum, { resident }) => sum + resident, 0),
    )
    if (disk) fullest = Math.max(fullest, used(disk))
  }
  const timer = setInterval(look, 25)
  const status = await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  if (status !== 0) throw new Error(`${command.join(' ')} ended with status ${status}:\n${stderr}`)
  const wall = (performance.now() - begin) / 1000
  return { wall, peak, temporary: disk ? Math.max(0, fullest - used(disk)) : 0 }
}

/** Wall time of a run to the end with nobody looking, in seconds. */
export function time(command: readonly string[], env: NodeJS.ProcessEnv): number {
  const begin = performance.now()
  must(command, env)
  return (performance.now() - begin) / 1000
}

function used(mount: string): number {
  const { blocks, bfree, bsize } = statfsSync(mount)
  return (blocks - bfree) * bsize
}

export const bytes = (path: string): number => statSync(path).size

const isOver = ({ ratio, limit }: Row): boolean =>
  ratio !== undefined && limit !== undefined && !(ratio <= limit)

/** Print the table; whether all limits are kept. */
export function print(): boolean {
  const cells = rows.map((row) => [
    row.title,
    row.ours,
    row.peers ?? '',
    row.ratio === undefined ? '' : row.ratio.toFixed(3),
    row.limit === undefined ? '' : String(row.limit),
    row.limit === undefined ? '' : isOver(row) ? 'OVER' : 'ok',
  ])
  const table = [['', 'sing', 'peer', 'ratio', 'limit', ''], ...cells]
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? []
  for (const line of table)
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  return !rows.some(isOver)
}
