/** Images in real registries, read as a source of images. */

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { parseDocument } from '../../src/oci/manifest.ts'
import { parseReference, type RegistryReference } from '../../src/oci/reference.ts'
import { openRegistry, type RegistryOptions } from '../../src/oci/registry.ts'
import type { Descriptor, ImageSource } from '../../src/oci/types.ts'
import { can } from '../helpers/can.ts'
import { copyImage, type Layout, uploadLayout, writeLayout } from '../helpers/oci.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const { signal } = new AbortController()

const image = (): Layout =>
  writeLayout(join(temporaryFolder(), 'layout'), {
    one: {
      layers: [[{ path: 'greeting', data: 'hello\n' }], [{ path: 'large', data: Buffer.alloc(300_000, 7) }]],
    },
  })

type Given = Partial<RegistryOptions>

const open = (name: string, given: Given = {}): Promise<ImageSource> => {
  const reference = parseReference(`docker://${name}`) as RegistryReference
  return openRegistry(reference, { environment: {}, report: () => {}, noHttps: false, ...given })
}

async function all(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Read everything that an image has; the digests that it really has. */
async function readAll(source: ImageSource): Promise<{ found: Descriptor; layers: readonly Descriptor[] }> {
  const found = await source.resolve(signal)
  const bytes = await source.document(found, 1 << 20, signal)
  expect(digestOf(bytes)).toBe(found.digest)
  const document = parseDocument(bytes, source.name)
  if (document.kind !== 'manifest') throw new Error('an index')
  const { config, layers } = document.manifest
  expect(digestOf(await source.document(config, 1 << 20, signal))).toBe(config.digest)
  for (const blob of [config, ...layers]) {
    expect(digestOf(await all(await source.blob(blob, 0, signal)))).toBe(blob.digest)
  }
  return { found, layers }
}

const upload = (registry: Registry, layout: Layout, name = 'some/app') =>
  uploadLayout(layout, 'one', `http://${registry.directHost}`, name)

describe.skipIf(!can('registry', 'skopeo'))('an open registry', () => {
  it('gives the image that was put there, without a flag for plain HTTP on this machine', async () => {
    await using registry = await startRegistry()
    const layout = image()
    await upload(registry, layout)
    await using source = await open(`${registry.host}/some/app:one`)
    const { found } = await readAll(source)
    expect(found.digest).toBe(layout.digests.one)
    expect(source.name).toBe(`docker://${registry.host}/some/app:one`)
    const told = registry.proxy.requests
    expect(told.map(({ method, path }) => `${method} ${path}`).slice(0, 2)).toEqual([
      'HEAD /v2/some/app/manifests/one',
      `GET /v2/some/app/manifests/${layout.digests.one}`,
    ])
    expect(
      told.every(({ authorization, userAgent }) => !authorization && userAgent?.startsWith('sing/')),
    ).toBe(true)
  })

  it('gives a blob from any byte on, also when it can only send all of it', async () => {
    await using registry = await startRegistry()
    await upload(registry, image())
    await using source = await open(`${registry.host}/some/app:one`)
    const { layers } = await readAll(source)
    const [layer] = layers as [Descriptor]
    const whole = await all(await source.blob(layer, 0, signal))
    expect(await all(await source.blob(layer, 100, signal))).toEqual(whole.subarray(100))
    expect(registry.proxy.requests.at(-1)).toMatchObject({ range: 'bytes=100-', status: 206 })
    registry.proxy.meddle = (request) =>
      request.headers.range
        ? { status: 200, headers: { 'content-length': String(whole.length) }, body: whole }
        : undefined
    expect(await all(await source.blob(layer, 100, signal))).toEqual(whole.subarray(100))
  })

  it('is told apart from one that does not have the image', async () => {
    await using registry = await startRegistry()
    await upload(registry, image())
    await using wrongTag = await open(`${registry.host}/some/app:ome`)
    await expect(wrongTag.resolve(signal)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `${registry.host}/some/app does not have the tag "ome"`,
      hint: 'Did you mean one?',
    })
    await using farTag = await open(`${registry.host}/some/app:3.20`)
    await expect(farTag.resolve(signal)).rejects.toMatchObject({ hint: 'It has: one' })
    await using wrongName = await open(`${registry.host}/other/app:one`)
    await expect(wrongName.resolve(signal)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `${registry.host} has no repository other/app`,
    })
    await using wrongDigest = await open(`${registry.host}/some/app@sha256:${'0'.repeat(64)}`)
    await expect(wrongDigest.resolve(signal)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })
})

describe.skipIf(!can('registry', 'skopeo'))('a registry with users', () => {
  const alice = { username: 'alice', password: 's3cret' }
  const copied = (layout: Layout, registry: Registry) =>
    copyImage(`oci:${layout.folder}:one`, `docker://${registry.directHost}/some/app:one`, [
      '--dest-creds',
      'alice:s3cret',
    ])

  it('and passwords gives an image to who may have it', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const layout = image()
    await copied(layout, registry)
    await using source = await open(`${registry.host}/some/app:one`, alice)
    expect((await readAll(source)).found.digest).toBe(layout.digests.one)
  })

  it('and passwords says who was refused, and what to do', async () => {
    await using registry = await startRegistry({ access: 'htpasswd' })
    const hint = `Log in: sing registry login ${registry.host}`
    await using nobody = await open(`${registry.host}/some/app:one`)
    await expect(nobody.resolve(signal)).rejects.toMatchObject({
      code: 'REGISTRY',
      message: `${registry.host} wants a user and a password`,
      hint,
    })
    await using mallory = await open(`${registry.host}/some/app:one`, { username: 'mallory', password: 'x' })
    await expect(mallory.resolve(signal)).rejects.toMatchObject({
      message: `${registry.host} refuses the user mallory (the command line or the environment)`,
      hint: `Is the password right? Many registries want an access token in its place. ${hint}`,
    })
  })

  it('and a token server gives an image to anybody who may have it', async () => {
    await using registry = await startRegistry({ access: 'token', anonymous: { 'some/app': ['pull'] } })
    const layout = image()
    await copied(layout, registry)
    const before = registry.tokens?.requests.length ?? 0
    await using source = await open(`${registry.host}/some/app:one`)
    expect((await readAll(source)).found.digest).toBe(layout.digests.one)
    const asked = registry.tokens?.requests.slice(before)
    expect(asked).toMatchObject([{ grant: 'anonymous', scopes: ['repository:some/app:pull'], status: 200 }])
  })

  it('and a token server asks again when the token is too old', async () => {
    await using registry = await startRegistry({ access: 'token', lifetime: 1 })
    await copied(image(), registry)
    const before = registry.tokens?.requests.length ?? 0
    await using source = await open(`${registry.host}/some/app:one`, alice)
    await readAll(source)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await readAll(source)
    const asked = registry.tokens?.requests.slice(before) ?? []
    expect(asked.length).toBeGreaterThan(1)
    expect(
      asked.every(({ user, grant, status }) => user === 'alice' && grant === 'basic' && status === 200),
    ).toBe(true)
  })

  it('and a token server takes an identity token', async () => {
    await using registry = await startRegistry({ access: 'token' })
    await copied(image(), registry)
    const identitytoken = Buffer.from('alice:s3cret').toString('base64url')
    const authFile = join(temporaryFolder(), 'auth.json')
    writeFileSync(authFile, JSON.stringify({ auths: { [registry.host]: { identitytoken } } }))
    const before = registry.tokens?.requests.length ?? 0
    await using source = await open(`${registry.host}/some/app:one`, { authFile })
    await readAll(source)
    expect(registry.tokens?.requests.slice(before)).toMatchObject([{ grant: 'refresh_token', user: 'alice' }])
  })

  it('and a token server refuses strangers', async () => {
    await using registry = await startRegistry({ access: 'token' })
    await copied(image(), registry)
    await using nobody = await open(`${registry.host}/some/app:one`)
    await expect(nobody.resolve(signal)).rejects.toMatchObject({
      message: `${registry.host} wants a user and a password`,
    })
    await using wrong = await open(`${registry.host}/some/app:one`, { username: 'alice', password: 'x' })
    await expect(wrong.resolve(signal)).rejects.toMatchObject({
      message: `${registry.host} refuses the user alice (the command line or the environment)`,
    })
  })
})

describe.skipIf(!can('registry', 'skopeo'))('a registry with a certificate of its own', () => {
  it('is believed when its authority is named', async () => {
    await using registry = await startRegistry({ tls: true })
    const layout = image()
    await copyImage(`oci:${layout.folder}:one`, `docker://${registry.directHost}/some/app:one`)
    await using source = await open(`${registry.name}/some/app:one`, {
      environment: { SSL_CERT_FILE: registry.authority ?? '' },
    })
    expect((await readAll(source)).found.digest).toBe(layout.digests.one)
  })

  it('is not believed otherwise', async () => {
    await using registry = await startRegistry({ tls: true })
    await using source = await open(`${registry.name}/some/app:one`)
    await expect(source.resolve(signal)).rejects.toMatchObject({
      failure: 'untrusted',
      hint: expect.stringContaining(`~/.config/containers/certs.d/${registry.name}/ca.crt`),
    })
  })

  it('is not asked otherwise when it is asked without', async () => {
    await using registry = await startRegistry({ tls: true })
    await using source = await open(`${registry.directHost}/some/app:one`, { noHttps: true })
    await expect(source.resolve(signal)).rejects.toMatchObject({
      hint: 'If it speaks HTTPS: without --no-https',
    })
  })
})

describe('nobody', () => {
  it('answers where no registry is', async () => {
    const events: Event[] = []
    await using source = await open('127.0.0.1:1/some/app:one', { report: (event) => events.push(event) })
    await expect(source.resolve(signal)).rejects.toMatchObject({
      failure: 'unreachable',
      message: 'cannot reach 127.0.0.1:1: connection refused',
    })
    expect(events).toEqual([])
  })
})
