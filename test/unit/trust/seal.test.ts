import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey, type PrivateKey, readPrivateKey as readPgp, readSignature } from 'openpgp'
import { describe, expect, it } from 'vitest'
import { digestFor, keyIdOf, messageType, preAuthentication, sealDsse } from '../../../src/trust/dsse.ts'
import { sealOpenPgp } from '../../../src/trust/openpgp-envelope.ts'
import { readPrivateKey } from '../../../src/trust/pem.ts'
import { projectRoot } from '../../helpers/sing.ts'

const keys = join(projectRoot, 'fixtures/keys')
const message = '{"version":1,"header":{"digest":"sha256:00"},"objects":[]}'

describe('a DSSE envelope', () => {
  it.each(['rsa-private.pkcs1.pem', 'ecdsa-private.sec1.pem', 'ed25519-private.pem'])(
    'is the JSON of the format, and its signature holds: %s',
    async (name) => {
      const key = await readPrivateKey(join(keys, 'pem', name), { ask: async () => '', report: () => {} })
      const text = sealDsse(Buffer.from(message), key).toString()
      const [, signature = ''] = /"sig":"([A-Za-z0-9+/=]+)"/.exec(text) ?? []
      const payload = Buffer.from(message).toString('base64')
      expect(text).toBe(
        `{"payloadType":"application/vnd.sylabs.sif-metadata+json","payload":"${payload}","signatures":[{"keyid":"${keyIdOf(key)}","sig":"${signature}"}]}`,
      )
      const signed = preAuthentication(messageType, Buffer.from(message))
      expect(signed.toString()).toBe(`DSSEv1 40 application/vnd.sylabs.sif-metadata+json 58 ${message}`)
      expect(verify(digestFor(key), signed, createPublicKey(key), Buffer.from(signature, 'base64'))).toBe(
        true,
      )
    },
  )

  it.each(['P-256', 'P-384', 'P-521'])('names an ECDSA key as OpenSSH does: %s', (namedCurve) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve })
    const id = keyIdOf(publicKey)
    expect(id).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/)
    expect(keyIdOf(privateKey)).toBe(id)
  })
})

describe('a clear signature', () => {
  const read = async (name: string) =>
    await readPgp({ armoredKey: readFileSync(join(keys, 'openpgp', name), 'utf8') })
  const p256 = async (curve: 'nistP256' | 'nistP384' | 'nistP521'): Promise<PrivateKey> =>
    (await generateKey({ type: 'ecc', curve, userIDs: { name: 'n' }, format: 'object' })).privateKey

  it.each([
    ['RSA', () => read('pgp-private-nopass.asc'), 'SHA256'],
    ['Ed25519', () => read('pgp-private-ed25519.asc'), 'SHA512'],
    ['P-256', () => p256('nistP256'), 'SHA256'],
    ['P-384', () => p256('nistP384'), 'SHA384'],
    ['P-521', () => p256('nistP521'), 'SHA512'],
  ])('has the form of the format: %s', async (_, make, hash) => {
    const key = await make()
    const text = (await sealOpenPgp(message, key)).toString()
    const [head, body] = text.split('\n-----BEGIN PGP SIGNATURE-----\n\n')
    expect(head).toBe(`-----BEGIN PGP SIGNED MESSAGE-----\nHash: ${hash}\n\n${message}`)
    expect(body).toMatch(/^([A-Za-z0-9+/=]+\n)+-----END PGP SIGNATURE-----$/)
    const armoredSignature = text.slice(text.indexOf('-----BEGIN PGP SIGNATURE'))
    const { packets } = await readSignature({ armoredSignature })
    expect(packets).toHaveLength(1)
    expect(packets[0]).toMatchObject({ version: 4, signatureType: 1, unhashedSubpackets: [] })
    expect(packets[0]?.issuerFingerprint).toEqual(key.keyPacket.getFingerprintBytes())
  })

  it('is refused for a key whose time is over', async () => {
    const { privateKey } = await generateKey({
      userIDs: { name: 'n' },
      date: new Date('2020-01-01'),
      keyExpirationTime: 60,
      format: 'object',
    })
    await expect(sealOpenPgp(message, privateKey)).rejects.toMatchObject({ code: 'KEY', message: /expired/ })
  })

  it('is refused for a key of version 6, which no SIF can name', async () => {
    const { privateKey } = await generateKey({
      userIDs: { name: 'n' },
      config: { v6Keys: true },
      format: 'object',
    })
    await expect(sealOpenPgp(message, privateKey)).rejects.toMatchObject({
      code: 'KEY',
      message: /version 6/,
    })
  })
})
