/** `npm run bench pull`: an image of Debian in seven layers, from a registry on this machine to a SIF; cold and warm. */

import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { formatSize } from '../src/core/units.ts'
import { can } from '../test/helpers/can.ts'
import { copyImage, writeLayout } from '../test/helpers/oci.ts'
import { startRegistry } from '../test/helpers/registry.ts'
import { commandLine, environment, program } from '../test/helpers/sing.ts'
import type { TarEntry } from '../test/helpers/tar.ts'
import {
  bound,
  bytes,
  cache,
  compare,
  emptyFolder,
  inPeerRoot,
  median,
  must,
  peerEnvironment,
  time,
  times,
  type Watched,
  watch,
} from './bench-measure.ts'

/** The layers, lowest first: what tar is told to take, and to leave to others. */
const layers: readonly (readonly string[])[] = [
  ['--exclude=./usr/?*', '--exclude=./var/?*', '.'],
  ['./var'],
  ['./usr/bin', './usr/sbin'],
  ['--exclude=./usr/lib/gcc', '--exclude=./usr/lib/python3*', './usr/lib'],
  ['./usr/lib/gcc', './usr/lib/python3', './usr/lib/python3.11'],
  ['--exclude=./usr/bin', '--exclude=./usr/sbin', '--exclude=./usr/lib', './usr'],
]

/** The highest layer hides some of those below: files, a folder, and what was in a folder. */
const highest: readonly TarEntry[] = [
  { path: 'etc/', type: 'directory' },
  { path: 'etc/.wh.issue' },
  { path: 'var/lib/apt/', type: 'directory' },
  { path: 'var/lib/apt/.wh.lists' },
  { path: 'usr/share/doc/', type: 'directory' },
  { path: 'usr/share/doc/.wh..wh..opq' },
  { path: 'usr/share/doc/README', data: 'Left out.\n' },
]

/** The image as an OCI layout, its layers compressed by gzip. Made once. */
async function makeLayout(): Promise<string> {
  const layout = join(cache, 'layout')
  if (existsSync(layout)) return layout
  console.error('making an image of seven layers')
  const [plain, partial] = [`${layout}-plain`, `${layout}-partial`]
  for (const folder of [plain, partial]) rmSync(folder, { recursive: true, force: true })
  const config = { Env: ['PATH=/usr/local/bin:/usr/bin:/bin'], Cmd: ['bash'], Labels: { about: 'benchmark' } }
  const tars = layers.map((what) => tarOfRoot(what))
  writeLayout(plain, { debian: { layers: [...tars, highest], config } }, { compression: 'none' })
  await copyImage(`oci:${plain}:debian`, `oci:${partial}:debian`, ['--dest-compress'])
  rmSync(plain, { recursive: true })
  renameSync(partial, layout)
  return layout
}

function tarOfRoot(what: readonly string[]): Uint8Array {
  const root = ['--directory', join(cache, 'debian'), '--sort=name', '--owner=0', '--group=0']
  const { stdout, status, stderr } = spawnSync('tar', ['--create', ...root, ...what], { maxBuffer: 2 ** 30 })
  if (status !== 0) throw new Error(`tar: ${stderr}`)
  return stdout
}

const names = ['apptainer', 'sing'] as const
type Name = (typeof names)[number]

/** Where one of the two keeps its cache, its temporary files and its result, and how it pulls. */
class Side {
  readonly image: string
  readonly variables: Readonly<Record<string, string>>
  readonly command: readonly string[]
  readonly #name: Name
  readonly #folder: string

  constructor(name: Name, parent: string, reference: string) {
    this.#name = name
    this.#folder = emptyFolder(join(parent, name))
    must(commandLine(['mkdir', join(this.#folder, 'cache'), join(this.#folder, 'tmp')]))
    this.image = join(this.#folder, 'image.sif')
    const [prefix, file] = name === 'sing' ? ['SINGULARITY', program] : ['APPTAINER', name]
    this.variables = {
      [`${prefix}_CACHEDIR`]: join(this.#folder, 'cache'),
      [`${prefix}_TMPDIR`]: join(this.#folder, 'tmp'),
    }
    this.command = [file, 'pull', '--no-https', '-F', this.image, reference]
  }

  /** The whole command line that pulls, and its environment. */
  get call(): { line: string[]; env: NodeJS.ProcessEnv } {
    if (this.#name === 'sing')
      return { line: commandLine(this.command), env: environment({ env: this.variables }) }
    const SING_PEER_BIND = `${peerEnvironment.SING_PEER_BIND}:${this.#folder}`
    return { line: inPeerRoot(this.command), env: { ...peerEnvironment, ...this.variables, SING_PEER_BIND } }
  }
}

/** Pulls with an empty cache, one after the other. */
function measureCold(reference: string): void {
  const walls: Record<Name, number[]> = { apptainer: [], sing: [] }
  for (let round = 0; round < 3; round += 1) {
    for (const name of names) {
      const { line, env } = new Side(name, 'pull', reference).call
      walls[name].push(time(line, env))
    }
  }
  compare('pull of seven layers, empty cache', median(walls.sing), median(walls.apptainer), 0.25)
}

/** The same on a file system that nobody else uses, with a look at it and at the processes. */
async function measureRoom(reference: string): Promise<void> {
  const peer = await watchRoom('apptainer', reference)
  const sing = await watchRoom('sing', reference)
  compare('size of that image', sing.size, peer.size, undefined, formatSize)
  // A little for what is written down before it is known how much it will be.
  const title = 'disk beyond cache and result (limit 16 MB)'
  bound(title, sing.temporary, 16e6, formatSize, peer.temporary)
  bound('memory while pulling (limit 200 MB)', sing.peak, 200e6, formatSize, peer.peak)
}

async function watchRoom(name: Name, reference: string): Promise<Watched & { size: number }> {
  const disk = emptyFolder('room')
  must(['mount', '-t', 'tmpfs', '-o', 'size=8g,mode=1777', 'bench', disk])
  try {
    const side = new Side(name, 'room', reference)
    return { ...(await watch(side.call.line, { env: side.call.env, disk })), size: bytes(side.image) }
  } finally {
    must(['umount', disk])
  }
}

/** What everybody does after the first time: pull again, and run by the reference. */
function measureWarm(reference: string): void {
  const sides = names.map((name) => new Side(name, 'pull', reference))
  for (const { call } of sides) must(call.line, call.env)
  const env = Object.assign({}, ...sides.map(({ variables }) => variables))
  const [peer = 0, sing = 0] = times(
    sides.map(({ command }) => command.join(' ')),
    5,
    // To a new file: how long a file system takes to free the old one is not about pulling.
    { env, before: sides.map(({ image }) => `rm -f ${image}`) },
  )
  bound('the same, all in the cache (limit 200 ms)', sing, 0.2, undefined, peer)
  const exec = ['apptainer', program].map((file) => `${file} exec --no-https ${reference} true`)
  const [execPeer = 0, execSing = 0] = times(exec, 10, { env })
  compare('exec docker://..., all in the cache', execSing, execPeer, 0.5)
}

export async function measurePull(): Promise<void> {
  if (!can('registry', 'skopeo'))
    return console.log('pull is not measured: docker-registry or skopeo is missing')
  emptyFolder('pull')
  const layout = await makeLayout()
  await using registry = await startRegistry()
  const reference = `docker://${registry.directHost}/debian:1`
  await copyImage(`oci:${layout}:debian`, reference)
  measureCold(reference)
  await measureRoom(reference)
  measureWarm(reference)
  emptyFolder('pull')
}
