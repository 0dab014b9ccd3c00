/** Registries that misbehave: the right bytes or one clear line, and nothing about us told to others. */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { parseDocument } from '../../src/oci/manifest.ts'
import { parseReference, type RegistryReference } from '../../src/oci/reference.ts'
import { openRegistry, type RegistryOptions } from '../../src/oci/registry.ts'
import type { Descriptor, ImageSource } from '../../src/oci/types.ts'
import { bad, type Misbehaviour, startBadRegistry } from '../helpers/bad-registry.ts'
import { type Layout, writeLayout } from '../helpers/oci.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const { signal } = new AbortController()
const alice = { username: 'alice', password: 's3cret' }

const layout: Layout = writeLayout(join(temporaryFolder(), 'layout'), {
  one: { layers: [{ tar: [{ path: 'large', data: Buffer.alloc(200_000, 7) }], compression: 'none' }] },
})

type Given = Partial<RegistryOptions>

/** Nothing takes long here. */
const patience = { pause: 10, retryAfter: 3000, body: 400, least: 100 }

const open = (host: string, given: Given = {}): Promise<ImageSource> =>
  openRegistry(parseReference(`docker://${host}/app:one`) as RegistryReference, {
    environment: {},
    report: () => {},
    noHttps: true,
    patience,
    ...given,
  })

async function readLayer(source: ImageSource): Promise<{ layer: Descriptor; bytes: Buffer }> {
  const found = await source.resolve(signal)
  const document = parseDocument(await source.document(found, 1 << 20, signal), source.name)
  const [layer] = document.kind === 'manifest' ? document.manifest.layers : []
  if (!layer) throw new Error('no layer')
  const chunks: Uint8Array[] = []
  for await (const chunk of await source.blob(layer, 0, signal)) chunks.push(chunk)
  return { layer, bytes: Buffer.concat(chunks) }
}

async function attempt(misbehave: Misbehaviour, given: Given = {}) {
  const events: Event[] = []
  const report = (event: Event) => void (event.kind === 'debug' || events.push(event))
  await using registry = await startBadRegistry(layout, misbehave)
  await using source = await open(registry.host, { report, ...given })
  const outcome = await readLayer(source).catch((error: unknown) => error)
  return { outcome, requests: [...registry.requests], host: registry.host, events }
}

const isWhole = (outcome: unknown): boolean => {
  const { layer, bytes } = outcome as { layer: Descriptor; bytes: Buffer }
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` === layer.digest
}

describe('a registry that', () => {
  it('behaves gives the image', async () => {
    expect(isWhole((await attempt(() => false)).outcome)).toBe(true)
  })

  it('ends the connection early is told with what came, and gives the rest when asked', async () => {
    const { outcome, host } = await attempt(bad.cuts(70_000, 1))
    expect(outcome).toMatchObject({
      failure: 'cut',
      message: expect.stringMatching(new RegExp(`^${host} ended the connection after \\d+ of \\d+ bytes$`)),
      passing: true,
    })
  })

  it('sends another manifest is not believed', async () => {
    const { outcome, host } = await attempt(bad.changes('manifest'))
    expect(outcome).toMatchObject({
      code: 'DIGEST',
      message: `${host} sends a document that is not ${layout.digests.one}`,
    })
  })

  it('announces another length is not believed', async () => {
    const { outcome, host } = await attempt(bad.lengthens())
    expect(outcome).toMatchObject({
      message: expect.stringMatching(new RegExp(`^${host} sends \\d+ bytes for a blob of \\d+$`)),
    })
  })

  it('sends more than the blob has is stopped there', async () => {
    const { outcome, host } = await attempt(bad.runsOver())
    expect(outcome).toMatchObject({
      message: expect.stringMatching(new RegExp(`^${host} sends more than the \\d+ bytes of a blob$`)),
    })
  })

  it('refuses twice is asked twice', async () => {
    const { outcome, requests, host } = await attempt(bad.refuses('Basic realm="x"'), alice)
    expect(outcome).toMatchObject({
      message: `${host} refuses the user alice (the command line or the environment)`,
    })
    expect(requests.map(({ authorization }) => authorization?.split(' ')[0])).toEqual([undefined, 'Basic'])
  })

  it('wants a login of an unknown kind is told so', async () => {
    const { outcome, host } = await attempt(bad.refuses('Negotiate'), alice)
    expect(outcome).toMatchObject({
      message: `${host} wants a login of a kind that is not known here: negotiate`,
    })
  })

  it('wants time gets it', async () => {
    const { outcome, events } = await attempt(bad.slowsDown('1', 1))
    expect(isWhole(outcome)).toBe(true)
    expect(events).toMatchObject([
      { kind: 'info', text: expect.stringContaining('answered 429; trying again in 1 s') },
    ])
  })

  it('wants too much time is told so', async () => {
    const { outcome, requests, host } = await attempt(bad.slowsDown('3600', 9))
    expect(outcome).toMatchObject({
      message: `${host} has had too many requests from here: slow down`,
      hint: expect.stringContaining('Try again in 3600 seconds.'),
    })
    expect(requests.filter(({ kind }) => kind === 'blob').length).toBe(1)
  })

  it('fails and is well again gives the image', async () => {
    expect(isWhole((await attempt(bad.fails('blob', 500, 3))).outcome)).toBe(true)
    expect(isWhole((await attempt(bad.fails('manifest', 503, 2))).outcome)).toBe(true)
  })

  it('fails again and again is given up', async () => {
    const { outcome, requests, host } = await attempt(bad.fails('blob', 502, 99))
    expect(outcome).toMatchObject({
      message: expect.stringContaining(`${host} answered 502 when asked to read the blob sha256:`),
    })
    expect(requests.filter(({ kind }) => kind === 'blob').length).toBe(4)
  })

  it('is out of order is not asked in other words', async () => {
    const { outcome, requests, host } = await attempt(({ response }) => {
      response.writeHead(503).end()
      return true
    })
    expect(outcome).toMatchObject({ message: `${host} answered 503 when asked to read app` })
    expect(requests.map(({ method }) => method)).toEqual(['HEAD', 'HEAD', 'HEAD', 'HEAD'])
  })

  it('leads to another server does not lead our login there', async () => {
    await using elsewhere = await startBadRegistry(layout)
    const wantsLogin = bad.refuses('Basic realm="x"')
    const leads = bad.redirects((path) => `http://${elsewhere.host}${path}`)
    const { outcome, requests } = await attempt(
      (answer) => (answer.request.authorization ? leads(answer) : wantsLogin(answer)),
      alice,
    )
    expect(isWhole(outcome)).toBe(true)
    expect(requests.at(-1)?.authorization).toMatch(/^Basic /)
    expect(elsewhere.requests).toMatchObject([{ kind: 'blob', authorization: undefined }])
  })

  it('leads in a circle is left', async () => {
    const { outcome, host } = await attempt(bad.redirects((path) => path))
    expect(outcome).toMatchObject({ failure: 'redirect', message: `${host} redirects more than 10 times` })
  })

  it('leads to no web server is not followed', async () => {
    const { outcome, host } = await attempt(bad.redirects(() => 'file:///etc/passwd'))
    expect(outcome).toMatchObject({
      message: `${host} redirects to file:///etc/passwd, which is no web server`,
    })
  })

  it('sends a byte now and then is too slow', async () => {
    const { outcome, host } = await attempt(bad.drips(50))
    expect(outcome).toMatchObject({
      failure: 'slow',
      message: `${host} is too slow: fewer than 100 bytes in 1 seconds`,
    })
  })

  it('sends a manifest without end is stopped', async () => {
    const { outcome, host } = await attempt(bad.endless())
    expect(outcome).toMatchObject({ failure: 'limit', message: `${host} sends more than 1048576 bytes` })
  })

  it('names a token server that anybody could listen to is not followed there', async () => {
    const { outcome } = await attempt(bad.refuses('Bearer realm="ftp://tokens.example/x",service="s"'), alice)
    expect(outcome).toMatchObject({ message: expect.stringContaining('this is no address of a web server') })
  })

  it('names a token server that sends no token is told so', async () => {
    await using elsewhere = await startBadRegistry(layout)
    const { outcome } = await attempt(bad.refuses(`Bearer realm="http://${elsewhere.host}/v2/",service="s"`))
    expect(outcome).toMatchObject({ message: `the token server http://${elsewhere.host}/v2/ sends no token` })
  })

  it('names a token server that fails is told so', async () => {
    await using elsewhere = await startBadRegistry(layout)
    const { outcome } = await attempt(
      bad.refuses(`Bearer realm="http://${elsewhere.host}/tokens",service="s"`),
    )
    expect(outcome).toMatchObject({
      message: `the token server http://${elsewhere.host}/tokens answered 404`,
    })
  })
})

describe('a source', () => {
  const layerOf = async (source: ImageSource): Promise<Descriptor> => {
    const found = await source.resolve(signal)
    const document = parseDocument(await source.document(found, 1 << 20, signal), source.name)
    const [layer] = document.kind === 'manifest' ? document.manifest.layers : []
    if (!layer) throw new Error('no layer')
    return layer
  }
  const all = async (bytes: AsyncIterable<Uint8Array>): Promise<Buffer> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of bytes) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  it('tells what the registry has to say, once', async () => {
    const events: Event[] = []
    await using registry = await startBadRegistry(layout, ({ response }) => {
      response.setHeader('warning', ['299 - "This one goes away soon"', '199 - "not this"'])
      return false
    })
    await using source = await open(registry.host, {
      report: (event) => event.kind === 'debug' || events.push(event),
    })
    await readLayer(source)
    expect(events).toEqual([{ kind: 'warning', text: `${registry.host} says: This one goes away soon` }])
  })

  it.each([404, 405])('asks otherwise where HEAD is answered by %s', async (status) => {
    const { outcome, requests } = await attempt(({ request, response }) => {
      if (request.method !== 'HEAD') return false
      response.writeHead(status).end()
      return true
    })
    expect(isWhole(outcome)).toBe(true)
    // The manifest came with the answer to the tag, and is not asked for again.
    expect(requests.filter(({ kind, method }) => kind === 'manifest' && method === 'GET').length).toBe(1)
  })

  it('counts itself where the registry tells no digest', async () => {
    const { outcome } = await attempt(({ request, response, body, headers }) => {
      if (request.kind !== 'manifest') return false
      const { 'docker-content-digest': _, ...others } = headers
      response.writeHead(200, others).end(request.method === 'HEAD' ? undefined : body)
      return true
    })
    expect(isWhole(outcome)).toBe(true)
  })

  it('does not take another digest than the one that was asked for', async () => {
    await using registry = await startBadRegistry(layout, ({ request, response, headers }) => {
      if (request.method !== 'HEAD') return false
      response.writeHead(200, { ...headers, 'docker-content-digest': `sha256:${'0'.repeat(64)}` }).end()
      return true
    })
    const reference = parseReference(
      `docker://${registry.host}/app@${layout.digests.one}`,
    ) as RegistryReference
    await using source = await openRegistry(reference, { environment: {}, report: () => {}, noHttps: true })
    await expect(source.resolve(signal)).rejects.toMatchObject({
      message: `asked for ${source.name}, the registry tells of sha256:${'0'.repeat(64)}`,
    })
  })

  it('refuses manifests of the first version', async () => {
    const { outcome } = await attempt(({ request, response, headers }) => {
      if (request.kind !== 'manifest') return false
      const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
      response.writeHead(200, { ...headers, 'content-type': type }).end()
      return true
    })
    expect(outcome).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('first version (schema 1)'),
    })
  })

  it('gives what a descriptor carries without asking', async () => {
    await using registry = await startBadRegistry(layout)
    await using source = await open(registry.host)
    const layer = await layerOf(source)
    const before = registry.requests.length
    const data = Buffer.from('0123456789')
    expect((await all(await source.blob({ ...layer, data }, 4, signal))).toString()).toBe('456789')
    expect(await source.document({ ...layer, data }, 100, signal)).toEqual(data)
    expect(registry.requests.length).toBe(before)
  })

  it('fetches a foreign layer where it lies, without our login', async () => {
    await using elsewhere = await startBadRegistry(layout)
    await using registry = await startBadRegistry(layout, (answer) => {
      if (!answer.request.authorization) return bad.refuses('Basic realm="x"')(answer)
      if (answer.request.kind !== 'blob') return false
      answer.response.writeHead(404).end()
      return true
    })
    await using source = await open(registry.host, alice)
    const layer = await layerOf(source)
    const urls = [
      `http://${elsewhere.host}/v2/gone/blobs/none`,
      `http://${elsewhere.host}/v2/x/blobs/${layer.digest}`,
    ]
    const whole = await all(await source.blob({ ...layer, urls }, 0, signal))
    expect(isWhole({ layer, bytes: whole })).toBe(true)
    expect(await all(await source.blob({ ...layer, urls }, 1000, signal))).toEqual(whole.subarray(1000))
    expect(elsewhere.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
    const nowhere = source.blob({ ...layer, urls: urls.slice(0, 1) }, 0, signal)
    await expect(nowhere).rejects.toMatchObject({
      message: `the layer ${layer.digest} is neither in 127.0.0.1 nor where it says it is`,
    })
  })

  it('does not take another part than the one that was asked for', async () => {
    await using registry = await startBadRegistry(layout, ({ request, response, body }) => {
      if (request.range === undefined) return false
      const range = `bytes 0-${body.length - 1}/${body.length}`
      response.writeHead(206, { 'content-range': range, 'content-length': body.length }).end(body)
      return true
    })
    await using source = await open(registry.host)
    const layer = await layerOf(source)
    await expect(source.blob(layer, 1000, signal).then(all)).rejects.toMatchObject({
      message: `${registry.host} sends another part than the one that was asked for`,
    })
  })

  it('is told that somebody may not', async () => {
    const { outcome, host } = await attempt(({ response }) => {
      response.writeHead(403).end('{"errors":[{"code":"DENIED","message":"requested access is denied"}]}')
      return true
    })
    expect(outcome).toMatchObject({
      message: `${host} does not allow us to read app: requested access is denied`,
      hint: `Log in as somebody who may: sing registry login ${host}`,
    })
  })
})
