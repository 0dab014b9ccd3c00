import { execFileSync } from 'node:child_process'
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { certifiedKey } from '../../src/trust/certificate.ts'
import { keyIdOf } from '../../src/trust/dsse.ts'
import { readPrivateKey } from '../../src/trust/pem.ts'
import { can } from '../helpers/can.ts'
import {
  authority,
  type Made,
  type MakeOptions,
  makeCertificate,
  type Responder,
  reserveResponder,
  signer,
  startResponder,
} from '../helpers/chains.ts'

const { signal } = new AbortController()
let folder = ''
let root: Made
let middle: Made
let count = 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-certificates-'))
  if (!can('openssl')) return
  root = makeCertificate(folder, 'root', { extensions: authority() })
  middle = makeCertificate(folder, 'middle', { issuer: root, extensions: authority(0) })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function make(options: Partial<MakeOptions> = {}): Made {
  count += 1
  return makeCertificate(folder, `made-${count}`, { issuer: middle, extensions: signer, ...options })
}

const believe = (leaf: Made | string, more: Partial<Parameters<typeof certifiedKey>[0]> = {}) =>
  certifiedKey({
    certificate: typeof leaf === 'string' ? leaf : leaf.certificate,
    intermediates: middle.certificate,
    roots: root.certificate,
    environment: {},
    signal,
    ...more,
  })

const day = 86_400_000

describe.skipIf(!can('openssl'))('a certificate', () => {
  it('gives its key when its chain leads to a root', async () => {
    const leaf = make()
    const found = await believe(leaf)
    const key = await readPrivateKey(leaf.key, { ask: async () => '', report: () => {} })
    expect(found).toMatchObject({ kind: 'pem', certificate: `O=Example, CN=${leaf.name}` })
    expect(keyIdOf(found.key)).toBe(keyIdOf(key))
  })

  it.each([
    ['RSA', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']],
    ['P-384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['P-521', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521']],
    ['Ed25519', ['-algorithm', 'ED25519']],
  ])('may be for a key of %s', async (_, keyType) => {
    await expect(believe(make({ keyType }))).resolves.toMatchObject({ kind: 'pem' })
  })

  it('may come with those between behind it', async () => {
    const leaf = make()
    appendFileSync(leaf.certificate, readFileSync(middle.certificate))
    await expect(believe(leaf, { intermediates: undefined })).resolves.toBeDefined()
  })

  it('may be one of the roots itself', async () => {
    const leaf = make()
    await expect(believe(leaf, { roots: leaf.certificate })).resolves.toBeDefined()
  })

  it('is believed when the system trusts its root', async () => {
    const environment = { SSL_CERT_FILE: root.certificate }
    await expect(believe(make(), { roots: undefined, environment })).resolves.toBeDefined()
    const others = { SSL_CERT_FILE: make({ extensions: authority() }).certificate }
    await expect(believe(make(), { roots: undefined, environment: others })).rejects.toMatchObject({
      code: 'KEY',
    })
  })

  it('finds its way among authorities of one name', async () => {
    const other = makeCertificate(mkdtempSync(join(folder, 'other-')), 'middle', { extensions: authority() })
    const pool = join(folder, 'pool.pem')
    writeFileSync(pool, readFileSync(other.certificate, 'utf8') + readFileSync(middle.certificate, 'utf8'))
    await expect(believe(make(), { intermediates: pool })).resolves.toBeDefined()
  })
})

const constrained = (critical: string) => {
  const names = [`nameConstraints=${critical}permitted;dirName:names`, '[names]', 'O=Other']
  return believe(make({ issuer: issuerWith([...authority(), ...names]) }), issued())
}

const refused: readonly (readonly [string, () => Promise<unknown>, RegExp])[] = [
  [
    'for another purpose',
    () => believe(make({ extensions: ['extendedKeyUsage=serverAuth'] })),
    /not for signing code/,
  ],
  [
    'for no purpose',
    () => believe(make({ extensions: ['basicConstraints=CA:FALSE'] })),
    /not for signing code/,
  ],
  [
    'whose key signs nothing',
    () => believe(make({ extensions: ['keyUsage=keyAgreement', 'extendedKeyUsage=codeSigning'] })),
    /not for signatures/,
  ],
  ['that is over', () => believe(make(), { now: Date.now() + 31 * day }), /was valid until/],
  ['that is not valid yet', () => believe(make(), { now: Date.now() - day }), /is not valid before/],
  [
    'without those between',
    () => believe(make(), { intermediates: undefined }),
    /"O=Example, CN=middle" is not among them/,
  ],
  [
    'of an unknown root',
    () => believe(make(), { roots: make({ extensions: authority() }).certificate }),
    /CN=root" is not among them/,
  ],
  ['that was signed with SHA-1', () => believe(make({ digest: 'sha1' })), /algorithm that is not accepted/],
  [
    'for a weak key',
    () => believe(make({ keyType: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'] })),
    /RSA with 1024 bits is too weak/,
  ],
  [
    'by who is no authority',
    () => believe(make({ issuer: issuerWith(signer) }), issued()),
    /is no authority/,
  ],
  [
    'by who may not sign certificates',
    () =>
      believe(
        make({ issuer: issuerWith(['basicConstraints=CA:TRUE', 'keyUsage=digitalSignature']) }),
        issued(),
      ),
    /may not sign certificates/,
  ],
  [
    'by an authority for something else',
    () => believe(make({ issuer: issuerWith([...authority(), 'extendedKeyUsage=serverAuth']) }), issued()),
    /is not for signing code \(extended key usage\)/,
  ],
  ['below more authorities than its root allows', deepChain, /may have 0 authorities below it, and has 1/],
  [
    'with what nobody here knows',
    () => believe(make({ extensions: [...signer, '1.2.3.4=critical,ASN1:NULL'] })),
    /have to be understood, and are not: 1\.2\.3\.4/,
  ],
  ['by an authority that constrains names', () => constrained('critical,'), /are not: 2\.5\.29\.30/],
  ['by one that does it in passing', () => constrained(''), /are not: 2\.5\.29\.30/],
  ['whose signature was made by another of that name', forged, /did not sign it/],
  ['that is damaged', () => believe(damaged()), /it is damaged/],
  [
    'that is missing',
    () => believe('/nowhere.pem'),
    /cannot read the certificate \/nowhere.pem: no such file/,
  ],
  ['that is none', () => believe(middle.key), /has no certificate in PEM/],
]

let lastIssuer: Made
function issuerWith(extensions: readonly string[]): Made {
  lastIssuer = make({ issuer: root, extensions })
  return lastIssuer
}
const issued = () => ({ intermediates: lastIssuer.certificate })

function deepChain(): Promise<unknown> {
  const low = make({ issuer: middle, extensions: authority() })
  const leaf = make({ issuer: low })
  appendFileSync(leaf.certificate, readFileSync(low.certificate))
  return believe(leaf)
}

function forged(): Promise<unknown> {
  const other = makeCertificate(mkdtempSync(join(folder, 'other-')), 'middle', { extensions: authority() })
  return believe(make({ issuer: other }))
}

function damaged(): string {
  const path = join(folder, 'damaged.pem')
  const der = Buffer.from(readFileSync(middle.certificate, 'utf8').replace(/-----.*/g, ''), 'base64')
  der[4] = 0x80
  writeFileSync(path, `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`)
  return path
}

describe.skipIf(!can('openssl'))('no certificate is believed', () => {
  it.each(refused)('%s', async (_, act, message) => {
    await expect(act()).rejects.toMatchObject({ code: 'KEY', message })
  })
})

describe.skipIf(!can('openssl'))('an issuer that is asked', () => {
  const running: Responder[] = []
  afterEach(async () => {
    for (const responder of running.splice(0)) await responder.stop()
  })

  /** A certificate below the root that names a server, which answers for it. */
  async function asked(
    index: Readonly<Record<number, 'V' | 'R'>>,
    { by = root, args = [] }: { by?: Made; args?: readonly string[] } = {},
  ): Promise<Made> {
    const { port, address } = await reserveResponder()
    const leaf = make({
      issuer: root,
      serial: 77,
      extensions: [...signer, `authorityInfoAccess=OCSP;URI:${address}`],
    })
    running.push(await startResponder(folder, port, { issuer: root, by, index, args }))
    return leaf
  }
  const ask = (leaf: Made) => believe(leaf, { asksIssuers: true })
  const delegate = (extensions: readonly string[], issuer = root) => make({ issuer, extensions })

  it('says that it is good', async () => {
    await expect(ask(await asked({ 77: 'V' }))).resolves.toBeDefined()
  })

  it('may have somebody else answer', async () => {
    const by = delegate(['basicConstraints=CA:FALSE', 'extendedKeyUsage=OCSPSigning'])
    await expect(ask(await asked({ 77: 'V' }, { by }))).resolves.toBeDefined()
  })

  it.each([
    ['says that it was revoked', () => asked({ 77: 'R' }), /was revoked on 2026-01-01T00:00:00.000Z/],
    ['does not know it', () => asked({ 78: 'V' }), /does not know it/],
    ['is not who answers', () => asked({ 77: 'V' }, { by: delegate(signer) }), /is not signed by its issuer/],
    [
      'is another than the one of who answers',
      () => asked({ 77: 'V' }, { by: delegate(['extendedKeyUsage=OCSPSigning'], middle) }),
      /is not signed by its issuer/,
    ],
    ['signs with SHA-1', () => asked({ 77: 'V' }, { args: ['-rmd', 'sha1'] }), /is not signed by its issuer/],
    ['was not named', async () => make({ issuer: root }), /it names no server of OCSP/],
  ])('%s', async (_, prepare, message) => {
    await expect(ask(await prepare())).rejects.toMatchObject({ code: 'KEY', message })
  })

  it('does not answer when nobody is there', async () => {
    const leaf = await asked({ 77: 'V' })
    for (const responder of running.splice(0)) await responder.stop()
    await expect(ask(leaf)).rejects.toMatchObject({
      code: 'KEY',
      message: /cannot tell whether the certificate of ".*" was revoked: /,
    })
  })

  it('is asked about those between, too', async () => {
    const leaf = make()
    await expect(believe(leaf, { asksIssuers: true })).rejects.toMatchObject({
      message: /names no server of OCSP/,
    })
  })
})

describe.skipIf(!can('openssl'))('a server that answers for an issuer', () => {
  let server: Server
  let answer: (body: Buffer) => { status?: number; body: Uint8Array }
  let leaf: Made
  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { status = 200, body } = answer(Buffer.concat(chunks))
        response.writeHead(status).end(body)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    leaf = make({
      issuer: root,
      serial: 78,
      extensions: [...signer, `authorityInfoAccess=OCSP;URI:http://127.0.0.1:${port}/`],
    })
  })
  afterAll(() => server.close())

  /** What openssl answers to a question that was sent. */
  function respond(question: Buffer, args: readonly string[] = []): Buffer {
    const [request, response, index] = ['question', 'answer', 'index'].map((name) => join(folder, name))
    writeFileSync(request as string, question)
    writeFileSync(index as string, 'V\t350101000000Z\t\t4E\tunknown\t/CN=any\n')
    const files = ['-reqin', request, '-respout', response, '-index', index] as string[]
    const by = ['-CA', root.certificate, '-rsigner', root.certificate, '-rkey', root.key]
    execFileSync('openssl', ['ocsp', ...files, ...by, ...args], { stdio: 'ignore' })
    return readFileSync(response as string)
  }
  const ask = (now = Date.now()) => believe(leaf, { asksIssuers: true, now })

  it('is believed when all is well', async () => {
    answer = (body) => ({ body: respond(body) })
    await expect(ask()).resolves.toBeDefined()
  })

  it('may send an old answer as long as that holds', async () => {
    answer = (body) => ({ body: respond(body, ['-ndays', '2']) })
    await expect(ask(Date.now() + day)).resolves.toBeDefined()
    await expect(ask(Date.now() + 3 * day)).rejects.toMatchObject({ message: /is not of this time/ })
  })

  it('cannot send the answer to another question', async () => {
    let first: Buffer | undefined
    answer = (body) => {
      first ??= respond(body)
      return { body: first }
    }
    await expect(ask()).resolves.toBeDefined()
    await expect(ask()).rejects.toMatchObject({ message: /answers another question/ })
  })

  it.each([50, 70, 90, 110, 130, 150])('cannot change a byte of an answer: %i', async (at) => {
    answer = (body) => {
      const bytes = respond(body)
      bytes[at] = (bytes[at] as number) ^ 1
      return { body: bytes }
    }
    await expect(ask()).rejects.toMatchObject({ code: 'KEY' })
  })

  it.each([
    ['an error', () => ({ status: 500, body: Buffer.alloc(0) }), /answered 500/],
    ['nothing', () => ({ body: Buffer.alloc(0) }), /cannot be read/],
    ['anything', () => ({ body: Buffer.from('<html>') }), /cannot be read/],
    ['that it is busy', () => ({ body: Buffer.from('30030a0103', 'hex') }), /it asks to try later/],
    ['without end', () => ({ body: Buffer.alloc(1 << 20) }), /cannot tell/],
  ])('is not believed when it sends %s', async (_, send, message) => {
    answer = send
    await expect(ask()).rejects.toMatchObject({ code: 'KEY', message })
  })
})

it.skipIf(!can('openssl'))('a certificate is read from a copy by another name', async () => {
  const copy = join(folder, 'a b.pem')
  copyFileSync(make().certificate, copy)
  await expect(believe(copy)).resolves.toBeDefined()
})
