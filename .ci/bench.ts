/** The measurements of `npm run bench`: each figure beside the peer's from the same minute, and the limit of their ratio. */

import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { formatSize } from '../src/core/units.ts'
import { can } from '../test/helpers/can.ts'
import { launcher, makeMpiImage } from '../test/helpers/mpi.ts'
import { commandLine, environment, program } from '../test/helpers/sing.ts'

type Row = {
  readonly title: string
  readonly ours: string
  readonly peers?: string
  /** Ours divided by the peer's, or by the limit where there is no peer. */
  readonly ratio?: number
  readonly limit?: number
}

const peerProgram = process.env.SING_PEER ?? 'peer'
const cache = process.env.SING_BENCH_CACHE ?? '/var/tmp/sing-bench'
const work = join(cache, 'work')
const busybox = join(cache, 'busybox')
const debian = join(cache, 'debian')
const images = {
  peersSmall: join(work, 'small-peer.sif'),
  oursSmall: join(work, 'small.sif'),
  peersBig: join(work, 'big-peer.sif'),
  oursBig: join(work, 'big.sif'),
}
const rows: Row[] = []

/** `sh -c` text that reads every file of the usual folders with two readers. */
const readEverything =
  'find /usr /bin /lib /etc -xdev -type f -print0 2>/dev/null | xargs -0 -n 200 -P 2 cat > /dev/null 2>&1; true'

function seconds(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(2)} s`
}

function compare(
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

/** The command that the peer's side runs: in its root, as the same user, with our checkout and the images visible. */
function inPeerRoot(command: readonly string[]): string[] {
  return [peerProgram, ...command]
}

const peerEnvironment = {
  ...process.env,
  SING_PEER_BIND: [join(program, '..', '..'), cache].join(':'),
}

function must(command: readonly string[]): void {
  const [file = '', ...args] = command
  const { status, stderr, stdout } = spawnSync(file, args, {
    cwd: work,
    env: peerEnvironment,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${command.join(' ')} ended with status ${status}:\n${stdout}${stderr}`)
}

/** Median wall times of commands, in seconds: several rounds of hyperfine, one command after the other in each. */
function times(commands: readonly string[], runs: number, rounds = 3): number[] {
  const all = commands.map((): number[] => [])
  const report = join(work, 'times.json')
  for (let round = 0; round < rounds; round += 1) {
    must(inPeerRoot(['hyperfine', '-N', '-w', '2', '-r', String(runs), '--export-json', report, ...commands]))
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

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

type Process = {
  readonly pid: number
  readonly parent: number
  readonly resident: number
  readonly program: string
}

function processes(): Process[] {
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

/**
 * Run to the end: wall time in seconds, and the most memory that all its processes had resident together, in bytes; or those
 * processes on the machine that run the program `only`.
 */
async function watch(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  only = '',
): Promise<{ wall: number; peak: number }> {
  const [file = '', ...args] = command
  const begin = performance.now()
  const child = spawn(file, args, { cwd: work, env, stdio: ['ignore', 'ignore', 'pipe'] })
  const measured = (pid: number) =>
    only ? processes().filter(({ program }) => program.endsWith(only)) : family(pid)
  let peak = 0
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  const timer = setInterval(() => {
    peak = Math.max(
      peak,
      measured(child.pid ?? 0).reduce((sum, { resident }) => sum + resident, 0),
    )
  }, 25)
  const status = await new Promise((resolve) => child.on('close', resolve))
  clearInterval(timer)
  if (status !== 0) throw new Error(`${command.join(' ')} ended with status ${status}:\n${stderr}`)
  return { wall: (performance.now() - begin) / 1000, peak }
}

const bytes = (path: string): number => statSync(path).size

function makeSmallImages(): void {
  for (const path of [images.peersSmall, images.oursSmall]) rmSync(path, { force: true })
  must(inPeerRoot(['apptainer', '-s', 'build', images.peersSmall, busybox]))
  must(inPeerRoot([program, '-s', 'build', images.oursSmall, busybox]))
}

function measureStart(): void {
  makeSmallImages()
  const cases = [
    ['exec true, image made by the peer', images.peersSmall, images.peersSmall, 0.35],
    ['exec true, image made by sing', images.oursSmall, images.peersSmall, 0.25],
    ['exec true, sandbox', busybox, busybox, 0.35],
  ] as const
  for (const [title, ours, peers, limit] of cases) {
    const [peer = 0, sing = 0] = times([`apptainer exec ${peers} true`, `${program} exec ${ours} true`], 15)
    compare(title, sing, peer, limit)
  }
  const [fakePeer = 0, fakeSing = 0] = times(
    [
      `apptainer exec --fakeroot ${images.peersSmall} true`,
      `${program} exec --fakeroot ${images.oursSmall} true`,
    ],
    15,
  )
  compare('exec --fakeroot true', fakeSing, fakePeer, undefined)
  const [engine = 0] = times([`${program} version`], 30)
  rows.push({ title: 'the engine alone (version)', ours: seconds(engine) })
}

async function measurePack(): Promise<void> {
  rmSync(images.peersBig, { force: true })
  const peer = await watch(inPeerRoot(['apptainer', '-s', 'build', images.peersBig, debian]), peerEnvironment)
  const runs: { wall: number; peak: number }[] = []
  for (let run = 0; run < 3; run += 1) {
    rmSync(images.oursBig, { force: true })
    runs.push(await watch(commandLine([program, '-s', 'build', images.oursBig, debian]), environment()))
  }
  compare('pack a Debian root', median(runs.map(({ wall }) => wall)), peer.wall, 0.15)
  compare('size of that image', bytes(images.oursBig), bytes(images.peersBig), 1.02, formatSize)
  const peak = Math.max(...runs.map(({ peak }) => peak))
  const limit = 150e6
  rows.push({
    title: 'memory while packing (limit 150 MB)',
    ours: formatSize(peak),
    peers: formatSize(peer.peak),
    ratio: peak / limit,
    limit: 1,
  })
}

function needBigImages(): void {
  const exists = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined
  if (!exists(images.peersBig)) must(inPeerRoot(['apptainer', '-s', 'build', images.peersBig, debian]))
  if (!exists(images.oursBig)) must(inPeerRoot([program, '-s', 'build', images.oursBig, debian]))
}

/** Hold a container that has read its whole image, and look at who is left beside it. */
async function measureRest(): Promise<void> {
  const [file = '', ...args] = commandLine([
    program,
    'exec',
    images.oursBig,
    'sh',
    '-c',
    `${readEverything}; echo; exec sleep 60`,
  ])
  const child = spawn(file, args, { cwd: work, env: environment(), stdio: ['ignore', 'pipe', 'inherit'] })
  const { promise, resolve } = Promise.withResolvers<void>()
  child.stdout.once('data', () => resolve())
  child.once('exit', () => resolve())
  await promise
  const around = processes()
  const engines = around.filter(({ program }) => program.endsWith('/engine')).length
  const servers = around.filter(({ program }) => program.endsWith('/sing-squashfs'))
  const resident = Math.max(0, ...servers.map(({ resident }) => resident))
  child.kill('SIGKILL')
  rows.push({
    title: 'engine processes beside a container',
    ours: String(engines),
    ratio: engines + 1,
    limit: 1,
  })
  const limit = 24e6
  const missing = servers.length === 0
  rows.push({
    title: 'memory of the image server (limit 24 MB)',
    ours: missing ? 'no server found' : formatSize(resident),
    ratio: missing ? Number.POSITIVE_INFINITY : resident / limit,
    limit: 1,
  })
}

async function measureServe(): Promise<void> {
  needBigImages()
  await measureRest()
  const read = (runtime: string, image: string) => `${runtime} exec ${image} sh -c '${readEverything}'`
  const [peer = 0, sing = 0] = times([read('apptainer', images.peersBig), read(program, images.oursBig)], 2)
  compare('read every file, two readers', sing, peer, 0.6)
  const python = (runtime: string, image: string) => `${runtime} exec ${image} python3 -c 'import numpy'`
  const [pythonPeer = 0, pythonSing = 0] = times(
    [python('apptainer', images.peersBig), python(program, images.oursBig)],
    5,
  )
  compare("python3 -c 'import numpy'", pythonSing, pythonPeer, undefined)
}

/** Ranks that work for a second: what so many of them cost more than one, in time and in memory of image servers. */
async function measureRanks(): Promise<void> {
  if (!can('mpi')) return console.log('MPI ranks are not measured: mpirun or mpicc is missing')
  const ranks = 16
  const folder = join(work, 'mpi')
  rmSync(folder, { recursive: true, force: true })
  must(commandLine(['mkdir', folder]))
  const { image, ring } = await makeMpiImage(folder)
  const inContainers = [program, 'exec', image, 'ring', '1']
  const run = (count: number, command: readonly string[]) =>
    watch(commandLine([...launcher(count), ...command]), environment(), 'sing-squashfs')
  const [one, all] = [await run(1, inContainers), await run(ranks, inContainers)]
  const [plainOne, plainAll] = [await run(1, [ring, '1']), await run(ranks, [ring, '1'])]
  const row = (title: string, ours: string, ratio: number, limit?: number) =>
    rows.push({ title, ours, ratio, ...(limit === undefined ? {} : { limit }) })
  row(`${ranks} MPI ranks, beside one`, seconds(all.wall), all.wall / one.wall, 2)
  row(
    `${ranks} of them without containers, beside one`,
    seconds(plainAll.wall),
    plainAll.wall / plainOne.wall,
  )
  row('image servers of these ranks, beside one', formatSize(all.peak), all.peak / one.peak, 1.5)
}

const isOver = ({ ratio, limit }: Row): boolean =>
  ratio !== undefined && limit !== undefined && !(ratio <= limit)

function print(): void {
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
}

const parts = { start: measureStart, pack: measurePack, serve: measureServe, ranks: measureRanks }
const chosen = process.argv.slice(2)
for (const [name, measure] of Object.entries(parts)) {
  if (chosen.length === 0 || chosen.includes(name)) await measure()
}
print()
process.exitCode = rows.some(isOver) ? 1 : 0
