/** What is told to whom: logins, token servers, mirrors. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { Authorizer } from '../../src/oci/auth.ts'
import type { Login } from '../../src/oci/logins.ts'
import { parseReference, type RegistryReference } from '../../src/oci/reference.ts'
import { openRegistry, type RegistryOptions } from '../../src/oci/registry.ts'
import { HttpClient } from '../../src/store/http.ts'
import { bad, startBadRegistry } from '../helpers/bad-registry.ts'
import { writeLayout } from '../helpers/oci.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const { signal } = new AbortController()
const layout = writeLayout(join(temporaryFolder(), 'layout'), {
  one: { layers: [[{ path: 'a', data: 'a' }]] },
})

const password: Login = { kind: 'password', username: 'alice', password: 's3cret' }

/** The header that a registry at `base` gets after it asked by `challenge`. */
async function headerFor(
  base: string,
  challenge: string,
  allowPlain = false,
  login = password,
): Promise<string | undefined> {
  await using server = await startBadRegistry(layout, bad.refuses(challenge))
  using client = new HttpClient({ environment: {} })
  const find = async () => ({ login, from: 'a file' })
  const authorizer = new Authorizer({ client, registry: 'registry.example', find, allowPlain })
  const response = await client.request(`http://${server.host}/v2/a/manifests/one`, { signal })
  await response.discard()
  authorizer.learn(response, [])
  return authorizer.header(new URL(base), [], signal)
}

describe('a password', () => {
  const basic = `Basic ${Buffer.from('alice:s3cret').toString('base64')}`

  it.each(['https://registry.example', 'http://127.0.0.1:5000', 'http://localhost', 'http://[::1]:5000'])(
    'is told to %s',
    async (base) => {
      expect(await headerFor(base, 'Basic realm="x"')).toBe(basic)
    },
  )

  it('is not sent in the clear over a network, unless that is wanted', async () => {
    await expect(headerFor('http://10.0.0.1:5000', 'Basic realm="x"')).rejects.toMatchObject({
      message: 'the login for 10.0.0.1:5000 would travel unencrypted',
      hint: 'If that is acceptable: --no-https',
    })
    expect(await headerFor('http://10.0.0.1:5000', 'Basic realm="x"', true)).toBe(basic)
  })
})

describe('a token of a file', () => {
  const headerAt = (base: string) =>
    headerFor(base, 'Bearer realm="https://tokens.example/t"', false, { kind: 'bearer', token: 't' })

  it('is told to the registry, and not in the clear over a network', async () => {
    expect(await headerAt('https://registry.example')).toBe('Bearer t')
    await expect(headerAt('http://10.0.0.1:5000')).rejects.toMatchObject({
      message: 'the login for 10.0.0.1:5000 would travel unencrypted',
    })
  })
})

describe('a token server', () => {
  const cases: [realm: string, base: string, reason: string][] = [
    ['http://tokens.example/t', 'https://registry.example', 'it does not use HTTPS'],
    [
      'https://10.0.0.1/t',
      'https://registry.example',
      'a registry elsewhere has no token server in this network',
    ],
    [
      'https://127.0.0.1/t',
      'https://registry.example',
      'a registry elsewhere has no token server in this network',
    ],
    [
      'https://[::1]/t',
      'https://registry.example',
      'a registry elsewhere has no token server in this network',
    ],
    [
      'https://169.254.169.254/t',
      'https://registry.example',
      'a registry elsewhere has no token server in this network',
    ],
    [
      'https://localhost/t',
      'https://registry.example',
      'a registry elsewhere has no token server in this network',
    ],
    [
      'https://[::ffff:7f00:1]/t',
      'https://registry.example',
      'a registry elsewhere has no token server in this network',
    ],
    ['/t', 'https://registry.example', 'this is no address of a web server'],
  ]
  it.each(cases)('%s is not asked for %s', async (realm, base, reason) => {
    const asked = headerFor(base, `Bearer realm="${realm}"`)
    await expect(asked).rejects.toMatchObject({
      message: `registry.example names the token server ${realm}: ${reason}`,
    })
  })
})

describe('a mirror', () => {
  const open = async (registry: string, mirror: string, given: Partial<RegistryOptions> = {}) => {
    const file = join(temporaryFolder(), 'registries.conf')
    writeFileSync(
      file,
      `[[registry]]\nlocation = "${registry}"\n[[registry.mirror]]\nlocation = "${mirror}/copies"\n`,
    )
    const reference = parseReference(`docker://${registry}/app:one`) as RegistryReference
    const environment = { CONTAINERS_REGISTRIES_CONF: file }
    return openRegistry(reference, { environment, report: () => {}, noHttps: true, ...given })
  }

  it('is asked instead of the registry, under its own path', async () => {
    await using registry = await startBadRegistry(layout)
    await using mirror = await startBadRegistry(layout)
    await using source = await open(registry.host, mirror.host)
    const found = await source.resolve(signal)
    await source.document(found, 1 << 20, signal)
    expect(source.name).toBe(`docker://${registry.host}/app:one`)
    expect(registry.requests).toEqual([])
    expect(mirror.requests.map(({ path }) => path)).toEqual([
      '/v2/copies/app/manifests/one',
      `/v2/copies/app/manifests/${layout.digests.one}`,
    ])
  })

  it('that does not answer is left for the registry', async () => {
    await using registry = await startBadRegistry(layout)
    const events: Event[] = []
    await using source = await open(registry.host, '127.0.0.1:1', { report: (event) => events.push(event) })
    expect((await source.resolve(signal)).digest).toBe(layout.digests.one)
    expect(events.filter(({ kind }) => kind !== 'debug')).toMatchObject([
      { kind: 'info', text: `cannot reach 127.0.0.1:1: connection refused; asking ${registry.host}` },
    ])
  })

  it('does not get the login of the registry', async () => {
    await using registry = await startBadRegistry(layout)
    await using mirror = await startBadRegistry(layout, bad.refuses('Basic realm="x"'))
    await using source = await open(registry.host, mirror.host, { username: 'alice', password: 's3cret' })
    expect((await source.resolve(signal)).digest).toBe(layout.digests.one)
    expect(mirror.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
  })

  it('is not guessed from a file that cannot be read', async () => {
    const file = join(temporaryFolder(), 'registries.conf')
    writeFileSync(file, '[[registry]\n')
    const reference = parseReference('docker://a.example/app') as RegistryReference
    const options = { environment: { CONTAINERS_REGISTRIES_CONF: file }, report: () => {}, noHttps: false }
    await expect(openRegistry(reference, options)).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringContaining(`cannot read ${file}: `),
    })
  })
})

describe('a login', () => {
  const read = async (given: Partial<RegistryOptions>) => {
    await using registry = await startBadRegistry(layout, (answer) =>
      answer.request.authorization ? false : bad.refuses('Basic realm="x"')(answer),
    )
    const reference = parseReference(`docker://${registry.host}/app:one`) as RegistryReference
    const options = { environment: {}, report: () => {}, noHttps: true, ...given }
    await using source = await openRegistry(reference, options)
    await source.resolve(signal)
    return { host: registry.host, told: registry.requests.at(-1)?.authorization }
  }
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

  it('that is asked for is told to the registry that asks', async () => {
    const asked: string[] = []
    const ask = async (registry: string) => {
      asked.push(registry)
      return { username: 'bob', password: 'b' }
    }
    const { host, told } = await read({ ask })
    expect(told).toBe(basic('bob:b'))
    expect(asked).toEqual([host])
  })

  it('without one of its halves is refused', async () => {
    await expect(read({ username: 'bob' })).rejects.toMatchObject({
      message: 'a user for the registry is given without a password',
    })
    await expect(read({ password: 'b' })).rejects.toMatchObject({
      message: 'a password for the registry is given without a user name',
    })
  })

  it('cannot come from a file that is not there', async () => {
    await expect(read({ authFile: '/nowhere/auth.json' })).rejects.toMatchObject({
      message: 'cannot read the logins in /nowhere/auth.json: no such file or directory',
    })
  })
})
