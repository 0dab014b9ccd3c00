import { describe, expect, it } from 'vitest'
import { parseServer } from '../../../src/endpoints/address.ts'
import {
  addForm,
  algorithmName,
  getAddress,
  indexAddress,
  readIndex,
  statusOf,
} from '../../../src/trust/hkp.ts'

describe('a request', () => {
  const server = parseServer('https://keys.example.org/base')

  it('for a key has all its digits', () => {
    expect(getAddress(server, '00A1B2C3D4E5F607').href).toBe(
      'https://keys.example.org/base/pks/lookup?exact=on&op=get&search=0x00a1b2c3d4e5f607',
    )
  })

  it.each([
    ['alice@example.org', 'alice%40example.org'],
    ['a & b=c', 'a+%26+b%3Dc'],
    ['94F4A643', '0x94F4A643'],
    ['94f4a643', '94f4a643'],
    ['c8d2d6a994f4a643', '0xc8d2d6a994f4a643'],
    ['0x94F4A643', '0x94F4A643'],
  ])('for %s asks for %s', (words, expected) => {
    expect(indexAddress(server, words).href).toBe(
      `https://keys.example.org/base/pks/lookup?fingerprint=on&op=index&options=mr&search=${expected}&x-pagesize=256`,
    )
  })

  it('for a further page names it', () => {
    expect(indexAddress(server, 'a', 'b&c').search).toMatch(/&x-pagetoken=b%26c$/)
  })

  it('to take a key keeps its plus signs', () => {
    expect(addForm('a+b=\r\n')).toBe('keytext=a%2Bb%3D%0D%0A')
  })
})

const fingerprint = '424D327F6C0016D8057C1516C8D2D6A994F4A643'

describe('an index', () => {
  it('tells keys and the names of their owners', () => {
    const text = `info:1:2
pub:${fingerprint}:1:4096:1795416249:1895416249:
uid:Sing Tester (test vector) <sing@example.org>:1795416249::
uid:Second %3Cs%40example.org%3E:1795416249::
pub:94f4a643:22:256:1795416249::r
uid:Ed:::
`
    expect(readIndex(text)).toEqual([
      {
        id: fingerprint,
        algorithm: 1,
        bits: 4096,
        created: 1795416249,
        expires: 1895416249,
        isRevoked: false,
        isDisabled: false,
        isExpired: false,
        users: ['Sing Tester (test vector) <sing@example.org>', 'Second <s@example.org>'],
      },
      {
        id: '94F4A643',
        algorithm: 22,
        bits: 256,
        created: 1795416249,
        expires: undefined,
        isRevoked: true,
        isDisabled: false,
        isExpired: false,
        users: ['Ed'],
      },
    ])
  })

  it.each([
    ['nothing', '', 0],
    ['blank lines', '\r\n\n', 0],
    ['a head alone', 'info:1:0\n', 0],
    ['no head', `pub:${fingerprint}:1:2048:1::\n`, 1],
    ['line ends of other systems', `info:1:1\r\npub:${fingerprint}\r\n`, 1],
    ['an id with 0x', `pub:0x${fingerprint}\n`, 1],
    ['an id of other digits', 'info:1:1\npub:XYZ:1:2048:1::\nuid:somebody:::\n', 0],
    ['an id of an odd length', 'info:1:1\npub:123456789:1:2048:1::\n', 0],
    ['names before the first key', 'info:1:1\nuid:somebody:::\n', 0],
    ['other lines', `info:1:1\nxyz:1\nuat::::\n:::\npub\npub:${fingerprint}\n`, 1],
  ])('may have %s', (_, text, count) => {
    expect(readIndex(text)).toHaveLength(count)
  })

  it('leaves a name without its key out, and does not give it to the key before', () => {
    const text = `pub:${fingerprint}\nuid:mine\npub:zzz\nuid:not mine\n`
    expect(readIndex(text)?.[0]?.users).toEqual(['mine'])
  })

  it.each(['-1', '1e9', '0x10', 'abc', '9999999999999'])('has no number in %s', (text) => {
    const [key] = readIndex(`pub:${fingerprint}:${text}:${text}:${text}:${text}:\n`) ?? []
    expect([key?.algorithm, key?.bits, key?.created, key?.expires]).toEqual(Array(4).fill(undefined))
  })

  it.each([
    ['%C3%9Cn%C3%AF', 'Ünï'],
    ['a%3Ab', 'a:b'],
    ['%%x', '%%x'],
    ['100%', '100%'],
    ['a+b', 'a+b'],
    ['%ff%zz', '\ufffd%zz'],
    ['%1b[31m', '\u001b[31m'],
  ])('has the name %s for %s', (text, name) => {
    expect(readIndex(`pub:${fingerprint}\nuid:${text}:::\n`)?.[0]?.users).toEqual([name])
  })

  it.each(['<html><body>Not here</body></html>', 'hello', '{"keys":[]}'])('is not %s', (text) => {
    expect(readIndex(text)).toBeUndefined()
  })
})

describe('a key of an index', () => {
  const key = readIndex(`pub:${fingerprint}:1:1:1:1000:\n`)?.[0]
  if (!key) throw new Error('no key')

  it.each([
    [key, 999, 'enabled'],
    [key, 1000, 'expired'],
    [{ ...key, expires: undefined }, 5000, 'enabled'],
    [{ ...key, isExpired: true }, 0, 'expired'],
    [{ ...key, isRevoked: true, isExpired: true }, 5000, 'revoked'],
    [{ ...key, isDisabled: true }, 0, 'disabled'],
  ])('has the status that its flags and the time give it', (what, now, status) => {
    expect(statusOf(what, now)).toBe(status)
  })

  it.each([
    [1, 'RSA'],
    [22, 'EdDSA'],
    [99, 'unknown'],
    [undefined, 'unknown'],
  ])('algorithm %s is %s', (number, name) => {
    expect(algorithmName(number)).toBe(name)
  })
})
