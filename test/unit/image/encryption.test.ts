/** The keys of a new encrypted image, found again in the ways that readers go. */

import { Buffer } from 'node:buffer'
import { constants, generateKeyPairSync, privateDecrypt } from 'node:crypto'
import { expect, it } from 'vitest'
import { cryptoMessage, type NewEncryption, newEncryption } from '../../../src/image/encryption.ts'
import { openFileKey, parseConfiguration } from '../../../src/image/gocryptfs.ts'

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = publicKey.export({ type: 'pkcs1', format: 'pem' }).toString()

const keyBehind = ({ packer }: NewEncryption, passphrase: string) =>
  openFileKey(parseConfiguration(Buffer.from(packer.configuration).toString()), Buffer.from(passphrase))

function unseal(message: Buffer | undefined): string {
  const [, base64 = ''] =
    /^-----BEGIN MESSAGE-----\n([A-Za-z0-9+/=\n]+)-----END MESSAGE-----\n$/.exec(String(message)) ?? []
  const bytes = Buffer.from(base64, 'base64')
  expect(bytes.subarray(0, 4).toString('hex')).toBe('04820100')
  const how = { key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  return privateDecrypt(how, bytes.subarray(4)).toString()
}

it('has a key that the passphrase opens, and no other', async () => {
  const made = await newEncryption({ kind: 'passphrase', passphrase: 'sesame' })
  expect(await keyBehind(made, 'sesame')).toEqual(made.packer.key)
  expect(await keyBehind(made, 'Sesame')).toBeUndefined()
  expect(made.message).toBeUndefined()
})

it('has a configuration as gocryptfs writes it', async () => {
  const made = await newEncryption({ kind: 'passphrase', passphrase: 'sesame' })
  const text = Buffer.from(made.packer.configuration).toString()
  expect(JSON.parse(text)).toMatchObject({
    ScryptObject: { N: 65536, R: 8, P: 1, KeyLen: 32 },
    Version: 2,
    FeatureFlags: ['HKDF', 'GCMIV128', 'PlaintextNames'],
  })
  expect(text.length).toBe(352)
  expect(made.packer.name).toMatch(/^squashfs-\d+$/)
})

it('has a passphrase that only the owner of the private key reads', async () => {
  const made = await newEncryption({ kind: 'pem', pem, name: 'public.pem' })
  const passphrase = unseal(made.message)
  expect(passphrase).toMatch(/^[0-9a-f]{64}$/)
  expect(await keyBehind(made, passphrase)).toEqual(made.packer.key)
})

it('has other keys each time', async () => {
  const recipient = { kind: 'pem', pem, name: 'public.pem' } as const
  const [one, other] = await Promise.all([newEncryption(recipient), newEncryption(recipient)])
  expect(one.packer.key).not.toEqual(other.packer.key)
  expect(one.packer.configuration).not.toEqual(other.packer.configuration)
  expect(unseal(one.message)).not.toBe(unseal(other.message))
})

it('has lines of 64 letters in its message', () => {
  const lines = cryptoMessage(publicKey, Buffer.from('x')).toString().split('\n').slice(1, -3)
  expect(new Set(lines.map(({ length }) => length))).toEqual(new Set([64]))
})
