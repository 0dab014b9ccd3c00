/** The measurements of `npm run bench`: each figure beside the peer's from the same minute, and the limit of their ratio. */

import { spawn } from 'node:child_process'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatSize } from '../src/core/units.ts'
import { can } from '../test/helpers/can.ts'
import { launcher, makeMpiImage } from '../test/helpers/mpi.ts'
import { commandLine, environment, program } from '../test/helpers/sing.ts'
import { measureBuild } from './bench-build.ts'
import {
  bound,
  bytes,
  cache,
  compare,
  inPeerRoot,
  median,
  must,
  peerEnvironment,
  print,
  processes,
  rows,
  seconds,
  times,
  type Watched,
  watch,
  work,
} from './bench-measure.ts'
import { measurePull } from './bench-pull.ts'
import { measureTrust } from './bench-trust.ts'

const busybox = join(cache, 'busybox')
const debian = join(cache, 'debian')
const images = {
  peersSmall: join(work, 'small-peer.sif'),
  oursSmall: join(work, 'small.sif'),
  peersBig: join(work, 'big-peer.sif'),
  oursBig: join(work, 'big.sif'),
}

/** `sh -c` text that reads every file of the usual folders with two readers. */
const readEverything =
  'find /usr /bin /lib /etc -xdev -type f -print0 2>/dev/null | xargs -0 -n 200 -P 2 cat > /dev/null 2>&1; true'

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
  const peer = await watch(inPeerRoot(['apptainer', '-s', 'build', images.peersBig, debian]), {
    env: peerEnvironment,
  })
  const runs: Watched[] = []
  for (let run = 0; run < 3; run += 1) {
    rmSync(images.oursBig, { force: true })
    runs.push(
      await watch(commandLine([program, '-s', 'build', images.oursBig, debian]), { env: environment() }),
    )
  }
  compare('pack a Debian root', median(runs.map(({ wall }) => wall)), peer.wall, 0.15)
  compare('size of that image', bytes(images.oursBig), bytes(images.peersBig), 1.02, formatSize)
  const peak = Math.max(...runs.map(({ peak }) => peak))
  bound('memory while packing (limit 150 MB)', peak, 150e6, formatSize, peer.peak)
  await measureChange()
}

/** A definition that begins with that image and changes little. */
async function measureChange(): Promise<void> {
  const build = async (base: string, command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> => {
    const definition = join(work, 'change.def')
    writeFileSync(definition, `Bootstrap: localimage\nFrom: ${base}\n%post\n  echo new > /new\n`)
    return (await watch([...command, '-F', join(work, 'change.sif'), definition], { env })).wall
  }
  const peer = inPeerRoot(['apptainer', '-s', 'build', '--fakeroot'])
  const peers = await build(images.peersBig, peer, peerEnvironment)
  const ours = await build(images.oursBig, commandLine([program, '-s', 'build']), environment())
  rmSync(join(work, 'change.sif'))
  compare('build on that image', ours, peers, 0.15)
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
    watch(commandLine([...launcher(count), ...command]), { env: environment(), only: 'sing-squashfs' })
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

const parts = {
  start: measureStart,
  pack: measurePack,
  serve: measureServe,
  ranks: measureRanks,
  pull: measurePull,
  build: () => {
    needBigImages()
    measureBuild({ peers: images.peersBig, ours: images.oursBig })
  },
  trust: () => {
    needBigImages()
    measureTrust({ peers: images.peersBig, ours: images.oursBig })
  },
}
const chosen = process.argv.slice(2)
for (const [name, measure] of Object.entries(parts)) {
  if (chosen.length === 0 || chosen.includes(name)) await measure()
}
process.exitCode = print() ? 0 : 1
