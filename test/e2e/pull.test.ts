/** `sing pull`, and references in the place of images: every kind of source becomes an image that runs. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import pty from '@lydell/node-pty'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { startDocker } from '../helpers/docker.ts'
import { copyImage, type Layout, uploadLayout, writeLayout } from '../helpers/oci.ts'
import { peer } from '../helpers/peer.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import {
  commandLine,
  environment,
  type Outcome,
  program,
  projectRoot,
  type RunOptions,
  sing,
} from '../helpers/sing.ts'
import type { TarEntry } from '../helpers/tar.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

const needs = can('userns', 'fuse')
const fixture = join(projectRoot, 'fixtures/images/everything.sif')

let base: TarEntry[] = []
let layout: Layout
let shared = ''
let folder = ''
beforeAll(async () => {
  base = await busyboxLayer()
  shared = temporaryFolder()
  layout = writeLayout(join(shared, 'layout'), {
    app: printingImage(base),
    arm: printingImage(base, { platform: { architecture: 'arm64' } }),
    relative: printingImage(base, { platform: { architecture: '386' } }),
    both: [printingImage(base), printingImage(base, { platform: { architecture: 'arm64' } })],
  })
})
beforeEach(() => {
  folder = temporaryFolder()
})

/** `sing` with a cache of its own. */
function our(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const env = { SINGULARITY_CACHEDIR: join(folder, 'cache'), SINGULARITY_TMPDIR: folder, ...options.env }
  return sing(args, { cwd: folder, ...options, env })
}

async function succeeds(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await our(args, options)
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

async function refused(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stderr } = await our(args, options)
  expect(status).toBe(255)
  return stderr
}

const sumOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')
const visible = () => readdirSync(folder).filter((name) => name !== 'cache')

describe.skipIf(!needs)('an image of a layout', () => {
  it('runs as its configuration says', async () => {
    await succeeds(['pull', 'x.sif', `oci:${layout.folder}:app`])
    expect(await succeeds(['run', 'x.sif'])).toBe(`[entry][from cmd][it's "$HOME"]\n`)
    expect(await succeeds(['exec', 'x.sif', 'cat', '/data/change', '/data/hard', '/data/added'])).toBe(
      'new\nnew\nadded\n',
    )
    expect(await succeeds(['exec', 'x.sif', 'ls', '/data'])).toBe('added\nchange\nhard\n')
    expect(await succeeds(['exec', 'x.sif', 'sh', '-c', 'echo "$GREETING"'])).toBe('hello `$(x)` "\'\\\n')
  })

  it('is told to scripts as JSON', async () => {
    const told = JSON.parse(await succeeds(['pull', '--json', 'x.sif', `oci:${layout.folder}:app`]))
    expect(told).toEqual({
      image: join(folder, 'x.sif'),
      reference: `oci:${layout.folder}:app`,
      digest: layout.digests.app,
    })
  })

  it('gives its program the arguments as they are', async () => {
    await succeeds(['pull', 'x.sif', `oci:${layout.folder}:app`])
    const words = ['a b', '', "it's", '"q"', '`id`', 'two\nlines', '\\', '*', '~', '-n', '--', 'ä']
    const printed = words.map((word) => `[${word}]`).join('')
    expect(await succeeds(['run', 'x.sif', ...words])).toBe(`[entry]${printed}\n`)
    expect(await succeeds(['run', '--no-eval', 'x.sif', '$HOME', ...words])).toBe(
      `[entry][$HOME]${printed}\n`,
    )
    expect(await succeeds(['run', 'x.sif', '$EMPTY$PATH', '\\$PATH'])).toBe(
      '[entry][/bin:/usr/bin'.concat(':/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin][$PATH]\n'),
    )
  })

  it('tells what it is', async () => {
    await succeeds(['pull', 'x.sif', `oci:${layout.folder}:app`])
    expect(await succeeds(['inspect', 'x.sif'])).toContain('org.example.label: two words\n')
    expect(await succeeds(['inspect', '--deffile', 'x.sif'])).toBe(
      `bootstrap: oci\nfrom: layout@${layout.digests.app}\n`,
    )
    expect(await succeeds(['inspect', '--environment', 'x.sif'])).toContain('10-docker2singularity.sh')
    const list = await succeeds(['sif', 'list', 'x.sif'])
    const types = list.split('\n').flatMap((line) => /^\d.*\|([A-Z]\S+)/.exec(line)?.[1] ?? [])
    expect(types).toEqual(['Def.FILE', 'JSON.Generic', 'JSON.Generic', 'FS'])
    expect(await succeeds(['sif', 'dump', '2', 'x.sif'])).toMatch(/^\{"data":\{"attributes":/)
    expect(JSON.parse(await succeeds(['sif', 'dump', '3', 'x.sif']))).toMatchObject({ User: '1234' })
  })

  it('becomes the same bytes for everybody', async () => {
    await succeeds(['pull', 'x.sif', `oci:${layout.folder}:app`])
    const other = { env: { SINGULARITY_CACHEDIR: join(folder, 'cache2') } }
    await succeeds(['pull', 'y.sif', `oci:${layout.folder}:app`], other)
    expect(sumOf(join(folder, 'y.sif'))).toBe(sumOf(join(folder, 'x.sif')))
    const { mode } = statSync(join(folder, 'x.sif'))
    expect(mode & 0o777).toBe(0o755)
  })

  it('becomes a directory', async () => {
    await succeeds(['pull', '--sandbox', 'tree', `oci:${layout.folder}:app`])
    expect(readFileSync(join(folder, 'tree/data/change'), 'utf8')).toBe('new\n')
    expect(existsSync(join(folder, 'tree/data/gone'))).toBe(false)
    expect(await succeeds(['run', 'tree', 'x'])).toBe('[entry][x]\n')
    expect(await refused(['pull', '--sandbox', 'tree', `oci:${layout.folder}:app`])).toContain(
      'already exists',
    )
    await succeeds(['pull', '--sandbox', '--force', 'tree', `oci:${layout.folder}:app`])
    expect(visible()).toEqual(['tree'])
  })

  it('is the one for the platform that was asked for', async () => {
    const both = `oci:${layout.folder}:both`
    await succeeds(['pull', '--arch', 'arm64', 'a.sif', both])
    await succeeds(['pull', '--platform', 'linux/arm64', 'b.sif', both])
    await succeeds(['pull', 'c.sif', both])
    const archOf = async (image: string) => /FS .*\/(\w+)\)/.exec(await succeeds(['sif', 'list', image]))?.[1]
    expect(await Promise.all(['a.sif', 'b.sif', 'c.sif'].map(archOf))).toEqual(['arm64', 'arm64', 'amd64'])
    expect(await refused(['pull', '--arch', 's390x', 'd.sif', both])).toContain('linux/s390x')
    const stderr = await refused(['exec', `oci:${layout.folder}:arm`, 'true'])
    expect(stderr).toContain('is for linux/arm64')
    expect(stderr).toContain('sing pull --platform linux/arm64')
    if (process.arch === 'x64')
      expect(await succeeds(['run', `oci:${layout.folder}:relative`])).toContain('[entry]')
    expect(visible()).toEqual(['a.sif', 'b.sif', 'c.sif'])
  })

  it('runs without a name, at once the second time', async () => {
    const reference = `oci:${layout.folder}:app`
    expect(await succeeds(['run', reference, 'x y'])).toBe('[entry][x y]\n')
    expect(await succeeds(['exec', reference, 'cat', '/data/change'])).toBe('new\n')
    expect(await succeeds(['exec', reference, 'sh', '-c', 'echo $SINGULARITY_NAME'])).toBe('layout_app.sif\n')
    expect(visible()).toEqual([])
    expect(
      readdirSync(join(folder, 'cache/cache/sing/oci-tmp')).filter((name) => !name.includes('.')),
    ).toHaveLength(1)
  })

  it('runs without a cache, and nothing is left', async () => {
    const reference = `oci:${layout.folder}:app`
    const { status, stdout } = await our(['run', '--disable-cache', reference, 'x'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: '[entry][x]\n' })
    expect((await our(['exec', '--disable-cache', reference, 'sh', '-c', 'exit 7'])).status).toBe(7)
    expect(readdirSync(folder)).toEqual([])
  })

  it('is the image of an instance', async () => {
    const reference = `oci:${layout.folder}:app`
    for (const flags of [[], ['--disable-cache']]) {
      await succeeds(['instance', 'start', ...flags, reference, 'converted'])
      expect(await succeeds(['exec', 'instance://converted', 'cat', '/data/change'])).toBe('new\n')
      await succeeds(['instance', 'stop', 'converted'])
    }
  })
})

describe.skipIf(!needs)('the new image', () => {
  const reference = () => `oci:${layout.folder}:app`

  it('is called after the reference', async () => {
    await succeeds(['pull', reference()])
    mkdirSync(join(folder, 'sub'))
    give(join(folder, 'sub'))
    await succeeds(['pull', '--dir', 'sub', reference()])
    await succeeds(['pull', '--dir', 'sub', '--name', 'named.sif', reference()])
    expect(readdirSync(join(folder, 'sub')).sort()).toEqual(['layout_app.sif', 'named.sif'])
    expect(visible().sort()).toEqual(['layout_app.sif', 'sub'])
  })

  it('takes the place of nothing, unless forced', async () => {
    writeFileSync(join(folder, 'x.sif'), 'precious')
    give(join(folder, 'x.sif'))
    expect(await refused(['pull', 'x.sif', reference()])).toContain('x.sif already exists')
    expect(readFileSync(join(folder, 'x.sif'), 'utf8')).toBe('precious')
    await succeeds(['pull', '--force', 'x.sif', reference()])
    expect(await succeeds(['run', 'x.sif', 'x'])).toBe('[entry][x]\n')
    mkdirSync(join(folder, 'dir'))
    expect(await refused(['pull', '--force', 'dir', reference()])).toContain('is a directory')
    expect(await refused(['pull', 'no/x.sif', reference()])).toContain('there is no directory')
    execFileSync('mkfifo', [join(folder, 'pipe')])
    expect(await refused(['pull', '--force', 'pipe', reference()])).toContain(
      'neither a file nor a directory',
    )
  })

  it.each([
    [0o000, 'permission denied'],
    [0o555, 'permission denied'],
  ])('is refused before anything is fetched where it cannot be: mode %o', async (mode, reason) => {
    const place = join(folder, 'place')
    mkdirSync(place)
    give(place)
    chmodSync(place, mode)
    for (const command of [['pull'], ['pull', '--sandbox'], ['build'], ['build', '--sandbox']]) {
      const stderr = await refused([...command, 'place/x', reference()])
      expect(stderr).toContain(`${folder}/place/x`)
      expect(stderr).toContain(reason)
      expect(await refused([...command, 'place/no/x', reference()])).toMatch(
        /no directory|no such file|denied/,
      )
    }
  })

  it('comes into a directory that cannot be read', async () => {
    mkdirSync(join(folder, 'place'))
    give(join(folder, 'place'))
    chmodSync(join(folder, 'place'), 0o333)
    await succeeds(['pull', 'place/x.sif', reference()])
    await succeeds(['pull', '--sandbox', 'place/tree', reference()])
    await succeeds(['build', 'place/y.sif', reference()])
    expect(await succeeds(['run', 'place/x.sif', 'x'])).toBe('[entry][x]\n')
  })

  it('tells before it fetches anything that its place cannot be written to', async () => {
    expect(await refused(['pull', '/proc/x.sif', 'oci:nowhere'])).toContain('cannot write /proc/x.sif: ')
  })

  it.each([
    ['dokcer://a.example/app', 'Did you mean docker://a.example/app?'],
    ['Oras://a.example/app', 'Did you mean oras://a.example/app?'],
    ['what://a.example/app', 'For example docker://'],
  ])('is not looked for as %s', async (text, hint) => {
    expect(await refused(['pull', text])).toContain(hint)
  })

  it('stands behind the new file', async () => {
    expect(await refused(['pull', 'oci:a:1', 'x.sif'])).toContain('sing pull x.sif oci:a:1')
  })

  it('runs where the named cache may not even be looked into', async () => {
    const env = { SINGULARITY_CACHEDIR: '/proc/1/cwd/x' }
    expect(await succeeds(['run', reference(), 'x'], { env })).toBe('[entry][x]\n')
  })

  it('needs a reference that says where the image is', async () => {
    expect(await refused(['pull', 'alpine:3.20'])).toContain('docker://alpine:3.20')
    expect(await refused(['pull', 'library://alpine'])).toContain('there is no library')
    expect(await refused(['pull', 'shub://a/b'])).toContain('Singularity Hub is gone')
    expect(await refused(['pull', 'http://127.0.0.1:1/'])).toContain('names no file')
    expect(await refused(['exec', 'library://alpine', 'true'])).toContain('there is no library')
    expect(await refused(['inspect', reference()])).toContain('sing pull')
  })

  it('comes from layers that are what the image says, or not at all', async () => {
    const wrong = writeLayout(join(folder, 'wrong'), {
      app: printingImage(base, { layers: [{ tar: base, diffId: `sha256:${'0'.repeat(64)}` }] }),
    })
    const stderr = await refused(['pull', 'x.sif', `oci:${wrong.folder}:app`])
    expect(stderr).toContain('layer 1 of 1')
    expect(stderr.trim().split('\n').length).toBeLessThan(4)
    expect(visible()).toEqual(['wrong'])
  })

  it('comes from layers that are not too large, whatever that is', async () => {
    const stderr = await refused(['pull', '--layer-limits', 'entries=3', 'x.sif', reference()])
    expect(stderr).toMatch(/layer \d of 3/)
    expect(stderr).toContain('--layer-limits')
    expect(await refused(['pull', '--layer-limits', 'entries', 'x.sif', reference()])).toContain(
      'expected a limit',
    )
    await succeeds(['pull', '--layer-limits', 'entries=10000,bytes=1G', 'x.sif', reference()])
  })

  it('comes through few or many downloads', async () => {
    expect(
      await refused(['pull', reference()], { env: { SINGULARITY_DOWNLOAD_CONCURRENCY: 'x' } }),
    ).toContain('SINGULARITY_DOWNLOAD_CONCURRENCY')
    const { stderr } = await our(['pull', 'y.sif', reference()], {
      env: { APPTAINER_DOWNLOAD_PART_SIZE: '1' },
    })
    expect(stderr).toContain('WARNING: APPTAINER_DOWNLOAD_PART_SIZE has no effect')
  })
})

describe.skipIf(!needs)('a build from a reference', () => {
  const reference = () => `oci:${layout.folder}:app`

  it('is the image that pull gives', async () => {
    await succeeds(['pull', 'x.sif', reference()])
    await succeeds(['build', 'y.sif', reference()])
    expect(sumOf(join(folder, 'y.sif'))).toBe(sumOf(join(folder, 'x.sif')))
    expect(await refused(['build', 'y.sif', reference()])).toContain('already exists')
  })

  it('is packed as it is wanted', async () => {
    await succeeds(['build', '--compress', 'gzip:1', 'x.sif', reference()])
    await succeeds(['build', '--mksquashfs-args', '-all-root -b 4K', 'y.sif', reference()])
    for (const image of ['x.sif', 'y.sif']) expect(await succeeds(['run', image, 'x'])).toBe('[entry][x]\n')
    const headOf = (image: string) => readFileSync(join(folder, image)).subarray(0, 1 << 20)
    const superblock = (image: string) => headOf(image).subarray(headOf(image).indexOf('hsqs', 32_768))
    expect(superblock('x.sif').readUInt16LE(20)).toBe(1)
    expect(superblock('y.sif').readUInt32LE(12)).toBe(4096)
  })

  it('becomes a directory, for any architecture', async () => {
    await succeeds(['build', '--sandbox', '--arch', 'arm64', 'tree', `oci:${layout.folder}:both`])
    expect(readFileSync(join(folder, 'tree/data/change'), 'utf8')).toBe('new\n')
  })
})

describe.skipIf(!can('peer'))('the peer', () => {
  it('runs what was converted, as the peer runs what it converts', async () => {
    await succeeds(['pull', 'x.sif', `oci:${layout.folder}:app`])
    const theirs = async (...args: string[]) => (await peer(args, { folders: [folder] })).stdout
    const image = join(folder, 'x.sif')
    expect(await theirs('run', image)).toBe(`[entry][from cmd][it's "$HOME"]\n`)
    expect(await theirs('run', image, 'a b', '"q"', '`id`')).toBe('[entry][a b]["q"][`id`]\n')
    expect(await theirs('exec', image, 'sh', '-c', 'echo "$GREETING"')).toBe('hello `$(x)` "\'\\\n')
    expect(await theirs('inspect', image)).toContain('org.example.label: two words')
  })
})

describe.skipIf(!needs)('archives', () => {
  it('become images', async () => {
    const from = `oci:${layout.folder}:app`
    await copyImage(from, `oci-archive:${folder}/o.tar:app`)
    await copyImage(from, `docker-archive:${folder}/d.tar:example/app:1`)
    give(folder)
    expect(await succeeds(['run', 'oci-archive:o.tar', 'x'])).toBe('[entry][x]\n')
    await succeeds(['pull', 'd.sif', 'docker-archive:d.tar'])
    expect(await succeeds(['run', 'd.sif', 'x'])).toBe('[entry][x]\n')
  })
})

describe.skipIf(!needs || !can('docker'))('a daemon', () => {
  it('gives its images, and its client saves them', { timeout: 120_000 }, async () => {
    await using daemon = await startDocker()
    await copyImage(`oci:${layout.folder}:app`, `docker-archive:${folder}/load.tar:example/app:1`)
    await daemon.docker(['load', '-i', join(folder, 'load.tar')])
    await daemon.docker(['save', '-o', join(folder, 'saved.tar'), 'example/app:1'])
    give(folder)
    const saved = await succeeds(['run', 'docker-archive:saved.tar', 'x'])
    const flags = ['--docker-host', daemon.host]
    expect(saved).toBe('[entry][x]\n')
    expect(await succeeds(['run', ...flags, 'docker-daemon:example/app:1', 'x'])).toBe(saved)
    await succeeds(['pull', 'docker-daemon:example/app:1'], { env: { DOCKER_HOST: daemon.host } })
    expect(await succeeds(['exec', 'app_1.sif', 'cat', '/data/change'])).toBe('new\n')
    expect(await refused(['pull', ...flags, 'docker-daemon:example/none:1'])).toContain('example/none')
    expect(visible().sort()).toEqual(['app_1.sif', 'load.tar', 'saved.tar'])
  })
})

describe.skipIf(!needs || !can('registry'))('an image of a registry', () => {
  let registry: Registry
  const reference = () => `docker://${registry.host}/suite/app:1`
  beforeAll(async () => {
    registry = await startRegistry()
    await uploadLayout(layout, 'app', `http://${registry.host}`, 'suite/app')
    await copyImage(`oci:${layout.folder}:app`, `docker://${registry.host}/suite/app:1`)
  })
  afterAll(() => registry?.[Symbol.asyncDispose]())
  beforeEach(() => {
    registry.proxy.requests.length = 0
    registry.proxy.meddle = undefined
  })
  const blobs = () =>
    registry.proxy.requests.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'))

  it('is fetched once, and asked about after that', async () => {
    await succeeds(['pull', '--no-https', 'x.sif', reference()])
    expect(blobs()).toHaveLength(4)
    registry.proxy.requests.length = 0
    await succeeds(['pull', '--no-https', 'y.sif', reference()])
    expect(await succeeds(['run', '--no-https', reference(), 'x'])).toBe('[entry][x]\n')
    expect(blobs()).toEqual([])
    expect(registry.proxy.requests.filter(({ method }) => method === 'GET')).toEqual([])
    expect(sumOf(join(folder, 'y.sif'))).toBe(sumOf(join(folder, 'x.sif')))
  })

  it('needs no registry when its digest is in the cache', async () => {
    const pinned = `docker://${registry.host}/suite/app@${layout.digests.app}`
    await succeeds(['run', '--no-https', pinned])
    registry.proxy.requests.length = 0
    expect(await succeeds(['run', '--no-https', pinned, 'x'])).toBe('[entry][x]\n')
    expect(registry.proxy.requests).toEqual([])
  })

  it('tells its requests with --debug', async () => {
    const { stderr } = await our(['--debug', 'pull', '--no-https', 'x.sif', reference()])
    expect(stderr).toContain(`DEBUG:   HEAD http://${registry.host}/v2/suite/app/manifests/1: 200`)
  })

  it('shows how far it is on a terminal', async () => {
    const [file = '', ...args] = commandLine([program, 'pull', '--no-https', 'x.sif', reference()])
    const env = environment({ env: { SINGULARITY_CACHEDIR: join(folder, 'cache') } })
    const terminal = pty.spawn(file, args, { cwd: folder, env, cols: 80, rows: 24 })
    let text = ''
    terminal.onData((data) => {
      text += data
    })
    await new Promise<void>((resolve) => terminal.onExit(() => resolve()))
    expect(text).toContain('Downloading 3 layers: ')
    const left = text.slice(text.lastIndexOf('\u001b[J') + 3)
    expect(left.split('\r\n').map((line) => line.includes('INFO:'))).toEqual([true, true, false])
  })

  it('is found by its digest, too', async () => {
    await succeeds([
      'pull',
      '--no-https',
      'x.sif',
      `docker://${registry.host}/suite/app@${layout.digests.app}`,
    ])
    expect(await succeeds(['inspect', '--deffile', 'x.sif'])).toBe(
      `bootstrap: docker\nfrom: ${registry.host}/suite/app@${layout.digests.app}\n`,
    )
  })

  it('comes whole over connections that are cut', async () => {
    let cuts = 0
    registry.proxy.meddle = ({ url = '' }) => {
      if (!url.includes('/blobs/') || cuts > 5) return undefined
      cuts += 1
      return { cutAfter: 100_000 }
    }
    await succeeds(['pull', '--no-https', 'x.sif', reference()])
    expect(cuts).toBeGreaterThan(1)
    expect(await succeeds(['run', 'x.sif', 'x'])).toBe('[entry][x]\n')
  })

  it('does not come at all when its bytes are wrong', async () => {
    registry.proxy.meddle = ({ url = '' }) =>
      url.includes('/blobs/') ? { change: (chunk) => Buffer.alloc(chunk.length, 'x') } : undefined
    const stderr = await refused(['pull', '--no-https', 'x.sif', reference()])
    expect(stderr).toContain('sha256:')
    expect(visible()).toEqual([])
    registry.proxy.meddle = undefined
    await succeeds(['pull', '--no-https', 'x.sif', reference()])
  })

  it('is fetched again where the cache was damaged', async () => {
    await succeeds(['pull', '--no-https', 'x.sif', reference()])
    const cache = join(folder, 'cache/cache/sing')
    const images = readdirSync(join(cache, 'oci-tmp')).filter((name) => !name.includes('.'))
    for (const name of images) writeFileSync(join(cache, 'oci-tmp', name), '')
    const blobs = readdirSync(join(cache, 'blobs/sha256')).map((name) => join(cache, 'blobs/sha256', name))
    const largest = blobs.toSorted((one, other) => statSync(other).size - statSync(one).size)[0] ?? ''
    const bytes = readFileSync(largest)
    bytes.fill(0, bytes.length / 2, bytes.length / 2 + 1000)
    writeFileSync(largest, bytes)
    await succeeds(['pull', '--no-https', 'y.sif', reference()])
    expect(sumOf(join(folder, 'y.sif'))).toBe(sumOf(join(folder, 'x.sif')))
  })

  it.each([
    ['all of it', ''],
    ['what had come of it', '.partial'],
  ])('is fetched again where %s was damaged in the cache', async (_, ending) => {
    await succeeds(['pull', '--no-https', 'x.sif', reference()])
    const cache = join(folder, 'cache/cache/sing')
    rmSync(join(cache, 'oci-tmp'), { recursive: true })
    const paths = readdirSync(join(cache, 'blobs/sha256')).map((name) => join(cache, 'blobs/sha256', name))
    for (const path of paths) {
      writeFileSync(path, Buffer.alloc(statSync(path).size - (ending ? 1 : 0), 'x'))
      renameSync(path, path + ending)
    }
    await succeeds(['pull', '--no-https', 'y.sif', reference()])
    expect(sumOf(join(folder, 'y.sif'))).toBe(sumOf(join(folder, 'x.sif')))
  })

  it('is fetched once by many that want it at the same time', { timeout: 120_000 }, async () => {
    const runs = Array.from({ length: 8 }, () =>
      our(['exec', '--no-https', reference(), 'cat', '/data/change']),
    )
    const outcomes = await Promise.all(runs)
    expect(outcomes.map(({ status, stdout }) => [status, stdout])).toEqual(outcomes.map(() => [0, 'new\n']))
    const layers = blobs().map(({ path }) => path)
    expect(layers.length).toBe(new Set(layers).size)
  })
})

describe.skipIf(!needs)('a file on the web', () => {
  const sif = readFileSync(fixture)
  const asked: string[] = []
  let server: Server
  let answer: (
    method: string,
    range: string | undefined,
  ) => { status?: number; headers?: object; body?: Buffer; cut?: number }
  const address = (path = 'some/image.sif') =>
    `http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.headers.range ?? ''}`.trim())
      const {
        status = 200,
        headers = {},
        body = sif,
        cut,
      } = answer(request.method ?? '', request.headers.range)
      response.writeHead(status, { 'content-length': body.length, ...headers })
      if (request.method === 'HEAD') return void response.end()
      if (cut === undefined) return void response.end(body)
      response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 50))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    asked.length = 0
    answer = () => ({ headers: { 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' } })
  })

  it('is an image like any other', async () => {
    await succeeds(['pull', address()])
    expect(sumOf(join(folder, 'image.sif'))).toBe(sumOf(fixture))
    expect(await succeeds(['exec', address(), 'echo', 'ran'])).toBe('ran\n')
    expect(asked).toEqual(['HEAD', 'GET', 'HEAD'])
  })

  it('is refused when another architecture was asked for', async () => {
    answer = () => ({})
    const stderr = await refused(['pull', '--arch', 's390x', 'x.sif', address()])
    expect(stderr).toContain('some/image.sif is for amd64, not for s390x')
    expect(visible()).toEqual([])
    await succeeds(['pull', '--platform', 'linux/amd64', 'x.sif', address()])
  })

  it('is fetched again when it has changed, and always when nothing tells', async () => {
    await succeeds(['pull', 'a.sif', address()])
    answer = () => ({ headers: { etag: '"2"' } })
    await succeeds(['pull', 'b.sif', address()])
    answer = () => ({})
    await succeeds(['pull', 'c.sif', address()])
    await succeeds(['pull', 'd.sif', address()])
    expect(asked.filter((method) => method === 'GET')).toHaveLength(4)
  })

  it('goes on where a connection was cut', async () => {
    const headers = { etag: '"1"', 'accept-ranges': 'bytes' }
    answer = (_, range) => {
      const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)
      if (from === 0) return { headers, cut: 300_000 }
      const part = { 'content-range': `bytes ${from}-${sif.length - 1}/${sif.length}` }
      return { status: 206, headers: { ...headers, ...part }, body: sif.subarray(from) }
    }
    await succeeds(['pull', 'x.sif', address()])
    expect(sumOf(join(folder, 'x.sif'))).toBe(sumOf(fixture))
    expect(asked).toEqual(['HEAD', 'GET', expect.stringMatching(/^GET bytes=\d{5,}-$/)])
  })

  it('is not taken in part', async () => {
    answer = () => ({ cut: 200_000 })
    expect(await refused(['pull', 'x.sif', address()])).toContain('ended the connection')
    expect(visible()).toEqual([])
  })

  it('is refused when it is no image, or not there', async () => {
    answer = () => ({ body: Buffer.from('<html>not found</html>') })
    expect(await refused(['pull', 'x.sif', address()])).toContain('is no image')
    answer = () => ({ status: 404 })
    expect(await refused(['pull', 'x.sif', address()])).toContain('does not have it')
    answer = () => ({ status: 418 })
    expect(await refused(['pull', 'x.sif', address()])).toContain('answered 418')
    expect(visible()).toEqual([])
  })

  it('is fetched from servers that answer only to GET', async () => {
    answer = (method) => (method === 'HEAD' ? { status: 405 } : {})
    await succeeds(['pull', 'x.sif', address()])
    expect(sumOf(join(folder, 'x.sif'))).toBe(sumOf(fixture))
  })
})
