/** Blobs and manifests on their way to real registries, over lines that break and to servers that have bad days. */

import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import type { RegistryOptions } from '../../src/oci/client.ts'
import { notePlace, repositoriesWith } from '../../src/oci/places.ts'
import type { RegistryReference } from '../../src/oci/reference.ts'
import { type Blob, Repository } from '../../src/oci/upload.ts'
import { can } from '../helpers/can.ts'
import type { Meddle } from '../helpers/proxy.ts'
import { type Registry, startRegistry } from '../helpers/registry.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const never = new AbortController().signal
const patience = { pause: 10, retryAfter: 3000 }

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

const noise = randomBytes(3_000_000)
const half = 1_500_000

type Reading = { offsets: number[] }

/** Bytes in pieces, as a blob whose digest is known beforehand, or not. */
function blobOf(bytes: Buffer, isKnown: boolean, reading: Reading = { offsets: [] }): Blob {
  async function* read(offset: number) {
    reading.offsets.push(offset)
    for (let at = offset; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000)
  }
  const known = isKnown ? { known: { digest: digestOf(bytes), size: bytes.length } } : {}
  return { name: 'the blob', read, ...known }
}

const referenceTo = (registry: string, repository = 'some/app'): RegistryReference => ({
  kind: 'docker',
  registry,
  repository,
  tag: '1',
  digest: undefined,
  platform: undefined,
})

/** Nothing is known of what other repositories have. */
const nowhere = { SING_CACHEDIR: '/dev/null/nowhere' }

const open = (host: string, more: Partial<RegistryOptions> = {}): Repository =>
  new Repository(referenceTo(host), {
    environment: nowhere,
    report: () => {},
    noHttps: true,
    patience,
    ...more,
  })

/** What a registry stores under a digest. */
async function stored({ directHost }: Registry, digest: string): Promise<string> {
  const response = await fetch(`http://${directHost}/v2/some/app/blobs/${digest}`)
  return response.ok ? digestOf(Buffer.from(await response.arrayBuffer())) : String(response.status)
}

const methods = ({ proxy }: Registry): string[] => proxy.requests.map(({ method }) => method)
const isPatch = ({ method }: IncomingMessage): boolean => method === 'PATCH'

/** The first `count` requests that it is about. */
function first(
  count: number,
  about: (request: IncomingMessage) => boolean,
  answer: ReturnType<Meddle>,
): Meddle {
  let met = 0
  return (request) => (about(request) && met++ < count ? answer : undefined)
}

describe.skipIf(!can('registry'))('a registry', () => {
  it.each([true, false])('gets a blob whose digest is known beforehand (%s)', async (isKnown) => {
    await using registry = await startRegistry()
    using repository = open(registry.host)
    const sent = await repository.send(blobOf(noise, isKnown), never)
    expect(sent).toEqual({ digest: digestOf(noise), size: noise.length })
    expect(await stored(registry, sent.digest)).toBe(sent.digest)
    expect(methods(registry)).toEqual([...(isKnown ? ['HEAD'] : []), 'POST', 'PATCH', 'PUT'])
  })

  it('gets a small blob in one request, and an empty one', async () => {
    await using registry = await startRegistry()
    using repository = open(registry.host)
    for (const bytes of [Buffer.from('{}'), Buffer.alloc(0)]) {
      const { digest } = await repository.send(blobOf(bytes, true), never)
      expect(await stored(registry, digest)).toBe(digest)
    }
    expect(methods(registry)).toEqual(['HEAD', 'POST', 'PUT', 'HEAD', 'POST', 'PUT'])
  })

  it('is not sent what it has', async () => {
    await using registry = await startRegistry()
    const events: Event[] = []
    using repository = open(registry.host, { report: (event) => events.push(event) })
    const reading = { offsets: [] }
    await repository.send(blobOf(noise, true), never)
    await repository.send(blobOf(noise, true, reading), never)
    expect(reading.offsets).toEqual([])
    expect(methods(registry)).toEqual(['HEAD', 'POST', 'PATCH', 'PUT', 'HEAD'])
    expect(events).toContainEqual({ kind: 'verbose', text: expect.stringContaining('has the blob already') })
  })

  it.each([true, false])(
    'gets it in another try when the line was cut (digest known: %s)',
    async (isKnown) => {
      await using registry = await startRegistry()
      registry.proxy.meddle = first(1, isPatch, { cutRequestAfter: half })
      const events: Event[] = []
      using repository = open(registry.host, { report: (event) => events.push(event) })
      const { digest } = await repository.send(blobOf(noise, isKnown), never)
      expect(digest).toBe(digestOf(noise))
      expect(await stored(registry, digest)).toBe(digest)
      expect(events).toContainEqual({ kind: 'info', text: expect.stringMatching(/; trying again in 1 s$/) })
    },
  )

  it.each([true, false])(
    'that fails in the middle gets it in another try (digest known: %s)',
    async (isKnown) => {
      await using registry = await startRegistry()
      registry.proxy.meddle = first(2, isPatch, { status: 503 })
      using repository = open(registry.host)
      const { digest } = await repository.send(blobOf(noise, isKnown), never)
      expect(await stored(registry, digest)).toBe(digest)
    },
  )

  it('that lost the upload gets a new one', async () => {
    await using registry = await startRegistry()
    const unknown = { status: 404, body: '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}' }
    registry.proxy.meddle = first(1, ({ method }) => method === 'PUT', unknown)
    using repository = open(registry.host)
    const { digest } = await repository.send(blobOf(noise, false), never)
    expect(await stored(registry, digest)).toBe(digest)
  })

  it('that took the blob and could not say so is believed when it has it', async () => {
    await using registry = await startRegistry()
    registry.proxy.meddle = first(1, ({ method }) => method === 'PUT', { cutAfter: 0 })
    using repository = open(registry.host)
    const { digest } = await repository.send(blobOf(noise, true), never)
    expect(await stored(registry, digest)).toBe(digest)
    expect(methods(registry).filter((method) => method === 'PATCH').length).toBe(1)
  })

  it('that fails each time is given up with its last words, and rid of the upload', async () => {
    await using registry = await startRegistry()
    const full = { status: 500, body: '{"errors":[{"code":"UNKNOWN","message":"no space left on device"}]}' }
    registry.proxy.meddle = (request) => (isPatch(request) ? full : undefined)
    using repository = open(registry.host)
    await expect(repository.send(blobOf(noise, true), never)).rejects.toMatchObject({
      code: 'REGISTRY',
      message: `${registry.host} answered 500 (no space left on device) when asked to write to some/app`,
    })
    expect(methods(registry).filter((method) => method === 'PATCH').length).toBe(4)
    expect(registry.proxy.requests.at(-1)).toMatchObject({ method: 'DELETE', status: 204 })
  })

  it('that takes no parts gets the whole', async () => {
    await using registry = await startRegistry()
    registry.proxy.meddle = (request) => (isPatch(request) ? { status: 405 } : undefined)
    using repository = open(registry.host)
    for (const isKnown of [true, false]) {
      const bytes = randomBytes(200_000)
      const { digest } = await repository.send(blobOf(bytes, isKnown), never)
      expect(digest).toBe(digestOf(bytes))
      expect(await stored(registry, digest)).toBe(digest)
    }
  })

  it('whose limit is too low tells so, once', async () => {
    await using registry = await startRegistry()
    registry.proxy.meddle = (request) => (isPatch(request) ? { status: 413, body: '<html>' } : undefined)
    using repository = open(registry.host)
    await expect(repository.send(blobOf(noise, true), never)).rejects.toMatchObject({
      message: `${registry.host} does not take as many bytes at once (413)`,
      hint: 'Its administrator, or that of the proxy before it, can raise the limit',
    })
    expect(methods(registry).filter((method) => method === 'PATCH').length).toBe(1)
  })

  it('has no room for us', async () => {
    await using registry = await startRegistry()
    const denied = {
      status: 403,
      body: '{"errors":[{"code":"DENIED","message":"quota of 10 GiB exceeded"}]}',
    }
    registry.proxy.meddle = ({ method }) => (method === 'POST' ? denied : undefined)
    using repository = open(registry.host)
    await expect(repository.send(blobOf(noise, false), never)).rejects.toThrow(
      `${registry.host} does not allow us to write to some/app: quota of 10 GiB exceeded`,
    )
  })

  it('is left alone when the work is interrupted', async () => {
    await using registry = await startRegistry()
    const controller = new AbortController()
    async function* read() {
      yield noise
      controller.abort(new Error('enough'))
      yield noise
    }
    using repository = open(registry.host)
    await expect(repository.send({ name: 'x', read }, controller.signal)).rejects.toThrow('enough')
    expect(methods(registry)).not.toContain('PUT')
    expect(methods(registry)).toContain('DELETE')
  })

  it('compares what is sent with its digest, and so do we', async () => {
    await using registry = await startRegistry()
    using repository = open(registry.host)
    const changed: Blob = {
      ...blobOf(Buffer.alloc(noise.length), true),
      known: { digest: digestOf(noise), size: noise.length },
    }
    await expect(repository.send(changed, never)).rejects.toThrow(/digest/)
    registry.proxy.meddle = ({ method }) =>
      method === 'PUT' ? { status: 201, headers: { 'docker-content-digest': digestOf(noise) } } : undefined
    await expect(repository.send(blobOf(Buffer.from('x'), true), never)).rejects.toThrow(
      `${registry.host} stored ${digestOf(noise)} when it was sent ${digestOf(Buffer.from('x'))}`,
    )
  })
})

describe.skipIf(!can('registry'))('a blob that another repository has', () => {
  const users = { alice: { password: 's3cret' } }
  const account = { username: 'alice', password: 's3cret' }
  const openIn = (host: string, repository: string, environment: Record<string, string>) =>
    new Repository(referenceTo(host, repository), {
      environment,
      report: () => {},
      noHttps: true,
      patience,
      ...account,
    })

  it.each(['open', 'token'] as const)('is taken from there (access: %s)', async (access) => {
    await using registry = await startRegistry({ access, users })
    const environment = { SING_CACHEDIR: temporaryFolder() }
    using one = openIn(registry.host, 'team/test', environment)
    await one.send(blobOf(noise, false), never)
    registry.proxy.requests.length = 0
    using other = openIn(registry.host, 'team/release', environment)
    const reading: Reading = { offsets: [] }
    expect(await other.send(blobOf(noise, true, reading), never)).toMatchObject({ digest: digestOf(noise) })
    expect(reading.offsets).toEqual([])
    expect(registry.proxy.requests.at(-1)).toMatchObject({ method: 'POST', status: 201 })
  })

  it('is sent when it is no longer there, or may not be seen', async () => {
    await using registry = await startRegistry()
    const environment = { SING_CACHEDIR: temporaryFolder() }
    const place = { registry: registry.host, repository: 'team/gone' }
    notePlace(environment, place, digestOf(noise))
    using repository = openIn(registry.host, 'some/app', environment)
    const { digest } = await repository.send(blobOf(noise, true), never)
    expect(await stored(registry, digest)).toBe(digest)
    expect(methods(registry)).toEqual(['HEAD', 'POST', 'DELETE', 'POST', 'PATCH', 'PUT'])
  })

  it('is not looked for at other registries, nor where nothing can be noted', () => {
    const environment = { SING_CACHEDIR: temporaryFolder() }
    notePlace(environment, { registry: 'one.example', repository: 'a/b' }, digestOf(noise))
    notePlace(environment, { registry: 'one.example', repository: 'a/c' }, digestOf(noise))
    notePlace(environment, { registry: 'one.example', repository: 'a/b' }, digestOf(noise))
    expect(repositoriesWith(environment, 'one.example', digestOf(noise))).toEqual(['a/c', 'a/b'])
    expect(repositoriesWith(environment, 'one.example:5000', digestOf(noise))).toEqual([])
    for (const wrong of [nowhere, { SING_CACHEDIR: 'relative' }]) {
      notePlace(wrong, { registry: 'one.example', repository: 'a/b' }, digestOf(noise))
      expect(repositoriesWith(wrong, 'one.example', digestOf(noise))).toEqual([])
    }
  })
})

describe.skipIf(!can('registry'))('a manifest', () => {
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2 }))

  it('without its blobs is refused, and nothing is there', async () => {
    await using registry = await startRegistry()
    using repository = open(registry.host)
    const digest = digestOf(Buffer.from('{}'))
    const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 }
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] }))
    await expect(repository.sendManifest(bytes, mediaType, 'one', never)).rejects.toThrow(
      /answered 400 \(blob unknown to registry\) when asked to write to some\/app/,
    )
    await repository.send(blobOf(Buffer.from('{}'), true), never)
    expect(await repository.sendManifest(bytes, mediaType, 'one', never)).toBe(digestOf(bytes))
    const response = await fetch(`http://${registry.directHost}/v2/some/app/manifests/one`, {
      headers: { accept: mediaType },
    })
    expect(digestOf(Buffer.from(await response.arrayBuffer()))).toBe(digestOf(bytes))
  })

  it('that the registry changed is noticed', async () => {
    await using registry = await startRegistry()
    registry.proxy.meddle = () => ({ status: 201, headers: { 'docker-content-digest': digestOf(noise) } })
    using repository = open(registry.host)
    await expect(repository.sendManifest(manifest, 'text/plain', 'one', never)).rejects.toMatchObject({
      message: expect.stringContaining(`stored ${digestOf(noise)}`),
      hint: 'Something on the way changes what is sent',
    })
  })
})

describe.skipIf(!can('registry'))('tokens', () => {
  const users = {
    alice: { password: 's3cret', rights: { 'some/app': ['pull', 'push'] } },
    bob: { password: 'b0b', rights: { 'some/app': ['pull'] } },
  } as const

  it('are asked for the right to push, and again when they have run out', async () => {
    await using registry = await startRegistry({ access: 'token', users })
    using repository = open(registry.host, { username: 'alice', password: 's3cret' })
    let refused = 0
    registry.proxy.meddle = (request) => {
      if (!isPatch(request) || refused++ > 0) return undefined
      const realm = `Bearer realm="${registry.tokens?.realm}",service="sing-test",scope="repository:some/app:pull,push",error="invalid_token"`
      return { status: 401, headers: { 'www-authenticate': realm } }
    }
    const { digest } = await repository.send(blobOf(noise, true), never)
    expect(digest).toBe(digestOf(noise))
    expect(refused).toBe(2)
    const asked = registry.tokens?.requests ?? []
    expect(asked.map(({ user }) => user)).toEqual(['alice', 'alice'])
    for (const { scopes } of asked) expect(scopes).toContain('repository:some/app:pull,push')
  })

  it.each([
    ['somebody who may only pull', { username: 'bob', password: 'b0b' }],
    ['nobody in particular', {}],
  ])('do not let %s push', async (_, account) => {
    await using registry = await startRegistry({
      access: 'token',
      users,
      anonymous: { 'some/app': ['pull'] },
    })
    using repository = open(registry.host, account)
    await expect(repository.send(blobOf(noise, false), never)).rejects.toMatchObject({ code: 'REGISTRY' })
    expect(methods(registry)).not.toContain('PATCH')
  })
})

/** A server that answers as the table says, and keeps who asked what. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse, host: string) => void) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    request.resume().on('end', () => answer(request, response, host()))
  })
  const host = () => `127.0.0.1:${(server.address() as AddressInfo).port}`
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: host(),
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('the place for a blob', () => {
  const small = blobOf(Buffer.from('{}'), true)

  it.each([
    ['/up/1?state=a%2Fb', '/up/1?state=a%2Fb&digest='],
    ['2', '/v2/some/app/blobs/uploads/2?digest='],
    ['http://HOST/up/3', '/up/3?digest='],
  ])('may be told as %s', async (location, path) => {
    await using server = await serve(({ method }, response, host) => {
      const status = { HEAD: 404, POST: 202, PUT: 201 }[method ?? ''] ?? 500
      response.writeHead(status, { location: location.replace('HOST', host) }).end()
    })
    using repository = open(server.host)
    const { digest } = await repository.send(small, never)
    expect(server.asked.at(-1)).toBe(`PUT ${path}${encodeURIComponent(digest)}`)
  })

  it.each([undefined, 'ftp://127.0.0.1/x'])('has to be one (%s)', async (location) => {
    await using server = await serve(({ method }, response) => {
      response.writeHead(method === 'POST' ? 202 : 404, location ? { location } : {}).end()
    })
    using repository = open(server.host)
    await expect(repository.send(small, never)).rejects.toThrow(
      `${server.host} does not tell where to send a blob`,
    )
  })

  it('gets no login of ours when it is elsewhere', async () => {
    const logins: (string | undefined)[] = []
    await using elsewhere = await serve(({ headers }, response) => {
      logins.push(headers.authorization)
      response.writeHead(201).end()
    })
    await using server = await serve(({ method, headers }, response) => {
      if (!headers.authorization) response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
      else
        response.writeHead(method === 'POST' ? 202 : 404, { location: `http://${elsewhere.host}/up` }).end()
    })
    using repository = open(server.host, { username: 'alice', password: 's3cret' })
    await repository.send(small, never)
    expect(logins).toEqual([undefined])
  })
})

describe('an upload that was cut', () => {
  /** A registry that remembers what came before the cut, as the specification wants it; Debian's does not. */
  async function startMemory(cutAt: number) {
    let [received, cuts] = [Buffer.alloc(0), 0]
    const asked: string[] = []
    const server = createServer((request, response) => {
      const { method = '', headers } = request
      asked.push(`${method} ${headers['content-range'] ?? ''}`.trim())
      const range = received.length > 0 ? { range: `0-${received.length - 1}` } : {}
      if (method === 'POST') response.writeHead(202, { location: '/up' }).end()
      else if (method === 'GET') response.writeHead(204, { location: '/up', ...range }).end()
      else if (method === 'PUT')
        response.writeHead(request.url?.endsWith(encodeURIComponent(digestOf(received))) ? 201 : 400).end()
      else if (method !== 'PATCH') response.writeHead(404).end()
      else {
        request.on('data', (chunk: Buffer) => {
          received = Buffer.concat([received, chunk])
          if (received.length >= cutAt && cuts++ === 0) request.socket.destroy()
        })
        request.on('end', () => response.writeHead(202, { location: '/up' }).end())
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      asked,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  it.each([true, false])('goes on where the registry has it (digest known: %s)', async (isKnown) => {
    await using registry = await startMemory(half)
    using repository = open(registry.host)
    const reading: Reading = { offsets: [] }
    const { digest } = await repository.send(blobOf(noise, isKnown, reading), never)
    expect(digest).toBe(digestOf(noise))
    const [, second = 0] = reading.offsets
    // Only a known blob can be read from the middle; of another one all bytes are needed for the digest.
    if (isKnown) {
      expect(second).toBeGreaterThanOrEqual(half)
      expect(registry.asked).toContain(`PATCH ${second}-${noise.length - 1}`)
    } else expect(reading.offsets).toEqual([0, 0])
    expect(registry.asked.filter((line) => /^(POST|GET)/.test(line))).toEqual(['POST', 'GET'])
  })

  it('at its last byte needs no more bytes', async () => {
    await using registry = await startMemory(noise.length)
    using repository = open(registry.host)
    expect(await repository.send(blobOf(noise, true), never)).toMatchObject({ digest: digestOf(noise) })
    expect(registry.asked.filter((line) => line.startsWith('PATCH')).length).toBe(1)
  })
})

describe('nobody at the other end', () => {
  it('is told at once', async () => {
    const server = await serve(() => {})
    await server[Symbol.asyncDispose]()
    using repository = open(server.host)
    await expect(repository.send(blobOf(noise, false), never)).rejects.toThrow(
      `cannot reach ${server.host}: connection refused`,
    )
  })
})
