/** The keys of encrypted images: the configuration of one that gocryptfs 2.3 wrote for Apptainer, and what is wrong with others. */

import { describe, expect, it } from 'vitest'
import {
  configurationText,
  openFileKey,
  parseConfiguration,
  sealMasterKey,
  wrappingKey,
} from '../../../src/image/gocryptfs.ts'

const genuine = {
  Creator: 'gocryptfs 2.3',
  EncryptedKey: '2Dv4rqk2y3Pt9Ylx9lTHcEObO/1fOmYrfqzc1UPIY1kDNiDmzQq9H6h9PlUbR0H7SDA7a15IBq6+/oYgB5/G5w==',
  ScryptObject: { Salt: 'fGQvXwtUhJWO4aYol7cGbD8tN/zWQHIexACRndyWgB8=', N: 65536, R: 8, P: 1, KeyLen: 32 },
  Version: 2,
  FeatureFlags: ['HKDF', 'GCMIV128', 'PlaintextNames'],
}
const passphrase = Buffer.from('secretpass')
const scrypt = (change: object) => ({ ScryptObject: { ...genuine.ScryptObject, ...change } })
const parse = (change: object = {}) => parseConfiguration(JSON.stringify({ ...genuine, ...change }))

it('opens what gocryptfs sealed', async () => {
  const key = await openFileKey(parse(), passphrase)
  expect(key?.length).toBe(32)
  expect(await openFileKey(parse(), passphrase)).toEqual(key)
})

it('does not open it with another passphrase, or when a byte is changed', async () => {
  const sealed = Buffer.from(genuine.EncryptedKey, 'base64')
  sealed[20] = (sealed[20] ?? 0) ^ 1
  const EncryptedKey = sealed.toString('base64')
  const keys = await Promise.all([
    openFileKey(parse(), Buffer.from('secretpas')),
    openFileKey(parse(), Buffer.alloc(0)),
    openFileKey(parse({ EncryptedKey }), passphrase),
    openFileKey(parse(scrypt({ N: 32768 })), passphrase),
  ])
  expect(keys).toEqual([undefined, undefined, undefined, undefined])
})

it('opens what it sealed itself', async () => {
  const about = { salt: Buffer.alloc(32, 7), costs: { n: 1024, r: 8, p: 1 } }
  const master = Buffer.alloc(32, 9)
  const encryptedKey = sealMasterKey(await wrappingKey(about, passphrase), master, Buffer.alloc(16, 3))
  const conf = parseConfiguration(configurationText({ ...about, encryptedKey }))
  expect(await openFileKey(conf, passphrase)).toBeDefined()
})

describe('refuses', () => {
  const cases: readonly (readonly [string, object, RegExp])[] = [
    ['another version', { Version: 3 }, /version 3/],
    ['no version', { Version: undefined }, /version undefined/],
    ['one feature less', { FeatureFlags: ['HKDF', 'PlaintextNames'] }, /features/],
    ['one feature more', { FeatureFlags: [...genuine.FeatureFlags, 'AESSIV'] }, /AESSIV/],
    ['a feature twice', { FeatureFlags: ['HKDF', 'HKDF', 'PlaintextNames'] }, /features/],
    ['features that are no list', { FeatureFlags: 'HKDF' }, /features/],
    ['a key that is too short', { EncryptedKey: 'AAAA' }, /EncryptedKey of 64 bytes/],
    ['a key that is no base64', { EncryptedKey: `${genuine.EncryptedKey}*` }, /EncryptedKey/],
    ['a key that is a number', { EncryptedKey: 5 }, /EncryptedKey/],
    ['no scrypt', { ScryptObject: null }, /ScryptObject/],
    ['a list for scrypt', { ScryptObject: [] }, /ScryptObject|KeyLen|bytes/],
    ['a short salt', scrypt({ Salt: 'AAAA' }), /Salt of 32 bytes/],
    ['keys of another length', scrypt({ KeyLen: 64 }), /64 bytes/],
    ['N that is no power of two', scrypt({ N: 65535 }), /cannot be/],
    ['N of 1', scrypt({ N: 1 }), /cannot be/],
    ['N that is a text', scrypt({ N: '65536' }), /cannot be/],
    ['N that is not whole', scrypt({ N: 1.5 }), /cannot be/],
    ['R of 0', scrypt({ R: 0 }), /cannot be/],
    ['a negative P', scrypt({ P: -1 }), /cannot be/],
    ['memory without end', scrypt({ N: 2 ** 30 }), /more than we give/],
    ['memory by R', scrypt({ R: 2 ** 20 }), /more than we give/],
    ['numbers that overflow', scrypt({ N: 2 ** 52, R: 2 ** 52 }), /more than we give/],
    ['time without end', scrypt({ P: 1000 }), /more than we give/],
  ]
  it.each(cases)('%s', (_, change, words) => {
    expect(() => parse(change)).toThrow(
      expect.objectContaining({ code: 'ENCRYPTION', message: expect.stringMatching(words) }),
    )
  })

  it.each(['', 'x', '[]', 'null', '"text"'])('%j in place of an object', (text) => {
    expect(() => parseConfiguration(text)).toThrow(expect.objectContaining({ code: 'ENCRYPTION' }))
  })
})
