import {
  createCleartextMessage,
  enums,
  generateKey,
  type PrivateKey,
  readPrivateKey,
  reformatKey,
  revokeKey,
  sign,
} from 'openpgp'
import { describe, expect, it } from 'vitest'
import { openEnvelope } from '../../../src/trust/envelope.ts'
import { strongHash, weaknessOf } from '../../../src/trust/strength.ts'
import { keyFile } from './keys.ts'

const long = new Date(Date.now() - 30 * 86_400_000)
const userIDs = [{ name: 'Somebody', email: 'somebody@example.org' }]
const lax = {
  minRSABits: 512,
  nonDeterministicSignaturesViaNotation: false,
  rejectMessageHashAlgorithms: new Set<enums.hash>(),
  rejectHashAlgorithms: new Set<enums.hash>(),
}

async function envelopeBy(signingKeys: PrivateKey, more: { date?: Date; hash?: number } = {}) {
  const { hash = enums.hash.sha256, date = new Date() } = more
  const message = await createCleartextMessage({ text: '{"version":1}' })
  const config = { ...lax, preferredHashAlgorithm: hash }
  return Buffer.from((await sign({ message, signingKeys, date, config })).replaceAll('\r\n', '\n'))
}

const open = (envelope: Buffer, key: PrivateKey) =>
  openEnvelope(envelope, { kind: 'openpgp', find: async () => ({ key: key.toPublic(), origin: 'remote' }) })

const rsa = () => readPrivateKey({ armoredKey: keyFile('openpgp/pgp-private-nopass.asc') })

describe('a signature is refused', () => {
  it('over SHA-1 or MD5', async () => {
    const config = { ...lax, preferredHashAlgorithm: enums.hash.sha1 }
    const made = await generateKey({ type: 'rsa', rsaBits: 2048, userIDs, format: 'object', config })
    const key = made.privateKey
    const envelope = await envelopeBy(key, { hash: enums.hash.sha1 })
    await expect(open(envelope, key)).rejects.toThrow(/it is made with SHA-1, with which two different texts/)
    expect(() => strongHash(1)).toThrow(/it is made with MD5/)
    expect(() => strongHash(99)).toThrow(
      /it is made with a hash algorithm that is not accepted \(number 99\)/,
    )
  })

  it('by a key that has expired since', async () => {
    const { privateKey } = await generateKey({
      userIDs,
      date: long,
      keyExpirationTime: 86_400,
      format: 'object',
    })
    const envelope = await envelopeBy(privateKey, { date: new Date(long.getTime() + 1000) })
    await expect(open(envelope, privateKey)).rejects.toThrow(
      /^the key [0-9A-F]{16} expired on \d{4}-\d\d-\d\d$/,
    )
  })

  it('by a key that was revoked since', async () => {
    const { privateKey } = await generateKey({ userIDs, date: long, format: 'object' })
    const envelope = await envelopeBy(privateKey, { date: new Date(long.getTime() + 1000) })
    await expect(open(envelope, privateKey)).resolves.toMatchObject({ signer: { origin: 'remote' } })
    const { privateKey: revoked } = await revokeKey({ key: privateKey, format: 'object' })
    await expect(open(envelope, revoked)).rejects.toThrow(/was revoked by its owner/)
  })

  it('by a key of RSA with 1024 bits', async () => {
    const { privateKey } = await generateKey({
      type: 'rsa',
      rsaBits: 1024,
      userIDs,
      format: 'object',
      config: lax,
    })
    await expect(open(await envelopeBy(privateKey), privateKey)).rejects.toThrow(
      /has 1024 bits of RSA; 2048 is the least/,
    )
  })

  it('by a subkey that may only encrypt', async () => {
    const key = await rsa()
    const subkey = key.subkeys[0]?.getKeyID().toHex().toUpperCase() ?? ''
    const envelope = await envelopeBy(key)
    // The id that a signature names is in its hashed part; the frame is made by hand here.
    const id = key.getKeyID().toHex()
    const raw = Buffer.from(
      envelope
        .toString()
        .split('\n\n')[2]
        ?.replace(/\n(=....\n)?-----END[\s\S]*/, '') ?? '',
      'base64',
    )
    const at = raw.indexOf(Buffer.from(id, 'hex'))
    expect(at).toBeGreaterThan(0)
    Buffer.from(subkey, 'hex').copy(raw, at)
    const text = envelope.toString().replace(/(SIGNATURE-----\n\n)[^-]*/, `$1${raw.toString('base64')}\n`)
    await expect(open(Buffer.from(text), key)).rejects.toMatchObject({ code: 'SIGNATURE' })
  })

  it('by a key of RSA whose signatures anybody can make', async () => {
    const key = await rsa()
    const envelope = await envelopeBy(key)
    Object.assign(key.keyPacket.publicParams ?? {}, { e: Uint8Array.of(1) })
    await expect(open(envelope, key)).rejects.toMatchObject({
      message: expect.stringMatching(
        /^the key [0-9A-F]{16} is of RSA with the exponent 1, which signs nothing$/,
      ),
    })
  })

  it('by keys of old kinds', () => {
    expect(weaknessOf({ algorithm: 'dsa', bits: 3072 })).toMatch(/is one of DSA/)
    expect(weaknessOf({ algorithm: 'elgamal', bits: 3072 })).toMatch(/is one of ELGAMAL/)
    expect(weaknessOf({ algorithm: 'ecdsa', curve: 'secp256k1' })).toMatch(/is on the curve secp256k1/)
    expect(weaknessOf({ algorithm: 'eddsaLegacy', curve: 'ed25519Legacy' })).toBeUndefined()
  })
})

describe('a key that the library cannot use', () => {
  it('is a reason to refuse, and nothing else', async () => {
    const key = await rsa()
    const envelope = await envelopeBy(key)
    const odd = key.toPublic()
    odd.getExpirationTime = () => Promise.reject(new TypeError('nothing to read'))
    const find = async () => ({ key: odd, origin: 'remote' }) as const
    await expect(openEnvelope(envelope, { kind: 'openpgp', find })).rejects.toMatchObject({
      code: 'SIGNATURE',
      message: 'it cannot be checked: nothing to read',
    })
  })
})

describe('the name of a signer', () => {
  it('is one that the key vouches for', async () => {
    const key = await rsa()
    const { privateKey: other } = await reformatKey({
      privateKey: (await generateKey({ userIDs: [{ name: 'Famous Person' }], format: 'object' })).privateKey,
      userIDs: [{ name: 'Famous Person' }],
      format: 'object',
    })
    const stolen = other.users[0]
    if (!stolen) throw new Error('the other key has no name')
    key.users.unshift(stolen)
    const { signer } = await open(await envelopeBy(key), key)
    expect(signer).toMatchObject({ name: 'Nopass Tester <nopass@example.org>' })
  })
})
