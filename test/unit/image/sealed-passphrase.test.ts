/** Passphrases that were sealed for the owner of a key. */

import { constants, generateKeyPairSync, publicEncrypt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { hasPassword, openSealedPassphrase } from '../../../src/image/sealed-passphrase.ts'
import { readObject, readSif } from '../../../src/sif/read.ts'
import { projectRoot } from '../../helpers/sing.ts'

const keyFile = (name: string) => readFileSync(join(projectRoot, 'fixtures/keys/pem', name), 'utf8')
const named = (name: string) => ({ pem: keyFile(name), name })
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const privatePem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const ours = { pem: privatePem, name: 'ours.pem' }

function seal(...pieces: string[]): Buffer {
  const how = { key: pair.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  return Buffer.concat(pieces.map((piece) => publicEncrypt(how, Buffer.from(piece))))
}

function der(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([Buffer.from([0x04, 0x82]), length, bytes])
}

const armor = (bytes: Buffer): Buffer =>
  Buffer.from(
    `-----BEGIN MESSAGE-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END MESSAGE-----\n`,
  )

const open = (sealed: Buffer, key: Parameters<typeof openSealedPassphrase>[1] = ours) =>
  openSealedPassphrase(sealed, key, 'image.sif').toString()

async function messageOfPeer(): Promise<Buffer> {
  const sif = await readSif(join(projectRoot, 'fixtures/encrypted/pem.sif'))
  const object = sif.objects.find(({ dataType }) => dataType === 0x4008)
  if (!object) throw new Error('the fixture has no message')
  return await readObject(sif, object)
}

it.each(['rsa-private.pkcs1.pem', 'rsa-private.pkcs8.pem'])(
  'opens that of Apptainer with %s',
  async (name) => {
    expect(open(await messageOfPeer(), named(name))).toMatch(/^[0-9a-f]{32}$/)
  },
)

it('opens one in several pieces', () => {
  expect(open(armor(der(seal('first ', 'second'))))).toBe('first second')
})

describe('refuses', () => {
  const sealed = der(seal('secret'))
  const messages: readonly (readonly [string, Buffer, RegExp])[] = [
    ['nothing', Buffer.alloc(0), /damaged/],
    ['another block', Buffer.from(armor(sealed).toString().replaceAll('MESSAGE', 'SECRET')), /damaged/],
    ['more behind it', Buffer.concat([armor(sealed), Buffer.from('x')]), /damaged/],
    ['another type', armor(Buffer.concat([Buffer.from([0x03]), sealed.subarray(1)])), /damaged/],
    ['a length that is too long', armor(sealed.subarray(0, -1)), /damaged/],
    ['a length that is too short', armor(Buffer.concat([sealed, Buffer.alloc(1)])), /damaged/],
    ['a length without end', armor(Buffer.from([0x04, 0xff, 1, 2])), /damaged/],
    ['no bytes', armor(Buffer.from([0x04, 0x00])), /not encrypted for the key/],
    ['half a piece', armor(der(seal('secret').subarray(0, 128))), /not encrypted for the key/],
    [
      'a changed byte',
      armor(der(Buffer.from(seal('secret').map((byte, at) => (at === 9 ? byte ^ 1 : byte))))),
      /not encrypted/,
    ],
  ]
  it.each(messages)('%s', (_, message, words) => {
    expect(() => open(message)).toThrow(
      expect.objectContaining({ code: 'ENCRYPTION', message: expect.stringMatching(words) }),
    )
  })

  const keys: readonly (readonly [string, { pem: string; name: string; password?: string }, RegExp])[] = [
    [
      'another key',
      named('rsa-private.pkcs1.pem'),
      /image\.sif: it was not encrypted for the key rsa-private/,
    ],
    ['a public key', named('rsa-public.pem'), /public key, which can only encrypt/],
    ['a public key of PKCS#1', named('rsa-public.pkcs1.pem'), /public key, which can only encrypt/],
    ['a key of another kind', named('ecdsa-private.pkcs8.pem'), /key of ec/],
    ['a key with a password', named('rsa-protected.pkcs8.pem'), /password of its own/],
    ['an old key with a password', named('rsa-protected.pkcs1.pem'), /password of its own/],
    [
      'a wrong password',
      { ...named('rsa-protected.pkcs8.pem'), password: 'no' },
      /password is not the right one/,
    ],
    ['no key', { pem: 'x', name: 'x.pem' }, /no private key in PEM/],
    ['half a key', { pem: privatePem.slice(0, 200), name: 'half.pem' }, /damaged/],
  ]
  it.each(keys)('%s', (_, key, words) => {
    expect(() => open(armor(sealed), key)).toThrow(
      expect.objectContaining({ code: 'ENCRYPTION', message: expect.stringMatching(words) }),
    )
  })
})

it('uses a key by its password', () => {
  const locked = pair.privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'word',
  })
  expect(open(armor(der(seal('secret'))), { pem: locked.toString(), name: 'k', password: 'word' })).toBe(
    'secret',
  )
  expect([hasPassword(locked.toString()), hasPassword(privatePem)]).toEqual([true, false])
})
