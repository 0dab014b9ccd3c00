/** `sing key search`, `pull` and `push`, and the servers they ask: Debian's sks, with gpg and Apptainer as other clients. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { generateKey, type PrivateKey, revokeKey } from 'openpgp'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { armored } from '../../src/trust/armored.ts'
import { blockOf } from '../../src/trust/merge.ts'
import { signImage } from '../../src/trust/sign.ts'
import { can, hasProgram } from '../helpers/can.ts'
import { makeCertificate } from '../helpers/certificates.ts'
import { giveKey, type Keyserver, startKeyserver } from '../helpers/keyserver.ts'
import { peer } from '../helpers/peer.ts'
import { type Outcome, projectRoot, type RunOptions, run as runProgram, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { talk } from '../helpers/terminal.ts'

const fixture = (name: string): string =>
  readFileSync(join(projectRoot, 'fixtures/keys/openpgp', name), 'utf8')

const ed = 'B7331FDDE5D6CE126F033964C1403783358E25F4'
const p256 = 'D48508D23B32FD9F22B80B4995F961A7A0DBF013'
const tester = '424D327F6C0016D8057C1516C8D2D6A994F4A643'
const edText = fixture('pgp-public-ed25519.asc')

/** A home of its own, and `sing` in it. */
function newHome() {
  const home = temporaryFolder()
  const run = (line: string, { env, ...more }: RunOptions = {}) =>
    sing(line.split(' '), { env: { HOME: home, ...env }, cwd: home, ...more })
  const keys = async (): Promise<string[]> => {
    const { stdout } = await run('key list --json')
    const listings = JSON.parse(stdout) as { keys: { fingerprint: string }[] }[]
    return listings.flatMap((listing) => listing.keys.map(({ fingerprint }) => fingerprint))
  }
  return { home, run, keys, own: join(home, '.config/sing/remote.yaml') }
}

/** A signed image of the fixtures. */
const unpack = (name: string, folder: string): void => {
  const packed = readFileSync(join(projectRoot, 'fixtures/signed/variants', `${name}.sif.gz`))
  writeFileSync(join(folder, 'image.sif'), gunzipSync(packed))
}

/** One of sixteen keys is like this, whatever they are. */
async function keyWithZeros(): Promise<PrivateKey> {
  for (;;) {
    const { privateKey } = await generateKey({
      userIDs: { name: 'Zero' },
      type: 'ecc',
      curve: 'ed25519Legacy',
      format: 'object',
      // A key that is made now is one of the future for a clock that is a second late.
      date: new Date(Date.now() - 60_000),
    })
    if (privateKey.getKeyID().toHex().startsWith('0')) return privateKey
  }
}

describe.skipIf(!can('sks'))('a key server', () => {
  let server: Keyserver
  let url: string
  beforeAll(async () => {
    const others = ['expired', 'revoked'].map((name) => fixture(`pgp-public-${name}.asc`))
    server = await startKeyserver(edText, ...others)
    url = `hkp://${server.host}`
  })
  afterAll(() => server?.[Symbol.asyncDispose]())
  beforeEach(() => {
    server.proxy.meddle = undefined
    server.proxy.requests.length = 0
  })

  it('is searched as by the peers', async () => {
    const { run } = newHome()
    const { status, stdout } = await run(`key search --url ${url} ed@example.org`)
    expect(stdout).toBe(`Showing 1 results

KEY ID    BITS  NAME/EMAIL
358E25F4  256   Ed Tester <ed@example.org>
`)
    expect(status).toBe(0)
    expect(server.proxy.requests.map(({ path }) => path)).toEqual([
      '/pks/lookup?fingerprint=on&op=index&options=mr&search=ed%40example.org&x-pagesize=256',
    ])
  })

  it('tells all of a key, and what is wrong with it', async () => {
    const { run } = newHome()
    const { stdout } = await run('key search -l Tester', { env: { APPTAINER_URL: url } })
    const [, , head, ...rows] = stdout.split('\n').filter((line, index) => index < 3 || line !== '')
    expect(head?.split(/ {2,}/)).toEqual([
      'FINGERPRINT',
      'ALGORITHM',
      'BITS',
      'CREATION DATE',
      'EXPIRATION DATE',
      'STATUS',
      'NAME/EMAIL',
    ])
    expect(rows.map((row) => [/\[\w+\]/.exec(row)?.[0], /\w+ Tester.*/.exec(row)?.[0]]).sort()).toEqual([
      ['[enabled]', 'Ed Tester <ed@example.org>'],
      ['[expired]', 'Exp Tester <exp@example.org>'],
      ['[revoked]', 'Rev2 Tester <rev2@example.org>'],
    ])
    expect(rows.find((row) => row.startsWith(ed))).toMatch(
      / EdDSA +256 +2026-11-23 06:58:32 \+0000 UTC +\[enabled\]/,
    )
  })

  it('is searched for programs, too', async () => {
    const { run } = newHome()
    const { stdout } = await run(`key search --json -u ${url} ${ed}`)
    expect(JSON.parse(stdout)).toEqual([
      {
        fingerprint: ed,
        algorithm: 'EdDSA',
        bits: 256,
        created: '2026-11-23T06:58:32.000Z',
        status: 'enabled',
        users: ['Ed Tester <ed@example.org>'],
      },
    ])
  })

  it('has keys that are pulled, and known the second time', async () => {
    const { run, keys, home } = newHome()
    const ring = join(home, '.local/share/sing/keys/pgp-public')
    const pulled = await run(`key pull -u ${url} ${ed}`)
    expect(pulled).toMatchObject({
      status: 0,
      stdout: `1 key(s) added to keyring of trust ${ring}\n`,
      stderr: `INFO:    ${ed}  Ed Tester <ed@example.org>\n`,
    })
    expect((await run(`key pull -u ${url} 0x${ed.slice(-16).toLowerCase()}`)).stdout).toBe(
      `0 key(s) added to keyring of trust ${ring}\n`,
    )
    const revoked = await run(`key pull -u ${url} B0A0C5943BD99FD60504AB0C3FE1A9193E71879A`)
    expect(revoked.stderr).toMatch(/WARNING: .*B0A0C594.* is revoked/)
    expect(await keys()).toEqual([ed, 'B0A0C5943BD99FD60504AB0C3FE1A9193E71879A'])
  })

  it('brings a key up to date that was revoked since', async () => {
    const { run, home } = newHome()
    const { privateKey, publicKey, revocationCertificate } = await generateKey({
      userIDs: { name: 'Soon Gone', email: 'gone@example.org' },
      type: 'ecc',
      curve: 'ed25519Legacy',
      format: 'object',
    })
    writeFileSync(join(home, 'gone.asc'), publicKey.armor())
    await run('key import gone.asc')
    const { publicKey: revoked } = await revokeKey({
      key: privateKey,
      revocationCertificate,
      format: 'object',
    })
    await giveKey(server.directHost, armored(blockOf(revoked)))
    const pulled = await run(`key pull -u ${url} ${publicKey.getFingerprint()}`)
    expect(pulled.stdout).toContain('0 key(s) added')
    expect(pulled.stderr).toMatch(/INFO: .*The key [0-9A-F]{40} was brought up to date/)
    expect((await run('key list --json')).stdout).toContain('"revoked"')
  })

  it('takes keys of a ring', async () => {
    const { run } = newHome()
    await run('key import -', { input: fixture('pgp-public-p256.asc') })
    const pushed = await run(`key push -u ${url} ${p256}`)
    expect(pushed).toMatchObject({
      status: 0,
      stdout: `public key \`${p256}' pushed to server successfully\n`,
      stderr: expect.stringMatching(/^INFO: {4}Key server response: .*added successfully\.\n$/),
    })
    const other = newHome()
    await other.run(`key pull -u ${url} ${p256.slice(-8)}`)
    expect(await other.keys()).toEqual([p256])
  })

  it('takes a new key', async () => {
    const { run, keys } = newHome()
    const made = await sing(
      [
        'key',
        'newpair',
        '--type=ed25519',
        '-N',
        'New',
        '-E',
        'new@example.org',
        '-C',
        '',
        '-P',
        '',
        '-U',
        '-u',
        url,
      ],
      { env: { HOME: newHome().home } },
    )
    const [, fingerprint] = /public key `([0-9A-F]{40})' pushed/.exec(made.stdout) ?? []
    expect((await run(`key pull -u ${url} ${fingerprint}`)).status).toBe(0)
    expect(await keys()).toEqual([fingerprint])
  })

  it.each([
    ['key search nobody@example.org', /no matching keys found: http:.* knows nothing of nobody@example\.org/],
    [`key pull ${p256.replace('D', '0')}`, /no matching keys found: .* has no key 04850.*\n.*--url URL/],
    ['key pull ed@example.org', /ed@example\.org is no fingerprint: .*\n.*sing key search ed@example\.org/],
    ['key pull 12345', /12345 is no fingerprint/],
    [`key push ${ed}`, /there is no public key B7331/],
    ['key push A0DBF013', /please provide a keyid \(16 chars\) or a full fingerprint \(40 chars\)/],
  ])('has no answer to %s', async (line, reason) => {
    const { run } = newHome()
    const { status, stderr } = await run(`${line} --url ${url}`)
    expect(stderr).toMatch(reason)
    expect(status).toBe(2)
  })

  it('is nowhere when its address is wrong', async () => {
    const { run } = newHome()
    for (const [bad, reason] of [
      ['keys.example.org', /is no address of a key server/],
      ['http://127.0.0.1:1', /gives no answer: cannot reach 127\.0\.0\.1:1: connection refused/],
    ] as const) {
      const { status, stderr } = await run(`key search --url ${bad} x`)
      expect(stderr).toMatch(reason)
      expect(status).toBe(2)
    }
  })

  it('has the key of a signature that no ring has', async () => {
    const { home, run } = newHome()
    unpack('gpg-ed25519', home)
    expect((await run('verify --local image.sif')).stderr).toContain('the key C1403783358E25F4 is not known')
    const { status, stdout } = await run(`verify --url ${url} image.sif`)
    expect(stdout).toMatch(/\[REMOTE\] +Signing entity: Ed Tester <ed@example\.org>/)
    expect(stdout).toMatch(/\[REMOTE\] +Fingerprint: B7331FDDE5D6CE126F033964C1403783358E25F4/)
    expect(status).toBe(0)
    expect(server.proxy.requests.map(({ path }) => path)).toEqual([
      '/pks/lookup?exact=on&op=get&search=0xc1403783358e25f4',
    ])
    // It was used and not kept.
    expect((await run('verify --local image.sif')).status).toBe(255)
  })

  it('has keys whose ids begin with zeros', async () => {
    const { home, run } = newHome()
    const path = join(home, 'image.sif')
    writeFileSync(path, gunzipSync(readFileSync(join(projectRoot, 'fixtures/sif/tiny.sif.gz'))))
    const key = await keyWithZeros()
    await signImage(path, { key: { kind: 'openpgp', key } })
    give(home)
    await giveKey(server.directHost, armored(blockOf(key.toPublic())))
    const { stdout } = await run(`verify --url ${url} image.sif`)
    expect(stdout).toMatch(/\[REMOTE\] +Signing entity: Zero/)
    expect(server.proxy.requests.map(({ path: asked }) => asked)).toEqual([
      `/pks/lookup?exact=on&op=get&search=0x${key.getKeyID().toHex()}`,
    ])
    expect((await run(`key pull --url ${url} ${key.getKeyID().toHex().slice(-8)}`)).status).toBe(0)
    expect((await run('verify --local image.sif')).status).toBe(0)
  })

  it('is asked after others that have no answer, or another key', async () => {
    await using wrong = await startKeyserver()
    wrong.proxy.meddle = () => ({ status: 200, body: fixture('pgp-public-p256.asc') })
    const { home, run } = newHome()
    unpack('gpg-ed25519', home)
    for (const other of [url, 'http://127.0.0.1:1', `http://${wrong.host}`])
      await run(`keyserver add --order 1 ${other}`)
    await run('keyserver remove https://keys.openpgp.org')
    const { status, stdout, stderr } = await run('verify image.sif')
    expect(stderr).toMatch(/WARNING: .*sends another key for C1403783358E25F4: D48508D2/)
    expect(stderr).toMatch(/WARNING: .*127\.0\.0\.1:1 gives no answer/)
    expect(stdout).toContain('[REMOTE]')
    expect(status).toBe(0)
    await run(`keyserver remove ${url}`)
    expect((await run('verify image.sif')).status).toBe(255)
  })

  it('is not asked when it cannot be known which it is', async () => {
    const { home, run } = newHome()
    unpack('gpg-ed25519', home)
    await run('remote add --no-login --insecure mine http://127.0.0.1:1')
    const { status, stderr } = await run('verify image.sif')
    expect(stderr).toMatch(/WARNING: No key server is asked: the endpoint mine .* gives no answer/)
    expect(stderr).toContain('the key C1403783358E25F4 is not known')
    expect(status).toBe(255)
    expect((await run('verify --url keys.example.org image.sif')).stderr).toContain(
      'is no address of a key server',
    )
  })

  it('is asked with the login that is kept for it, and nobody else is', async () => {
    const { run, own } = newHome()
    const login = `Basic ${Buffer.from('ada:s3cret').toString('base64')}`
    const refused = { status: 401, headers: { 'www-authenticate': 'Basic realm="keys"' } }
    server.proxy.meddle = ({ headers }) => (headers.authorization === login ? undefined : refused)
    expect((await run(`key search -u ${url} Ed`)).stderr).toMatch(
      /does not let us in \(401\)\n.*sing keyserver login http:\/\/127/,
    )
    expect((await run(`keyserver add --order 1 ${url}`)).status).toBe(0)
    const wrong = await run(`keyserver login -u ada --password-stdin ${url}`, { input: 'wrong' })
    expect(wrong.stderr).toMatch(/does not let us in \(401\)/)
    expect(readFileSync(own, 'utf8')).not.toContain('Credentials')
    const right = await run(`keyserver login -u ada --password-stdin ${url}`, { input: 's3cret\n' })
    expect(right).toMatchObject({ status: 0, stderr: `INFO:    Logged in to ${url}; kept in ${own}\n` })
    expect((await run('keyserver list')).stdout).toMatch(/^ +#1 +hkp:\S+ +\+$/m)
    const debug = await run('--debug key search Ed')
    expect(debug.stdout).toContain('Ed Tester')
    expect(debug.stderr).toContain('GET http://')
    expect(debug.stderr).not.toMatch(/s3cret|Basic|YWRh/)
    expect((await run(`key search -u http://${server.host}/ Ed`)).stdout).toContain('Ed Tester')
    server.proxy.requests.length = 0
    await run(`key search -u http://${server.host.replace('127.0.0.1', 'localhost')} Ed`)
    expect(server.proxy.requests.map(({ authorization }) => authorization)).toEqual([undefined])
    expect(await run(`keyserver logout ${url}`)).toMatchObject({
      status: 0,
      stderr: 'INFO:    Logout succeeded\n',
    })
    expect(readFileSync(own, 'utf8')).not.toContain('Credentials')
  })

  it('is asked with a token that is kept for it', async () => {
    const { run } = newHome()
    server.proxy.meddle = ({ headers }) =>
      headers.authorization === 'Bearer a-token' ? undefined : { status: 403 }
    await run(`keyserver add --order 1 ${url}`)
    expect((await run(`keyserver login -p a-token ${url}`)).stderr).toMatch(
      /WARNING: Others can see.*\nINFO: {4}Logged in/,
    )
    expect((await run('key search Ed')).stdout).toContain('Ed Tester')
  })

  it.each([
    ['a name and a password', 'ada', 'Password of ada: ', 'pässword', 'Basic', 'Logged in to'],
    ['a token', '', 'Token: ', 'a-token', 'Bearer', 'Logged in to'],
    ['nothing', '', 'Token: ', '', undefined, 'needs a password or a token'],
    ['no token', '', 'Token: ', 'a token', undefined, 'the token has characters that none has'],
  ])('is logged in to with %s that is asked for', async (_, name, question, secret, scheme, result) => {
    const { run, home } = newHome()
    await run(`keyserver add --order 1 ${url}`)
    const turns = [
      { question: '(none for a token): ', answer: name },
      { question, answer: secret },
    ]
    const { output } = await talk(['keyserver', 'login', url], turns, { env: { HOME: home } })
    expect(output).toContain(result)
    expect(server.proxy.requests.map(({ authorization }) => authorization)).toEqual(scheme ? [scheme] : [])
    expect(output).not.toMatch(/pässword|a-token/)
  })

  it('is no place for the password of an endpoint, nor plain HTTP of another machine', async () => {
    const { run } = newHome()
    expect((await run('keyserver login -p x https://keys.example.org')).stderr).toContain(
      'no such key server',
    )
    await run('keyserver add http://keys.example.org')
    const { status, stderr } = await run('keyserver login --password-stdin http://keys.example.org', {
      input: 'x',
    })
    expect(stderr).toContain('is not sent a login: everybody on the way could read it')
    expect(status).toBe(255)
    await run('keyserver add https://keys.openpgp.org')
    expect((await run('keyserver login -p x https://keys.openpgp.org')).stderr).toContain(
      'it belongs to the endpoint',
    )
  })

  describe.skipIf(!hasProgram('gpg') || !hasProgram('dirmngr'))('with gpg', () => {
    const withGpg = async (use: (gpg: (line: string) => Promise<Outcome>) => Promise<void>) => {
      const folder = temporaryFolder()
      mkdirSync(join(folder, 'gnupg'), { mode: 0o700 })
      give(folder)
      const env = { HOME: folder, GNUPGHOME: join(folder, 'gnupg') }
      const gpg = (line: string) =>
        runProgram(['gpg', '--batch', '--keyserver', url, ...line.split(' ')], { env })
      try {
        await use(gpg)
      } finally {
        await runProgram(['gpgconf', '--kill', 'all'], { env })
      }
    }

    it('exchanges keys in both directions', async () => {
      await withGpg(async (gpg) => {
        const { run } = newHome()
        await run('key import -', { input: fixture('pgp-public.asc') })
        expect((await run(`key push -u ${url} ${tester}`)).status).toBe(0)
        expect((await gpg(`--recv-keys ${tester}`)).stderr).toMatch(/imported: 1/)
        await gpg('--passphrase= --quick-gen-key gpg@example.org ed25519 sign never')
        const { stdout } = await gpg('--with-colons --list-keys gpg@example.org')
        const [, made = ''] = /^fpr:+([0-9A-F]{40}):/m.exec(stdout) ?? []
        expect((await gpg(`--send-keys ${made}`)).status).toBe(0)
        const other = newHome()
        expect((await other.run(`key search -u ${url} gpg@example.org`)).stdout).toContain(made.slice(-8))
        await other.run(`key pull -u ${url} ${made}`)
        expect(await other.keys()).toEqual([made])
      })
    })
  })

  describe.skipIf(!can('peer'))('with Apptainer', () => {
    /** A folder that Apptainer takes for its own. */
    const withPeer = () => {
      const folder = temporaryFolder()
      // Its user is another one than that of the tests.
      return async (line: string) =>
        peer(line.split(' '), { root: true, folders: [folder], env: { APPTAINER_CONFIGDIR: folder } })
    }

    it('exchanges keys in both directions', async () => {
      const apptainer = withPeer()
      const { run } = newHome()
      const web = `http://${server.host}`
      const made = await sing(
        [
          'key',
          'newpair',
          '--type=ed25519',
          '-N',
          'Peer',
          '-E',
          'peer@example.org',
          '-C',
          'c',
          '-P',
          '',
          '-U',
          '-u',
          url,
        ],
        { env: { HOME: newHome().home } },
      )
      const [, fingerprint = ''] = /public key `([0-9A-F]{40})' pushed/.exec(made.stdout) ?? []
      expect((await apptainer(`key search --url ${web} peer@example.org`)).stdout).toContain(
        `${fingerprint.slice(-8)}  256   Peer (c) <peer@example.org>`,
      )
      expect((await apptainer(`key pull --url ${web} ${fingerprint}`)).stdout).toContain('1 key(s) added')
      expect((await apptainer(`key push --url ${web} ${fingerprint}`)).stdout).toContain(
        'pushed to server successfully',
      )
      expect((await run(`key pull -u ${web} ${fingerprint}`)).status).toBe(0)
    })

    it('reads what we write about endpoints', async () => {
      const folder = temporaryFolder()
      const file = join(folder, 'remote.yaml')
      const { run } = newHome()
      await run(`keyserver add --config ${file} --order 1 --insecure http://${server.host}`)
      await run(`remote add --config ${file} --no-login mine mine.example/below`)
      const { stdout, status } = await peer(['remote', '--config', file, 'list'], {
        root: true,
        folders: [folder],
        env: { APPTAINER_CONFIGDIR: folder },
      })
      expect(stdout).toMatch(/^mine +mine\.example\/below +✓ +✓$/m)
      expect(status).toBe(0)
    })
  })
})

describe.skipIf(!hasProgram('openssl'))('a key server with a certificate that nobody knows', () => {
  it('is asked by who believes it, and only there', async () => {
    const folder = temporaryFolder()
    const { certificate, key, authority } = await makeCertificate(folder)
    give(folder)
    const server = createServer(
      { cert: readFileSync(certificate), key: readFileSync(key) },
      (_, response) => void response.end(edText),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `hkps://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const { run, keys } = newHome()
      expect((await run(`key pull -u ${url} ${ed}`)).stderr).toMatch(
        /certificate comes from an unknown authority/,
      )
      const trusting = newHome()
      expect(
        (await trusting.run(`key pull -u ${url} ${ed}`, { env: { SSL_CERT_FILE: authority } })).status,
      ).toBe(0)
      await run(`keyserver add --insecure --order 1 ${url}`)
      expect((await run('keyserver list')).stdout).toContain(`#1  ${url}\n`)
      expect((await run(`key pull ${ed}`)).status).toBe(0)
      expect(await keys()).toEqual([ed])
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})
