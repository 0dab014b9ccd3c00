import { once } from 'node:events'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { daemonOf } from '../../src/oci/daemon.ts'
import { can } from '../helpers/can.ts'
import { makeCertificate } from '../helpers/certificates.ts'
import { type Docker, startDocker } from '../helpers/docker.ts'
import { copyImage, type ImageLike, must, readBlob, writeLayout } from '../helpers/oci.ts'
import { type TarEntry, tarOf } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { open, readEverything, resolved, sha256 } from './sources.ts'

const image = (text: string): ImageLike => ({
  layers: [[{ path: 'one', data: text }], [{ path: 'two', data: text.repeat(10_000) }]],
  config: { Cmd: [text] },
})

const layers = ['first', 'second'].map((text) => tarOf([{ path: text, data: text }]))
const configuration = Buffer.from(
  JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    config: { Cmd: ['hello'] },
    rootfs: { type: 'layers', diff_ids: layers.map(sha256) },
  }),
)
const hexOf = (bytes: Uint8Array): string => sha256(bytes).slice('sha256:'.length)
const [first = Buffer.of(), second = Buffer.of()] = layers

type Saved = { Config: string; RepoTags?: readonly string[] | null; Layers: readonly string[] }

/** An archive with a manifest.json and these members. */
function saved(entries: readonly Saved[], members: readonly TarEntry[]): string {
  const path = join(temporaryFolder(), 'app.tar')
  const manifest = { path: 'manifest.json', data: JSON.stringify(entries) }
  writeFileSync(path, tarOf([...members, manifest]))
  return path
}

const config = { path: `${hexOf(configuration)}.json`, data: configuration }
const one = { Config: config.path, RepoTags: ['app:1'], Layers: ['a/layer.tar', 'b/layer.tar'] }
const plain = [config, { path: 'a/layer.tar', data: first }, { path: 'b/layer.tar', data: second }]

describe('an archive of docker save', () => {
  it('of Docker before 25 is read where it lies', async () => {
    const scratch = async () => {
      throw new Error('nothing has to be unpacked')
    }
    const found = await readEverything(`docker-archive:${saved([one], plain)}`, { scratch })
    expect(found).toMatchObject({
      config: { command: ['hello'], diffIds: layers.map(sha256) },
      manifest: {
        config: { digest: sha256(configuration) },
        layers: [{ digest: sha256(first), mediaType: 'application/vnd.docker.image.rootfs.diff.tar' }, {}],
      },
    })
  })

  it('of Docker since 25 is read, with layers as they are or compressed', async () => {
    const zipped = gzipSync(first)
    const zstd = zstdCompressSync(second)
    const blobs = [configuration, zipped, zstd].map((data) => ({ path: `blobs/sha256/${hexOf(data)}`, data }))
    const [Config = '', ...Layers] = blobs.map(({ path }) => path)
    const files = [...blobs, { path: 'oci-layout', data: '{}' }, { path: 'index.json', data: '{}' }]
    const found = await readEverything(`docker-archive:${saved([{ Config, Layers }], files)}`)
    expect(found.manifest.layers).toMatchObject([
      { digest: sha256(zipped), mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip' },
      { digest: sha256(zstd), mediaType: 'application/vnd.docker.image.rootfs.diff.tar.zstd' },
    ])
  })

  it('may have compressed layers of any name, links for repeated ones, and be compressed', async () => {
    const members = [
      config,
      { path: 'a/layer.tar', data: gzipSync(first) },
      { path: './b/layer.tar', type: 'symlink', link: '../real.tar' },
      { path: './real.tar', data: second },
    ] satisfies TarEntry[]
    const path = saved([one], members)
    await readEverything(`docker-archive:${path}`)
    await must(['gzip', path])
    await readEverything(`docker-archive:${path}.gz`)
  })

  it('is the same image in every archive', async () => {
    const path = saved([one], plain)
    const again = saved([{ ...one, RepoTags: null }], plain.toReversed())
    const [here, there] = [
      await resolved(`docker-archive:${path}`),
      await resolved(`docker-archive:${again}`),
    ]
    expect(here.named).toBe(there.named)
  })

  it('picks by name, in every spelling, and by number', async () => {
    const two = { ...one, RepoTags: ['docker.io/library/two:latest', 'registry.example/two:2'] }
    const other = Buffer.from(configuration.toString().replace('hello', 'two'))
    const otherConfig = { path: `${hexOf(other)}.json`, data: other }
    const path = saved([one, { ...two, Config: otherConfig.path }], [...plain, otherConfig])
    for (const name of ['two', 'two:latest', 'docker.io/two', 'registry.example/two:2', sha256(other)])
      expect((await resolved(`docker-archive:${path}:${name}`)).config.command).toEqual(['two'])
    await expect(open(`docker-archive:${path}`)).rejects.toMatchObject({
      code: 'REFERENCE',
      message: `docker-archive:${path} holds several images`,
      hint: 'It has: app:1, docker.io/library/two:latest, registry.example/two:2',
    })
    await expect(open(`docker-archive:${path}:three`)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `there is no image docker-archive:${path}:three:latest`,
    })
  })

  it('with one image under several names has one image', async () => {
    const path = saved([one, { ...one, RepoTags: ['app:2'] }], plain)
    expect((await resolved(`docker-archive:${path}`)).config.command).toEqual(['hello'])
  })

  it.skipIf(!can('skopeo'))('of skopeo is read', async () => {
    const folder = temporaryFolder()
    writeLayout(join(folder, 'layout'), { one: image('hello') })
    await copyImage(`oci:${folder}/layout:one`, `docker-archive:${folder}/a.tar:app:1`)
    const found = await readEverything(`docker-archive:${folder}/a.tar:app:1`)
    expect(found.config.command).toEqual(['hello'])
    expect((await readEverything(`docker-archive:${folder}/a.tar`)).named).toBe(found.named)
  })
})

describe('a damaged archive of docker save', () => {
  it.each<[string, TarEntry[], string]>([
    ['no manifest.json', [], 'is no archive of docker save: it has no manifest.json'],
    ['text', [{ path: 'manifest.json', data: 'x' }], 'is damaged: it is not JSON'],
    ['no list', [{ path: 'manifest.json', data: '{}' }], 'is damaged: the list is not a list'],
    ['an empty list', [{ path: 'manifest.json', data: '[]' }], 'there is no image docker-archive:'],
    ['no config', [{ path: 'manifest.json', data: '[{}]' }], 'is damaged: [0].Config is missing'],
    ['a wrong type', [{ path: 'manifest.json', data: '[{"Config":1}]' }], '[0].Config is not a text'],
    ['a missing file', [{ path: 'manifest.json', data: '[{"Config":"x"}]' }], 'it lacks the file x'],
    [
      'a path that leads out',
      [{ path: 'manifest.json', data: '[{"Config":"../../etc/passwd"}]' }],
      'it lacks the file ../../etc/passwd',
    ],
  ])('with %s is refused', async (_, members, reason) => {
    const path = join(temporaryFolder(), 'app.tar')
    writeFileSync(path, tarOf(members))
    await expect(open(`docker-archive:${path}`)).rejects.toThrow(reason)
  })

  it('that is a layout says so', async () => {
    const path = join(temporaryFolder(), 'app.tar')
    writeFileSync(path, tarOf([{ path: 'index.json', data: '{}' }]))
    await expect(open(`docker-archive:${path}`)).rejects.toMatchObject({
      hint: 'It is a layout of OCI: write oci-archive: instead of docker-archive:',
    })
  })

  it('that lacks a layer, or counts other ones, is refused', async () => {
    await expect(open(`docker-archive:${saved([one], plain.slice(0, 2))}`)).rejects.toThrow(
      'it lacks the file b/layer.tar',
    )
    const fewer = saved([{ ...one, Layers: ['a/layer.tar'] }], plain)
    await expect(open(`docker-archive:${fewer}`)).rejects.toThrow('it counts 2 layers, and the manifest 1')
  })

  it('that was asked for a blob of another image has none', async () => {
    await using source = await open(`docker-archive:${saved([one], plain)}`)
    const { signal } = new AbortController()
    const other = { mediaType: '', digest: sha256(Buffer.of()), size: 0 }
    await expect(source.document(other, 100, signal)).rejects.toThrow('it lacks the blob sha256:e3b0')
    await expect(source.blob(other, 0, signal)).rejects.toThrow('it lacks the blob sha256:e3b0')
    expect(source.locate?.(other)).toBeUndefined()
  })
})

describe('the daemon', () => {
  it.each([
    [undefined, {}, { socketPath: '/var/run/docker.sock' }],
    [undefined, { DOCKER_HOST: 'unix:///x/y.sock' }, { socketPath: '/x/y.sock' }],
    ['/x/y.sock', { DOCKER_HOST: 'tcp://h:1' }, { socketPath: '/x/y.sock' }],
    ['tcp://h:2375', {}, { address: 'http://h:2375' }],
    ['tcp://[::1]:2375', {}, { address: 'http://[::1]:2375' }],
    ['http://h:1/', {}, { address: 'http://h:1' }],
    ['https://h:2376', {}, { address: 'https://h:2376' }],
    ['tcp://h:2376', { DOCKER_TLS_VERIFY: '1' }, { address: 'https://h:2376' }],
    ['tcp://h:2376', { DOCKER_CERT_PATH: '/c' }, { address: 'https://h:2376', certificates: '/c' }],
  ])('at %s with %j is found', (host, environment, daemon) => {
    expect(daemonOf(host, environment as Record<string, string>)).toMatchObject(daemon)
  })

  it.each(['ssh://h', 'unix://x', 'tcp://', 'npipe:////./pipe/docker'])('at %s is refused', (host) => {
    expect(() => daemonOf(host, {})).toThrow(`${host} is no host of a Docker daemon`)
  })

  it('that is not there is named with what to do', async () => {
    const folder = temporaryFolder()
    await expect(open('docker-daemon:app:1', { dockerHost: `unix://${folder}/none` })).rejects.toMatchObject({
      message: `cannot ask the Docker daemon at unix://${folder}/none: cannot reach ${folder}/none: no such socket`,
      hint: expect.stringContaining('DOCKER_HOST'),
    })
  })
})

/** A daemon that answers as it is told, on a socket. */
async function answering(answer: RequestListener): Promise<{ host: string } & AsyncDisposable> {
  const socket = join(temporaryFolder(), 'docker.sock')
  const server = createServer(answer).listen(socket)
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { host: `unix://${socket}`, [Symbol.asyncDispose]: close }
}

describe('a daemon that misbehaves', () => {
  it.each([
    ['a reason', 500, '{"message":"no space left\\u0007"}', 'refuses: no space left\\x07'],
    ['no reason', 503, 'oops', 'refuses: it answered 503'],
    ['another kind of reason', 400, '{"message":1}', 'refuses: it answered 400'],
    ['too long a reason', 500, 'x'.repeat(100_000), 'refuses: it answered 500'],
    ['no archive', 200, 'hello', 'is no tar archive'],
    ['nothing', 200, '', 'is no tar archive'],
    ['an empty archive', 200, '\0'.repeat(1024), 'has no manifest.json'],
  ])('and sends %s is named', async (_, status, body, sentence) => {
    await using daemon = await answering((request, response) => {
      response.writeHead(request.url === '/_ping' ? 200 : status).end(body)
    })
    await expect(open('docker-daemon:app:1', { dockerHost: daemon.host })).rejects.toThrow(sentence)
  })

  it('and ends in the middle is named', async () => {
    await using daemon = await answering((request, response) => {
      if (request.url === '/_ping') response.end()
      else response.write(tarOf(plain).subarray(0, 1000), () => response.destroy())
    })
    await expect(open('docker-daemon:app:1', { dockerHost: daemon.host })).rejects.toThrow(
      /ended the connection after 1000 bytes/,
    )
  })

  it.each([
    ['1.41', '/v1.41/images/get?names=app%3A1'],
    ['1.99', '/v1.51/images/get?names=app%3A1'],
    ['2.0', '/v1.51/images/get?names=app%3A1'],
    ['', '/images/get?names=app%3A1'],
    ['new', '/images/get?names=app%3A1'],
  ])('and knows version %s is asked in the newest that both know', async (version, path) => {
    const asked: (string | undefined)[] = []
    await using daemon = await answering((request, response) => {
      asked.push(request.url)
      if (request.url === '/_ping') response.setHeader('Api-Version', version).end('OK')
      else response.writeHead(404).end()
    })
    await expect(open('docker-daemon:app:1', { dockerHost: daemon.host })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    })
    expect(asked).toEqual(['/_ping', path])
  })
})

describe.skipIf(!can('docker'))('a real Docker daemon', () => {
  it('saves images into archives and over its socket, and tells what it has not', async () => {
    await using daemon = await startDocker()
    const folder = temporaryFolder()
    const layout = writeLayout(join(folder, 'layout'), { one: image('hello'), two: image('two') })
    for (const tag of ['one', 'two']) {
      await copyImage(`oci:${folder}/layout:${tag}`, `docker-archive:${folder}/${tag}.tar:app:${tag}`)
      await daemon.docker(['load', '-i', `${folder}/${tag}.tar`])
    }
    await savedByDocker(daemon, folder)
    const manifest = JSON.parse(readBlob(layout, layout.digests.one ?? '').toString())
    await fetchedFromDaemon(daemon, manifest.config.digest)
    await fetchedOverTls(daemon)
  })

  async function savedByDocker({ docker }: Docker, folder: string): Promise<void> {
    await docker(['save', '-o', `${folder}/saved.tar`, 'app:one'])
    const found = await readEverything(`docker-archive:${folder}/saved.tar`)
    expect(found.config.command).toEqual(['hello'])
    await docker(['save', '-o', `${folder}/both.tar`, 'app:one', 'app:two'])
    expect((await readEverything(`docker-archive:${folder}/both.tar:app:two`)).config.command).toEqual([
      'two',
    ])
    await must(['gzip', `${folder}/saved.tar`])
    expect((await readEverything(`docker-archive:${folder}/saved.tar.gz`)).named).toBe(found.named)
    expect((await readEverything(`docker-archive:${folder}/one.tar`)).named).toBe(found.named)
  }

  async function fetchedFromDaemon({ host }: Docker, id: string): Promise<void> {
    const environment = { PATH: process.env.PATH ?? '', DOCKER_HOST: host }
    const found = await readEverything('docker-daemon:app:one', { environment })
    expect(found.config.command).toEqual(['hello'])
    expect((await readEverything(`docker-daemon:${id}`, { dockerHost: host })).named).toBe(found.named)
    await expect(open('docker-daemon:none:1', { dockerHost: host })).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: 'there is no image docker-daemon:none:1',
      hint: `See: docker --host ${host} images`,
    })
  }

  /** A server that only lets in who has a certificate of its authority, in front of the daemon's socket. */
  async function fetchedOverTls({ socket }: Docker): Promise<void> {
    const folder = temporaryFolder()
    const { authority, certificate, key } = await makeCertificate(folder)
    const [ca, cert, secret] = [authority, certificate, key].map((path) => readFileSync(path))
    const options = { ca, cert, key: secret, requestCert: true, rejectUnauthorized: true }
    const server = createTlsServer(options, (client) => {
      const daemon = connect(socket)
      client.on('error', () => daemon.destroy()).pipe(daemon)
      daemon.on('error', () => client.destroy()).pipe(client)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const dockerHost = `tcp://localhost:${(server.address() as AddressInfo).port}`
    for (const name of ['ca.pem', 'cert.pem'])
      copyFileSync(name === 'ca.pem' ? authority : certificate, join(folder, name))
    const environment = { PATH: '', DOCKER_CERT_PATH: folder }
    await expect(open('docker-daemon:app:one', { dockerHost, environment })).rejects.toThrow(
      'cannot ask the Docker',
    )
    copyFileSync(key, join(folder, 'key.pem'))
    expect(
      (await readEverything('docker-daemon:app:one', { dockerHost, environment })).config.command,
    ).toEqual(['hello'])
    const stranger = { PATH: '', DOCKER_TLS_VERIFY: '1' }
    await expect(open('docker-daemon:app:one', { dockerHost, environment: stranger })).rejects.toThrow(
      'its certificate comes from an unknown authority',
    )
    await expect(
      open('docker-daemon:app:one', { dockerHost, environment: { DOCKER_CERT_PATH: `${folder}/none` } }),
    ).rejects.toThrow(`cannot read the certificate ${folder}/none/ca.pem: no such file`)
    server.close()
  }
})
