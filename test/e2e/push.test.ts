/** `sing push`, to real registries; what others find there. */

import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { layerTypes, openOciSif } from '../../src/image/oci-sif.ts'
import { openImage } from '../../src/image/open.ts'
import { SquashfsImage } from '../../src/native/addon.ts'
import { can } from '../helpers/can.ts'
import { startDocker } from '../helpers/docker.ts'
import { copyImage, sha256, unpackImage } from '../helpers/oci.ts'
import { directory, file as ociFile, opaque, squashfsOf, whiteout, writeOciSif } from '../helpers/oci-sif.ts'
import { peer } from '../helpers/peer.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { program, type RunOptions, run, sing } from '../helpers/sing.ts'
import { tarOf } from '../helpers/tar.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { describeTree, file, packList } from '../native/images.ts'
import { type Images, makeImages } from './images.ts'

const peerIsThere = can('peer')
let images: Images
let home: string
let next = 0
const newPath = (): string => join(home, `new-${next++}`)

beforeAll(async () => {
  images = await makeImages()
  home = temporaryFolder()
})

const push = (args: readonly string[], { env, ...more }: RunOptions = {}) =>
  sing(['push', ...args], { env: { HOME: home, ...env }, cwd: home, ...more })

/** Push what must succeed. Returns what stdout says. */
async function pushed(args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await push(args, options)
  if (status !== 0) throw new Error(stderr)
  return stdout.trim()
}

type Document = Record<string, unknown>

async function manifestOf({ directHost }: Registry, repository: string, tag = 'latest') {
  const accept = 'application/vnd.oci.image.manifest.v1+json'
  const response = await fetch(`http://${directHost}/v2/${repository}/manifests/${tag}`, {
    headers: { accept },
  })
  const text = await response.text()
  return { status: response.status, digest: sha256(text), document: JSON.parse(text) as Document }
}

async function blobOf({ directHost }: Registry, repository: string, digest: string): Promise<Buffer> {
  const response = await fetch(`http://${directHost}/v2/${repository}/blobs/${digest}`)
  return Buffer.from(await response.arrayBuffer())
}

type Config = { architecture: string; created: string; config: Document; rootfs: { diff_ids: string[] } }

async function configOf(registry: Registry, repository: string, tag?: string): Promise<Config> {
  const { document } = await manifestOf(registry, repository, tag)
  const { digest } = document.config as { digest: string }
  return JSON.parse((await blobOf(registry, repository, digest)).toString())
}

const layersOf = (document: Document) =>
  document.layers as { mediaType: string; digest: string; size: number }[]

describe.skipIf(!can('registry'))('a SIF at oras://', () => {
  it('is stored as it is, and its digest printed', async () => {
    await using registry = await startRegistry()
    const { status, stdout, stderr } = await push([images.everything, `oras://${registry.host}/some/app:1`])
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `INFO:    Pushed ${images.everything} to oras://${registry.host}/some/app:1\n`,
    })
    const { digest, document } = await manifestOf(registry, 'some/app', '1')
    expect(stdout).toBe(`${digest}\n`)
    expect(document).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {
        mediaType: 'application/vnd.sylabs.sif.config.v1+json',
        size: 2,
        digest: sha256('{}'),
      },
      layers: [
        {
          mediaType: 'application/vnd.sylabs.sif.layer.v1.sif',
          size: lstatSync(images.everything).size,
          digest: sha256(readFileSync(images.everything)),
          annotations: { 'org.opencontainers.image.title': 'everything.sif' },
        },
      ],
    })
    const [layer] = layersOf(document)
    const stored = await blobOf(registry, 'some/app', layer?.digest ?? '')
    expect(stored.equals(readFileSync(images.everything))).toBe(true)
  })

  it('is sent once, and has annotations', async () => {
    await using registry = await startRegistry()
    const target = `oras://${registry.host}/some/app`
    const plain = await pushed([images.everything, target])
    registry.proxy.requests.length = 0
    const more = ['--annotation', 'version=2', '--annotation', 'list=a,b', '-D', 'all of it', '-U']
    const noted = JSON.parse(await pushed(['--json', ...more, images.everything, target]))
    expect(noted.digest).not.toBe(plain)
    expect(noted).toMatchObject({
      reference: `oras://${registry.host}/some/app@${noted.digest}`,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      layers: [{ digest: sha256(readFileSync(images.everything)) }],
    })
    expect((await manifestOf(registry, 'some/app')).document.annotations).toEqual({
      version: '2',
      list: 'a,b',
      'org.opencontainers.image.description': 'all of it',
    })
    const methods = registry.proxy.requests.map(({ method, path }) => `${method} ${path.split('/')[5] ?? ''}`)
    expect(methods.filter((line) => /^(POST|PATCH)/.test(line))).toEqual([])
  })

  it('goes over TLS with a login', async () => {
    await using registry = await startRegistry({ tls: true, access: 'htpasswd' })
    const env = {
      SSL_CERT_FILE: registry.authority,
      SINGULARITY_DOCKER_USERNAME: 'alice',
      DOCKER_PASSWORD: 's3cret',
    }
    const args = [images.everything, `oras://${registry.name}/some/app`]
    expect(await pushed(args, { env })).toMatch(/^sha256:/)
    const anonymous = await push(args, { env: { SSL_CERT_FILE: registry.authority } })
    expect(anonymous).toMatchObject({ status: 255, stdout: '' })
    expect(anonymous.stderr).toContain(registry.name)
    expect(anonymous.stderr).not.toContain('PATCH')
    const untrusted = await push(args, {
      env: { SINGULARITY_DOCKER_USERNAME: 'alice', DOCKER_PASSWORD: 's3cret' },
    })
    expect(untrusted.stderr).toContain('its certificate comes from an unknown authority')
  })

  it.skipIf(!peerIsThere)('is pulled and run by the peer', async () => {
    await using registry = await startRegistry()
    const folder = temporaryFolder()
    execFileSync('chmod', ['777', folder])
    await pushed([images.everything, `oras://${registry.host}/some/app:1`])
    const pull = ['pull', '--no-https', join(folder, 'back.sif'), `oras://${registry.host}/some/app:1`]
    const outcome = await peer(pull, { folders: [folder], cwd: folder })
    expect(outcome.status, outcome.stderr).toBe(0)
    expect(readFileSync(join(folder, 'back.sif')).equals(readFileSync(images.everything))).toBe(true)
  })
})

describe.skipIf(!can('registry'))('an image at docker://', () => {
  it('has the files of the SIF, for other tools', async () => {
    if (!can('skopeo', 'umoci')) return
    await using registry = await startRegistry()
    const digest = await pushed([images.everything, `docker://${registry.host}/some/app:1`])
    const folder = temporaryFolder()
    await copyImage(`docker://${registry.host}/some/app@${digest}`, `oci:${folder}/layout:1`)
    const layout = { folder: join(folder, 'layout'), digests: {} }
    const rootfs = await unpackImage(layout, '1', join(folder, 'bundle'))
    const itself = join(folder, 'itself')
    mkdirSync(itself)
    const { rootfs: part } = await openImage(images.everything)
    if (!('file' in part)) throw new Error('no file')
    await using squashfs = await SquashfsImage.open(part.file, part.offset, part.size)
    await squashfs.extract(itself)
    const isAdded = (line: string) => /^\.singularity\.d\/oci-run/.test(line)
    expect(describeTree(rootfs).filter((line) => !isAdded(line))).toEqual(describeTree(itself))
    expect(describeTree(rootfs).filter(isAdded)).toHaveLength(2)
  })

  it('says what it runs, by its scripts and labels', async () => {
    await using registry = await startRegistry()
    await pushed([images.everything, `docker://${registry.host}/some/app:1`])
    const { architecture, config } = await configOf(registry, 'some/app', '1')
    expect(architecture).toBe('amd64')
    expect(config.Entrypoint).toEqual(['/.singularity.d/oci-run'])
    expect(config.Labels).toMatchObject({ 'org.label-schema.build-arch': 'amd64' })
    expect(config.Env).toContainEqual(expect.stringMatching(/^PATH=/))
  })

  it.each(['gzip', 'zstd', 'none'])('packed by %s has the same digest each time', async (compression) => {
    await using registry = await startRegistry()
    const target = `docker://${registry.host}/some/app`
    const one = await pushed(['--compress', compression, images.everything, target])
    const two = await pushed(['--compress', compression, images.everything, target])
    expect(one).toBe(two)
    const { digest, document } = await manifestOf(registry, 'some/app')
    expect(digest).toBe(one)
    const suffix = compression === 'none' ? 'tar' : `tar+${compression}`
    expect(layersOf(document).map(({ mediaType }) => mediaType)).toEqual([
      `application/vnd.oci.image.layer.v1.${suffix}`,
    ])
    const [layer] = layersOf(document)
    const bytes = await blobOf(registry, 'some/app', layer?.digest ?? '')
    const unpacked =
      compression === 'none' ? bytes : execFileSync(compression, ['-dc'], { input: bytes, maxBuffer: 1e9 })
    expect((await configOf(registry, 'some/app')).rootfs.diff_ids).toEqual([sha256(unpacked)])
  })

  it('can be a directory, or a bare squashfs', async () => {
    await using registry = await startRegistry()
    await pushed([images.sandbox, `docker://${registry.host}/tree`])
    const squashfs = newPath()
    await packList([file('hello', 'world')], squashfs)
    give(squashfs)
    const warned = await push([squashfs, `docker://${registry.host}/bare`])
    expect(warned).toMatchObject({ status: 0 })
    expect((await configOf(registry, 'bare')).config).toEqual({
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Cmd: ['/bin/sh'],
    })
    expect((await configOf(registry, 'tree')).config.Entrypoint).toEqual(['/.singularity.d/oci-run'])
  })

  it('leaves out what layers cannot hold, and tells so', async () => {
    await using registry = await startRegistry()
    const tree = newPath()
    mkdirSync(join(tree, 'bin'), { recursive: true })
    writeFileSync(join(tree, '.wh.one'), '')
    writeFileSync(join(tree, 'bin/.wh.two'), '')
    give(tree)
    const { status, stderr } = await push([tree, `docker://${registry.host}/some/app`])
    expect(status).toBe(0)
    expect(stderr).toContain('WARNING: /.wh.one and 1 more are left out')
  })

  it('may be a file system', async () => {
    await using registry = await startRegistry()
    const target = `docker://${registry.host}/some/app`
    const report = JSON.parse(
      await pushed(['--json', '--layer-format', 'squashfs', images.everything, target]),
    )
    const { document } = await manifestOf(registry, 'some/app')
    expect(layersOf(document)).toEqual([
      { mediaType: 'application/vnd.sylabs.image.layer.v1.squashfs', ...report.layers[0] },
    ])
    expect((await configOf(registry, 'some/app')).rootfs.diff_ids).toEqual([report.layers[0].digest])
    expect(report.layers[0].digest).toBe(sha256(await blobOf(registry, 'some/app', report.layers[0].digest)))
  })

  it.skipIf(!can('userns', 'fuse'))(
    'that is a file system runs, and is fetched as an OCI-SIF only',
    async () => {
      await using registry = await startRegistry()
      const target = `docker://${registry.host}/some/app:1`
      await pushed(['--layer-format', 'squashfs', images.everything, target])
      const env = { HOME: home, SINGULARITY_CACHEDIR: newPath() }
      const there = await sing(['exec', images.everything, 'ls', '/bin'], { env, cwd: home })
      expect(await sing(['exec', target, 'ls', '/bin'], { env, cwd: home })).toEqual(there)
      for (const command of [['pull'], ['pull', '--sandbox'], ['build'], ['build', '--compress', 'gzip']]) {
        const { status, stderr } = await sing([...command, newPath(), target], { env, cwd: home })
        expect({ status, stderr }).toEqual({
          status: 255,
          stderr: expect.stringContaining('sing pull --oci'),
        })
      }
      const file = newPath()
      expect(await sing(['pull', '--oci', file, target], { env, cwd: home })).toMatchObject({ status: 0 })
      expect(await sing(['exec', file, 'ls', '/bin'], { env, cwd: home })).toEqual(there)
    },
  )

  it.skipIf(!can('docker'))('runs in docker as the SIF does here', async () => {
    await using registry = await startRegistry()
    await using docker = await startDocker()
    const name = `${registry.host}/some/app:1`
    await pushed([images.everything, `docker://${name}`])
    await docker.docker(['pull', '--quiet', name])
    const words = ['/bin/sh', '-c', 'echo "<$1> $FROM_POST"', 'sh', 'two  words']
    const ran = await docker.docker(['run', '--rm', '--network', 'none', name, ...words])
    expect(ran.stdout).toContain('<two  words> set in post\n')
    expect(ran.stdout).toMatch(/^Running command: /)
    const { stdout } = await docker.docker(['image', 'inspect', name])
    expect(JSON.parse(stdout)[0]).toMatchObject({
      Os: 'linux',
      Config: { Entrypoint: ['/.singularity.d/oci-run'] },
    })
  })

  it.skipIf(!peerIsThere)('is pulled and run by the peer as the SIF is', async () => {
    await using registry = await startRegistry()
    const folder = temporaryFolder()
    execFileSync('chmod', ['777', folder])
    await pushed([images.everything, `docker://${registry.host}/some/app:1`])
    const pull = ['pull', '--no-https', join(folder, 'back.sif'), `docker://${registry.host}/some/app:1`]
    const outcome = await peer(pull, { folders: [folder], cwd: folder })
    expect(outcome.status, outcome.stderr).toBe(0)
    const places = { folders: [folder, images.folder], cwd: folder }
    const ran = await peer(['run', join(folder, 'back.sif'), 'one', 'two words'], places)
    const original = await peer(['run', images.everything, 'one', 'two words'], places)
    expect(ran.stdout).toBe(original.stdout)
    expect(ran.status).toBe(original.status)
  })
})

describe.skipIf(!can('registry'))('an OCI-SIF at docker://', () => {
  const lower = {
    etc: directory,
    'etc/kept': ociFile('kept'),
    'etc/gone': ociFile('gone'),
    old: directory,
    'old/file': ociFile('below'),
  }
  const upper = { etc: directory, 'etc/gone': whiteout, old: opaque, 'old/new': ociFile('above') }
  const writeImage = async (more: object = {}) => {
    const layers = [await squashfsOf(lower), await squashfsOf(upper)]
    return writeOciSif(newPath(), { layers, config: { Cmd: ['/bin/x'], Env: ['A=1'] }, ...more })
  }

  it('is stored as it is, layer by layer', async () => {
    await using registry = await startRegistry()
    const path = await writeImage()
    const report = JSON.parse(await pushed(['--json', path, `docker://${registry.host}/some/app`]))
    const { digest, document } = await manifestOf(registry, 'some/app')
    expect(report.digest).toBe(digest)
    const layers = layersOf(document)
    expect(layers.map(({ mediaType }) => mediaType)).toEqual(Array(2).fill(layerTypes.squashfs))
    for (const layer of layers)
      expect(sha256(await blobOf(registry, 'some/app', layer.digest))).toBe(layer.digest)
    const { ociSif } = await openOciSif(path)
    expect(digest).toBe(ociSif.descriptor.digest)
    expect((await configOf(registry, 'some/app')).config).toEqual({ Cmd: ['/bin/x'], Env: ['A=1'] })
  })

  it('has another digest with annotations, and is the same otherwise', async () => {
    await using registry = await startRegistry()
    const path = await writeImage({ manifest: { annotations: { a: '1' } } })
    await pushed(['--annotation', 'b=2', path, `docker://${registry.host}/some/app`])
    expect((await manifestOf(registry, 'some/app')).document.annotations).toEqual({ a: '1', b: '2' })
  })

  it.skipIf(!can('skopeo', 'umoci', 'root'))(
    'becomes one for all runtimes with --layer-format tar',
    async () => {
      await using registry = await startRegistry()
      const target = `${registry.host}/some/app:1`
      await pushed(['--layer-format', 'tar', await writeImage(), `docker://${target}`])
      const folder = temporaryFolder()
      await copyImage(`docker://${target}`, `oci:${folder}/layout:1`)
      const layout = { folder: join(folder, 'layout'), digests: {} }
      const rootfs = await unpackImage(layout, '1', join(folder, 'bundle'))
      const names = execFileSync('find', ['.', '-type', 'f'], { cwd: rootfs, encoding: 'utf8' }).trim()
      expect(names.split('\n').sort()).toEqual(['./etc/kept', './old/new'])
      expect((await configOf(registry, 'some/app', '1')).config.Cmd).toEqual(['/bin/x'])
    },
  )

  it('keeps layers that are archives, and its data', async () => {
    await using registry = await startRegistry()
    const mediaType = 'application/vnd.oci.image.layer.v1.tar'
    const tar = tarOf([{ path: 'a', data: 'x' }])
    const path = await writeImage({ layers: [{ data: tar, mediaType }] })
    await pushed(['--layer-format', 'tar', path, `docker://${registry.host}/some/app`])
    const { document } = await manifestOf(registry, 'some/app')
    expect(layersOf(document)).toEqual([{ mediaType, digest: sha256(tar), size: tar.length }])
    expect((await configOf(registry, 'some/app')).rootfs.diff_ids).toEqual([sha256(tar)])
  })

  it.each([
    ['a layer with changes', { layers: [{ data: Buffer.alloc(4096), mediaType: layerTypes.ext3 }] }],
    ['only data', { manifest: { artifactType: 'application/vnd.sylabs.data-container.v1' } }],
  ])('cannot be made of archives when it has %s', async (_, more) => {
    const path = await writeImage(more)
    const { status, stderr } = await push(['--layer-format', 'tar', path, 'docker://localhost:1/some/app'])
    expect(status).toBe(255)
    expect(stderr).toContain(`--layer-format tar: the layers of ${path} cannot be archives`)
  })
})

describe.skipIf(!can('registry'))('what was pushed', () => {
  const pull = (args: readonly string[]) =>
    sing(['pull', ...args], { env: { HOME: home, SINGULARITY_CACHEDIR: newPath() }, cwd: home })
  const words = ['/bin/sh', '-c', 'exit 3']
  const runIn = (path: string, args: readonly string[]) => sing(['run', path, ...args], { cwd: home })

  it('to oras:// comes back byte for byte', async () => {
    await using registry = await startRegistry()
    const target = `oras://${registry.host}/some/app:1`
    await pushed([images.everything, target])
    const back = newPath()
    expect(await pull([back, target])).toMatchObject({ status: 0 })
    expect(readFileSync(back).equals(readFileSync(images.everything))).toBe(true)
  })

  it.skipIf(!can('userns', 'fuse'))('to docker:// comes back as an image that runs the same', async () => {
    await using registry = await startRegistry()
    const target = `docker://${registry.host}/some/app:1`
    const first = await pushed([images.everything, target])
    const back = newPath()
    expect(await pull([back, target])).toMatchObject({ status: 0 })
    const [one, two] = [await runIn(images.everything, words), await runIn(back, words)]
    expect(two).toEqual(one)
    expect(one).toMatchObject({ status: 3, stdout: 'Running command: /bin/sh -c exit 3\n' })
    // Once more there and back: it is the image of OCI that it says it is now.
    const again = JSON.parse(await pushed(['--json', back, target]))
    expect(again.digest).not.toBe(first)
    expect((await configOf(registry, 'some/app', '1')).config.Entrypoint).toEqual(['/.singularity.d/oci-run'])
    const third = newPath()
    expect(await pull([third, target])).toMatchObject({ status: 0 })
    expect(await runIn(third, words)).toEqual(one)
  })

  it.skipIf(!peerIsThere)('by the peer to oras:// is what we pull', async () => {
    await using registry = await startRegistry()
    const folder = images.folder
    const target = `oras://${registry.host}/some/app:1`
    const outcome = await peer(['push', '--allow-unsigned', images.everything, target], {
      folders: [folder],
      cwd: folder,
    })
    expect(outcome.status, outcome.stderr).toBe(0)
    const back = newPath()
    expect(await pull([back, target])).toMatchObject({ status: 0 })
    expect(readFileSync(back).equals(readFileSync(images.everything))).toBe(true)
    // And what we push is the same to the last byte.
    const { digest } = await manifestOf(registry, 'some/app', '1')
    expect(await pushed([images.everything, `oras://${registry.host}/some/other`])).toBe(digest)
  })
})

describe.skipIf(!can('registry'))('a line that breaks', () => {
  it.each(['', 'node'])('delays a push (engine: %s)', async (engine) => {
    await using registry = await startRegistry()
    let cuts = 0
    registry.proxy.meddle = ({ method }) =>
      method === 'PATCH' && cuts++ === 0 ? { cutRequestAfter: 100_000 } : undefined
    const target = `docker://${registry.host}/some/app`
    const { status, stdout, stderr } = await push([images.everything, target], {
      env: { SING_ENGINE: engine },
    })
    expect(status, stderr).toBe(0)
    expect(stderr).toMatch(/; trying again in 1 s$/m)
    expect((await manifestOf(registry, 'some/app')).digest).toBe(stdout.trim())
    expect(cuts).toBe(2)
  })
})

describe.skipIf(!can('registry'))('under a tag there is the old image', () => {
  it('when the registry refuses the new one at the very end', async () => {
    await using registry = await startRegistry()
    const target = `${registry.host}/some/app:1`
    const first = await pushed([images.everything, `oras://${target}`])
    registry.proxy.meddle = ({ method, url }) =>
      method === 'PUT' && url?.includes('/manifests/') ? { status: 400 } : undefined
    const { status, stdout, stderr } = await push([images.everything, `docker://${target}`])
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
    expect(stderr).toContain(`FATAL:   ${registry.host} answered 400 when asked to write to some/app\n`)
    expect((await manifestOf(registry, 'some/app', '1')).digest).toBe(first)
  })

  it('when somebody interrupts', async () => {
    await using registry = await startRegistry()
    const target = `${registry.host}/some/app:1`
    const first = await pushed([images.everything, `oras://${target}`])
    registry.proxy.meddle = ({ method }) =>
      method === 'PATCH' ? { status: 503, headers: { 'retry-after': '50' } } : undefined
    const interrupt = ['timeout', '--signal=INT', '--preserve-status', '2', program]
    const outcome = await run([...interrupt, 'push', images.everything, `docker://${target}`], { cwd: home })
    expect(outcome.status).toBe(130)
    expect(outcome.stderr).toContain('the push was interrupted (SIGINT)')
    expect(registry.proxy.requests.at(-1)).toMatchObject({ method: 'DELETE', status: 204 })
    expect((await manifestOf(registry, 'some/app', '1')).digest).toBe(first)
  })
})

describe('a push is refused', () => {
  const cases: [reason: string, args: (host: string) => string[], line: string][] = [
    ['without a registry', () => ['IMAGE', 'x.sif'], 'cannot push to x.sif: it names no registry'],
    ['to a layout', () => ['IMAGE', 'oci:folder'], 'cannot push to oci:folder: it is no registry'],
    [
      'to a library',
      () => ['IMAGE', 'library://a/b/c'],
      'cannot push to library://a/b/c: libraries cannot be used yet',
    ],
    [
      'to a digest',
      () => ['IMAGE', `oras://localhost:1/a@sha256:${'a'.repeat(64)}`],
      'a digest names what is already there',
    ],
    [
      'of nothing',
      () => ['missing.sif', 'oras://localhost:1/a'],
      'cannot open missing.sif: no such file or directory',
    ],
    [
      'of nothing at docker://',
      () => ['missing.sif', 'docker://localhost:1/a'],
      'cannot open missing.sif: no such file or directory',
    ],
    [
      'of a directory at oras://',
      () => ['SANDBOX', 'oras://localhost:1/a'],
      'to oras://, which takes SIF files: it is a directory',
    ],
    [
      'of a text at oras://',
      () => ['TEXT', 'oras://localhost:1/a'],
      'to oras://, which takes SIF files: the file is too short for a SIF header',
    ],
    [
      'of a text at docker://',
      () => ['TEXT', 'docker://localhost:1/a'],
      'it is neither a SIF nor a squashfs',
    ],
    ['to nobody', () => ['IMAGE', 'oras://localhost:1/a'], 'cannot reach localhost:1: connection refused'],
    [
      'with a format',
      () => ['--layer-format', 'zip', 'IMAGE', 'docker://localhost:1/a'],
      '--layer-format zip: expected tar or squashfs',
    ],
    [
      'with a packer',
      () => ['--compress', 'xz', 'IMAGE', 'docker://localhost:1/a'],
      '--compress xz: expected gzip or zstd or none',
    ],
    [
      'with a format at oras://',
      () => ['--layer-format', 'tar', 'IMAGE', 'oras://localhost:1/a'],
      '--layer-format is for docker://: oras:// takes the SIF as it is',
    ],
    [
      'with a packer for a file system',
      () => ['--layer-format', 'squashfs', '--compress', 'gzip', 'IMAGE', 'docker://localhost:1/a'],
      '--compress is for archives: the file system is sent as it is',
    ],
    [
      'of a directory as a file system',
      () => ['--layer-format', 'squashfs', 'SANDBOX', 'docker://localhost:1/a'],
      '--layer-format squashfs: ',
    ],
    [
      'with an annotation that is none',
      () => ['--annotation', 'x', 'IMAGE', 'oras://localhost:1/a'],
      '--annotation x: expected name=value',
    ],
    ['with cosign', () => ['--with-cosign', 'IMAGE', 'oras://localhost:1/a'], '--with-cosign'],
  ]
  it.each(cases)('%s', async (_, args, line) => {
    const text = newPath()
    writeFileSync(text, 'no image')
    give(text)
    const places: Record<string, string> = { IMAGE: images.everything, SANDBOX: images.sandbox, TEXT: text }
    const { status, stdout, stderr } = await push(args('').map((word) => places[word] ?? word))
    expect(status).not.toBe(0)
    expect(stdout).toBe('')
    expect(stderr).toContain(line)
    expect(stderr.match(/^FATAL/gm)?.length).toBe(1)
  })
})
