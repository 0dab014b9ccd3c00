/** What we sign is verified by a real Apptainer, and what it signs by us. */

import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey } from 'openpgp'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { authority, makeCertificate, signer as signerExtensions } from '../helpers/chains.ts'
import { besidePeer, peer } from '../helpers/peer.ts'
import type { Outcome } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { keyFile } from './keys.ts'
import { newSigner, openToAll, pemFile, type Signer, signaturesIn } from './signing.ts'

/** A home that both may write to, and a ring of the peer in it with the public keys of ours. */
async function share(...keys: readonly string[]) {
  const signer = await newSigner(...keys)
  chmodSync(signer.home, 0o777)
  // What is written into the home is given to the user of ours.
  const rings = temporaryFolder()
  chmodSync(rings, 0o777)
  const ring = join(rings, 'ring')
  const folders = [signer.home, rings, join(import.meta.dirname, '../../fixtures')]
  const theirs = (args: readonly string[], input?: string): Promise<Outcome> =>
    peer(args, {
      folders,
      cwd: signer.home,
      env: { APPTAINER_KEYSDIR: ring },
      ...(input !== undefined && { input }),
    })
  await besidePeer(['mkdir', '-m', '700', ring], { folders })
  for (const name of keys)
    expect(await theirs(['key', 'import', keyFile(name)], '\n')).toMatchObject({ status: 0 })
  return { ...signer, theirs }
}

const image = ({ image: make }: Signer, name = 'a.sif'): string => openToAll(make(name))

type KeyOptions = {
  readonly type: 'rsa' | 'ecc'
  readonly rsaBits?: number
  readonly curve?: 'ed25519Legacy' | 'nistP256' | 'nistP384' | 'nistP521'
  readonly subkeys?: { sign: true }[]
}
type OwnKey = { readonly armored: string; readonly password: string }

/** A key that is made for the test, so that each kind and size is there. */
async function made(options: KeyOptions, password: string): Promise<OwnKey> {
  const { privateKey } = await generateKey({
    ...options,
    userIDs: user,
    passphrase: password,
    format: 'armored',
  })
  return { armored: privateKey, password }
}

const user = { name: 'Kind', email: 'kind@example.org' }
const kinds: readonly (readonly [string, KeyOptions])[] = [
  ['RSA with 2048 bits', { type: 'rsa', rsaBits: 2048 }],
  ['RSA with 3072 bits', { type: 'rsa', rsaBits: 3072 }],
  ['RSA with 4096 bits', { type: 'rsa', rsaBits: 4096 }],
  ['Ed25519', { type: 'ecc', curve: 'ed25519Legacy' }],
  ['P-256', { type: 'ecc', curve: 'nistP256' }],
  ['P-384', { type: 'ecc', curve: 'nistP384' }],
  ['P-521', { type: 'ecc', curve: 'nistP521' }],
  ['a subkey for signing', { type: 'rsa', rsaBits: 2048, subkeys: [{ sign: true }] }],
]

describe.skipIf(!can('peer', 'root'))('Apptainer verifies what we sign', () => {
  it.each(kinds)('with a key of %s', async (_, options) => {
    const shared = await share()
    const { armored, password } = await made(options, 'fortune')
    const secret = shared.write('secret.asc', armored)
    expect(await shared.key(['import', secret])).toMatchObject({ status: 0 })
    await shared.key(['export', '--armor', 'public.asc', '0'])
    chmodSync(join(shared.home, 'public.asc'), 0o644)
    expect(await shared.theirs(['key', 'import', join(shared.home, 'public.asc')])).toMatchObject({
      status: 0,
    })
    const path = image(shared)
    expect(await shared.sign([path], { input: `${password}\n` })).toMatchObject({ status: 0 })
    expect(await shared.theirs(['verify', '--local', path])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        /Signing entity: Kind <kind@example.org>[\s\S]*\n3 {3}\|1 {7}\|NONE {4}\|FS/,
      ),
    })
    expect(await shared.sing(['verify', '--local', path])).toMatchObject({ status: 0 })
  })

  it.each([
    ['rsa-private.pkcs1.pem', 'rsa-public.pem'],
    ['ecdsa-private.sec1.pem', 'ecdsa-public.pem'],
    ['ed25519-private.pem', 'ed25519-public.pem'],
  ])('with a key in PEM: %s', async (own, theirs) => {
    const shared = await share()
    const path = image(shared)
    await shared.sign(['--key', shared.pem(own), path])
    expect(await shared.theirs(['verify', '--key', pemFile(theirs), path])).toMatchObject({ status: 0 })
    expect(await shared.sing(['verify', '--key', pemFile(theirs), path])).toMatchObject({ status: 0 })
  })

  it.skipIf(!can('openssl'))('with the key of a certificate', async () => {
    const shared = await share()
    const folder = join(shared.home, 'certificates')
    mkdirSync(folder)
    const root = makeCertificate(folder, 'root', { extensions: authority() })
    const middle = makeCertificate(folder, 'middle', { issuer: root, extensions: authority() })
    const leaf = makeCertificate(folder, 'leaf', { issuer: middle, extensions: signerExtensions })
    chmodSync(leaf.key, 0o600)
    const path = image(shared)
    shared.write('done', '')
    expect(await shared.sign(['--key', leaf.key, path])).toMatchObject({ status: 0 })
    const flags = ['--certificate', leaf.certificate, '--certificate-intermediates', middle.certificate]
    const verify = ['verify', ...flags, '--certificate-roots', root.certificate, path]
    expect(await shared.theirs(verify)).toMatchObject({ status: 0 })
    expect(await shared.sing(verify)).toMatchObject({ status: 0 })
    expect(await shared.sing(['verify', ...flags, path])).toMatchObject({ status: 255 })
  })

  it('by two signers, in two groups, and a single object', async () => {
    const shared = await share('pgp-private-nopass.asc', 'pgp-private-ed25519.asc')
    const path = image(shared)
    const more = shared.write('more', 'x')
    openToAll(path)
    await shared.sing(['sif', 'add', '--datatype', '7', '--groupid', '2', path, more])
    await shared.sign(['-k', '0', '-i', '3', path])
    expect(await shared.theirs(['verify', '--local', path])).toMatchObject({ status: 255 })
    expect(await shared.theirs(['verify', '--local', '--sif-id', '3', path])).toMatchObject({ status: 0 })
    const both = image(shared, 'both.sif')
    await shared.sing(['sif', 'add', '--datatype', '7', '--groupid', '2', both, more])
    await shared.sign(['-k', '0', both])
    await shared.sign(['-k', '1', both])
    expect(await signaturesIn(both)).toHaveLength(4)
    const { status, stdout } = await shared.theirs(['verify', '--local', both])
    expect(status).toBe(0)
    expect(stdout).toMatch(/Nopass Tester[\s\S]*Ed Tester/)
    expect((await shared.sing(['verify', '--local', both])).stdout).toBe(stdout)
  })

  it('beside what it signed, and the other way round', async () => {
    const shared = await share('pgp-private-nopass.asc')
    const path = image(shared)
    expect(await shared.theirs(['sign', path])).toMatchObject({ status: 0 })
    expect(await shared.sing(['verify', '--local', path])).toMatchObject({ status: 0 })
    await shared.sign([path])
    expect(await shared.theirs(['sign', path])).toMatchObject({ status: 0 })
    await shared.sign(['-g', '1', path])
    expect(await signaturesIn(path)).toHaveLength(4)
    const verdicts = [
      await shared.theirs(['verify', '--local', path]),
      await shared.sing(['verify', '--local', path]),
    ]
    expect(verdicts.map(({ status }) => status)).toEqual([0, 0])
    expect(verdicts[1]?.stdout).toBe(verdicts[0]?.stdout)
  })
})

describe.skipIf(!can('peer', 'root'))('the same image, signed by both', () => {
  let places: { ours: readonly unknown[]; theirs: readonly unknown[] }
  beforeAll(async () => {
    const shared = await share('pgp-private-nopass.asc')
    const [ours, theirs] = [image(shared, 'ours.sif'), image(shared, 'theirs.sif')]
    await shared.sign([ours])
    await shared.theirs(['sign', theirs])
    const describe = async (path: string) => {
      const [header, info] = [
        await shared.theirs(['sif', 'header', path]),
        await shared.theirs(['sif', 'info', '4', path]),
      ]
      // Times and lengths of signatures differ.
      return `${header.stdout}${info.stdout}`
        .split('\n')
        .filter((line) => !/Created|Modified|Size/.test(line))
    }
    places = { ours: await describe(ours), theirs: await describe(theirs) }
  })

  it('has the same header and descriptor', () => {
    expect(places.ours).toEqual(places.theirs)
    expect(places.ours.length).toBeGreaterThan(10)
  })
})
