/** The registries, images and tools that other tests are made of, by themselves. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { startDocker } from '../helpers/docker.ts'
import {
  buildImage,
  copyImage,
  must,
  sha256,
  unpackImage,
  uploadLayout,
  writeLayout,
} from '../helpers/oci.ts'
import { startRegistry } from '../helpers/registry.ts'
import { type TarEntry, tarOf } from '../helpers/tar.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const lower: TarEntry[] = [
  { path: 'etc/', type: 'directory' },
  { path: 'etc/greeting', data: 'hello\n', mode: 0o600, uid: 1000 },
  { path: 'etc/gone', data: 'gone' },
]
const upper: TarEntry[] = [{ path: 'etc/.wh.gone' }, { path: 'etc/link', type: 'symlink', link: 'greeting' }]

const twoLayers = () =>
  writeLayout(join(temporaryFolder(), 'layout'), {
    one: { layers: [lower, upper], config: { Env: ['FOO=bar'] } },
    two: [
      { layers: [lower], platform: { architecture: 'arm64', variant: 'v8' } },
      { layers: [lower, { tar: upper, compression: 'zstd' }] },
    ],
  })

/** The answer to a request of one who trusts this authority. */
async function statusOf(url: string, ca?: Buffer): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  get(url, ca ? { ca } : {}, (answer) => resolve(answer.resume().statusCode)).on('error', reject)
  return promise
}

describe('tar', () => {
  it('is read by tar, with long names, attributes, devices and times', () => {
    const long = `${'directory/'.repeat(20)}file`
    const entries: TarEntry[] = [
      { path: long, data: 'x', time: 1_600_000_000.25 },
      { path: 'null', type: 'character', device: [1, 3] },
      { path: 'again', type: 'hardlink', link: long },
      { path: 'marked', xattrs: { 'user.colour': 'red' }, uid: 10_000_000 },
    ]
    const { stdout, status } = spawnSync(
      'tar',
      ['--numeric-owner', '--xattrs', '-tvvf', '-', '--full-time', '--utc'],
      { input: tarOf(entries), encoding: 'utf8' },
    )
    expect(status).toBe(0)
    const lines = stdout.split('\n')
    expect(lines[0]).toContain(`2020-09-13 12:26:40.25 ${long}`)
    expect(lines[1]).toMatch(/^crw-r--r-- +0\/0 +1,3 .* null$/)
    expect(lines[2]).toContain(`again link to ${long}`)
    // A star stands for attributes.
    expect(lines[3]).toMatch(/^-rw-r--r--\* 10000000\/0 .* marked$/)
  })
})

describe.skipIf(!can('registry', 'skopeo'))('a registry', () => {
  it('takes an image and gives it back, and tells who asked for what', async () => {
    await using registry = await startRegistry()
    const layout = twoLayers()
    const back = join(temporaryFolder(), 'back')
    await copyImage(`oci:${layout.folder}:one`, `docker://${registry.host}/some/image:1`)
    await copyImage(`docker://${registry.host}/some/image:1`, `oci:${back}:one`)
    const index = JSON.parse(readFileSync(join(back, 'index.json'), 'utf8'))
    expect(index.manifests[0].digest).toBe(layout.digests.one)
    const manifests = registry.proxy.requests.filter(({ path }) =>
      path.startsWith('/v2/some/image/manifests/'),
    )
    expect(manifests.map(({ method, status }) => [method, status])).toContainEqual(['PUT', 201])
    expect(manifests.at(-1)).toMatchObject({ method: 'GET', status: 200, authorization: undefined })
    expect(manifests.at(-1)?.bytes).toBeGreaterThan(100)
  })

  it('gives indexes with all their images', async () => {
    await using registry = await startRegistry()
    const layout = twoLayers()
    await copyImage(`oci:${layout.folder}:two`, `docker://${registry.host}/image:2`, ['--all'])
    const answer = await fetch(`http://${registry.host}/v2/image/manifests/2`, {
      headers: { Accept: 'application/vnd.oci.image.index.v1+json' },
    })
    expect(answer.headers.get('docker-content-digest')).toBe(layout.digests.two)
  })

  it('speaks TLS with a certificate of an authority that nobody else knows', async () => {
    await using registry = await startRegistry({ tls: true })
    const url = `https://${registry.name}/v2/`
    const direct = `https://${registry.directHost}/v2/`
    const ca = readFileSync(registry.authority ?? '')
    for (const one of [url, direct]) {
      await expect(statusOf(one)).rejects.toThrow('certificate')
      expect(await statusOf(one, ca)).toBe(200)
    }
  })

  it('asks for a password', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const url = `http://${registry.host}/v2/`
    expect((await fetch(url)).status).toBe(401)
    const headers = { Authorization: `Basic ${btoa('alice:s3cret')}` }
    expect((await fetch(url, { headers })).status).toBe(200)
    expect(registry.proxy.requests.map(({ authorization }) => authorization)).toEqual([undefined, 'Basic'])
  })

  it('asks for tokens, which say who may do what', async () => {
    const users = {
      alice: { password: 's3cret' },
      bob: { password: 'other', rights: { 'b/*': ['*'] as const } },
    }
    await using registry = await startRegistry({ access: 'token', users, anonymous: { open: ['pull'] } })
    const from = `oci:${twoLayers().folder}:one`
    const open = `docker://${registry.host}/open:1`
    await expect(copyImage(from, open)).rejects.toThrow('denied')
    await expect(copyImage(from, open, ['--dest-creds', 'bob:other'])).rejects.toThrow('denied')
    await copyImage(from, open, ['--dest-creds', 'alice:s3cret'])
    await copyImage(open, `oci:${join(temporaryFolder(), 'back')}:one`)
    const asked = registry.tokens?.requests ?? []
    expect(asked.some(({ user, grant }) => user === 'alice' && grant === 'basic')).toBe(true)
    expect(asked.at(-1)).toMatchObject({ grant: 'anonymous', status: 200 })
  })

  it('can be made to misbehave', async () => {
    await using registry = await startRegistry()
    registry.proxy.meddle = ({ url }) =>
      url === '/v2/' ? { status: 429, headers: { 'Retry-After': '1' }, body: 'slow down' } : { cutAfter: 3 }
    const answer = await fetch(`http://${registry.host}/v2/`)
    expect([answer.status, await answer.text()]).toEqual([429, 'slow down'])
    await expect(fetch(`http://${registry.host}/v2/x/tags/list`).then((cut) => cut.text())).rejects.toThrow()
  })

  it('takes documents as they are, also those of Docker', async () => {
    await using registry = await startRegistry()
    const folder = join(temporaryFolder(), 'layout')
    const layout = writeLayout(folder, { one: [{ layers: [lower, upper] }] }, { docker: true })
    await uploadLayout(layout, 'one', `http://${registry.host}`, 'image')
    const { stdout } = await must([
      'skopeo',
      'inspect',
      '--raw',
      '--tls-verify=false',
      `docker://${registry.host}/image:one`,
    ])
    expect(sha256(stdout)).toBe(layout.digests.one)
    expect(stdout).toContain('application/vnd.docker.distribution.manifest.list.v2+json')
  })

  it('can be the mirror of another', async () => {
    await using origin = await startRegistry()
    await copyImage(`oci:${twoLayers().folder}:one`, `docker://${origin.host}/image:1`)
    await using mirror = await startRegistry({ mirrorOf: `http://${origin.host}` })
    await copyImage(`docker://${mirror.host}/image:1`, `oci:${join(temporaryFolder(), 'back')}:one`)
    expect(origin.proxy.requests.filter(({ method }) => method === 'GET').length).toBeGreaterThan(0)
  })
})

describe.skipIf(!can('umoci'))('a layout', () => {
  it('is unpacked by umoci', async () => {
    const folder = temporaryFolder()
    const layout = writeLayout(join(folder, 'layout'), { one: { layers: [lower, upper] } })
    const root = await unpackImage(layout, 'one', join(folder, 'bundle'))
    expect(readFileSync(join(root, 'etc/link'), 'utf8')).toBe('hello\n')
    expect(existsSync(join(root, 'etc/gone'))).toBe(false)
    if (can('root')) expect(statSync(join(root, 'etc/greeting')).uid).toBe(1000)
  })
})

describe.skipIf(!can('buildah'))('buildah', () => {
  it('makes an image from nothing', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'context'))
    writeFileSync(join(folder, 'context', 'file'), 'x')
    writeFileSync(join(folder, 'context', 'Containerfile'), 'FROM scratch\nCOPY file /\nENV A=b\n')
    const layout = join(folder, 'layout')
    await buildImage(join(folder, 'context'), `oci:${layout}:one`, join(folder, 'storage'))
    expect(JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')).manifests).toHaveLength(1)
  })
})

describe.skipIf(!can('docker', 'skopeo'))('a Docker daemon', () => {
  it('loads an image and saves it', async () => {
    const folder = temporaryFolder()
    await using daemon = await startDocker()
    const archive = join(folder, 'image.tar')
    await copyImage(`oci:${twoLayers().folder}:one`, `docker-archive:${archive}:sing-test/image:1`)
    await daemon.docker(['load', '-i', archive])
    const saved = join(folder, 'saved.tar')
    await daemon.docker(['save', '-o', saved, 'sing-test/image:1'])
    const { stdout } = await must(['tar', '-tf', saved])
    expect(stdout).toContain('manifest.json')
  })
})
