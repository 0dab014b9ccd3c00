/** Key servers: Debian's sks, and one that misbehaves. */

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { readKey } from 'openpgp'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Event, silent } from '../../src/core/events.ts'
import { parseServer } from '../../src/endpoints/address.ts'
import type { KeyServer } from '../../src/endpoints/keyservers.ts'
import { findOnServers, firstOf } from '../../src/trust/find.ts'
import { pushKey, searchKeys } from '../../src/trust/keyserver.ts'
import { findKeyAt } from '../../src/trust/server-keys.ts'
import { can } from '../helpers/can.ts'
import { type Keyserver, startKeyserver } from '../helpers/keyserver.ts'
import { projectRoot } from '../helpers/sing.ts'

const fixture = (name: string): string =>
  readFileSync(join(projectRoot, 'fixtures/keys/openpgp', name), 'utf8')

const ed25519 = {
  text: fixture('pgp-public-ed25519.asc'),
  fingerprint: 'B7331FDDE5D6CE126F033964C1403783358E25F4',
}
const p256 = { text: fixture('pgp-public-p256.asc'), fingerprint: 'D48508D23B32FD9F22B80B4995F961A7A0DBF013' }
const keyId = ed25519.fingerprint.slice(-16)

const packetsOf = async (...keys: readonly string[]): Promise<Buffer> =>
  Buffer.concat(await Promise.all(keys.map(async (armoredKey) => (await readKey({ armoredKey })).write())))

const options = {
  environment: {},
  report: silent,
  signal: new AbortController().signal,
  patience: { pause: 1, body: 300, answer: 5000 },
}

describe.skipIf(!can('sks'))('a real key server', () => {
  let server: Keyserver
  let url: KeyServer
  beforeAll(async () => {
    const keys = ['revoked', 'expired'].map((name) => fixture(`pgp-public-${name}.asc`))
    server = await startKeyserver(ed25519.text, ...keys)
    url = { url: parseServer(`hkp://${server.host}`) }
  })
  afterAll(() => server?.[Symbol.asyncDispose]())

  it.each([
    ['its fingerprint', ed25519.fingerprint],
    ['its fingerprint in lower case', ed25519.fingerprint.toLowerCase()],
    ['its id', keyId],
    ['the end of its id', keyId.slice(-8)],
  ])('has a key by %s', async (_, id) => {
    const key = await findKeyAt(url, id, options)
    expect(key?.getFingerprint().toUpperCase()).toBe(ed25519.fingerprint)
  })

  it('has no key of another id', async () => {
    expect(await findKeyAt(url, '0000000000000001', options)).toBeUndefined()
  })

  it('lists keys', async () => {
    const found = await searchKeys(url, 'example.org', options)
    expect(found.map(({ isRevoked, users }) => [users[0], isRevoked]).sort()).toEqual([
      ['Ed Tester <ed@example.org>', false],
      ['Exp Tester <exp@example.org>', false],
      ['Rev2 Tester <rev2@example.org>', true],
    ])
    expect(await searchKeys(url, ed25519.fingerprint, options)).toHaveLength(1)
    expect(await searchKeys(url, 'nobody', options)).toEqual([])
  })

  it('takes a key, and says so', async () => {
    expect(await pushKey(url, p256.text, options)).toMatch(/1 key\(s\) added successfully/)
    expect((await findKeyAt(url, p256.fingerprint, options))?.getUserIDs()).toEqual([
      'P256 Tester <p256@example.org>',
    ])
  })

  it('takes nothing that is no key', async () => {
    await expect(pushKey(url, 'hello', options)).rejects.toMatchObject({
      code: 'KEYSERVER',
      message: /answered 500$/,
    })
  })

  it('is asked with all digits of an id', async () => {
    server.proxy.requests.length = 0
    const find = findOnServers(async () => [url], options)
    const id = '0001020304050607'
    expect(await find(id)).toBeUndefined()
    expect(server.proxy.requests.map(({ path }) => path)).toEqual([
      `/pks/lookup?exact=on&op=get&search=0x${id}`,
    ])
  })
})

type Behaviour = (request: IncomingMessage, response: ServerResponse) => void

describe('a key server that misbehaves', () => {
  let server: Server
  let behave: Behaviour
  let asked: string[]
  let url: KeyServer
  beforeEach(async () => {
    asked = []
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'}`)
      request.resume()
      behave(request, response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = { url: parseServer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) }
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  const says =
    (status: number, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Behaviour =>
    (_, response) =>
      void response.writeHead(status, headers).end(body)
  const drips: Behaviour = (_, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('x'), 20)
    response.on('close', () => clearInterval(timer))
  }
  const floods: Behaviour = (_, response) => {
    response.writeHead(200)
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x41))) {}
    }
    response.on('drain', more)
    more()
  }

  const bad: readonly (readonly [string, Behaviour, RegExp])[] = [
    ['with another key', says(200, p256.text), /sends another key for .*: D48508D2/],
    ['with a page', says(200, '<html>Welcome</html>'), /sends something else than a key/],
    ['with nothing', says(200, ''), /sends something else than a key/],
    ['with two texts of keys', says(200, ed25519.text + p256.text), /more than one block/],
    [
      'with two keys',
      (request, response) =>
        void packetsOf(ed25519.text, p256.text).then((bytes) => says(200, bytes)(request, response)),
      /has several keys/,
    ],
    ['with a secret key', says(200, fixture('pgp-private-ed25519.asc')), /sends a secret key/],
    ['with bytes without end', floods, /sends more than 4194304 bytes/],
    [
      'with a length beyond all bounds',
      says(200, 'x', { 'content-length': '10737418240' }),
      /more than 4194304/,
    ],
    ['drop by drop', drips, /is too slow/],
    ['with 500', says(500, 'oh'), /answered 500$/],
    ['with 401', says(401, ''), /does not let us in \(401\)/],
    ['with 403', says(403, ''), /does not let us in \(403\)/],
    [
      'with a redirection to itself',
      (request, response) => says(302, '', { location: request.url ?? '' })(request, response),
      /redirects more than 10 times/,
    ],
    [
      'with a redirection to a file',
      says(302, '', { location: 'file:///etc/passwd' }),
      /which is no web server/,
    ],
    ['by hanging up', (request) => void request.socket.destroy(), /ended the connection/],
  ]

  it.each(bad)('%s is not believed', async (_, behaviour, reason) => {
    behave = behaviour
    await expect(findKeyAt(url, keyId, options)).rejects.toMatchObject({ code: 'KEYSERVER', message: reason })
  })

  it('is not waited for longer than a minute, however steadily it answers', async () => {
    behave = drips
    const patient = { ...options, patience: { body: 60_000 }, deadline: 200 }
    await expect(findKeyAt(url, keyId, patient)).rejects.toMatchObject({
      code: 'KEYSERVER',
      message: /takes more than 1 seconds for its answer/,
    })
  })

  it('is left when somebody gives up', async () => {
    behave = drips
    const controller = new AbortController()
    const found = findKeyAt(url, keyId, { ...options, patience: { body: 60_000 }, signal: controller.signal })
    while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    controller.abort(new Error('enough'))
    await expect(found).rejects.toThrow('enough')
  })

  it('is passed over with a word, and the next one asked', async () => {
    behave = says(200, p256.text)
    const good = createServer((_, response) => void response.end(ed25519.text))
    await new Promise<void>((resolve) => good.listen(0, '127.0.0.1', resolve))
    const nobody: KeyServer = { url: parseServer('http://127.0.0.1:1') }
    const next: KeyServer = { url: parseServer(`http://127.0.0.1:${(good.address() as AddressInfo).port}`) }
    const events: Event[] = []
    const find = findOnServers(async () => [nobody, url, next], {
      ...options,
      report: (event) => events.push(event),
    })
    try {
      expect(await firstOf(async () => undefined, find)(keyId)).toMatchObject({ origin: 'remote' })
    } finally {
      good.closeAllConnections()
      good.close()
    }
    const warnings = events
      .filter(({ kind }) => kind === 'warning')
      .map((event) => 'text' in event && event.text)
    expect(warnings).toEqual([
      expect.stringMatching(/127\.0\.0\.1:1 gives no answer: .*connection refused/),
      expect.stringMatching(/sends another key/),
    ])
  })

  it('does not get the login of another one', async () => {
    const elsewhere = createServer((request, response) => {
      asked.push(`elsewhere ${request.headers.authorization ?? '-'}`)
      response.end(ed25519.text)
    })
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
    const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`
    behave = says(302, '', { location })
    try {
      await findKeyAt({ ...url, authorization: 'Bearer s3cret' }, keyId, options)
    } finally {
      elsewhere.closeAllConnections()
      elsewhere.close()
    }
    expect(asked).toEqual([expect.stringMatching(/^GET .* Bearer s3cret$/), 'elsewhere -'])
  })

  it('does not get a key that it sends elsewhere', async () => {
    behave = says(302, '', { location: 'https://keys.example.org/pks/add' })
    await expect(pushKey(url, p256.text, options)).rejects.toMatchObject({
      message: /sends us to https:\/\/keys\.example\.org/,
      hint: 'Name that server by --url',
    })
    expect(asked).toHaveLength(1)
  })

  it('has an index that ends', async () => {
    behave = says(200, `info:1:1\npub:${ed25519.fingerprint}\n`, { 'x-hkp-next-page-token': 'again' })
    const events: Event[] = []
    const found = await searchKeys(url, 'x', { ...options, report: (event) => events.push(event) })
    expect(found).toHaveLength(8)
    expect(asked[7]).toMatch(/x-pagetoken=again/)
    expect(events).toContainEqual({ kind: 'warning', text: expect.stringMatching(/more keys than these 8/) })
  })

  it.each([
    ['a page', says(200, '<html>Welcome</html>'), /something else than a list/],
    ['bytes without end', floods, /sends more than/],
    ['401', says(401, ''), /does not let us in/],
  ])('has no index when it answers with %s', async (_, behaviour, reason) => {
    behave = behaviour
    await expect(searchKeys(url, 'x', options)).rejects.toMatchObject({ code: 'KEYSERVER', message: reason })
  })

  it('has nothing to say that commands the terminal', async () => {
    behave = says(200, '<style>p {}</style><p>\u001b[31mTaken\u0007</p>')
    expect(await pushKey(url, p256.text, options)).toBe('\\x1b[31mTaken\\x07')
  })
})

describe('a login', () => {
  it('is not sent where everybody could read it', async () => {
    const events: Event[] = []
    const far: KeyServer = { url: parseServer('http://keys.invalid'), authorization: 'Bearer s3cret' }
    const report = (event: Event) => events.push(event)
    const environment = { http_proxy: 'http://127.0.0.1:1' }
    await expect(findKeyAt(far, keyId, { ...options, environment, report })).rejects.toMatchObject({
      code: 'KEYSERVER',
    })
    expect(events).toContainEqual({ kind: 'warning', text: expect.stringMatching(/is not sent: everybody/) })
  })
})
