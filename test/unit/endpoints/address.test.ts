import { describe, expect, it } from 'vitest'
import { keepsSecrets, parseServer, serverText } from '../../../src/endpoints/address.ts'

describe('the address of a key server', () => {
  const cases = [
    ['hkp://keys.example.org', 'http://keys.example.org:11371'],
    ['hkp://keys.example.org:80', 'http://keys.example.org'],
    ['HKP://127.0.0.1:4000/', 'http://127.0.0.1:4000'],
    ['hkps://keys.example.org', 'https://keys.example.org'],
    ['hkps://keys.example.org:8443', 'https://keys.example.org:8443'],
    ['hkp://[::1]', 'http://[::1]:11371'],
    ['hkp://[::1]:8080/base/', 'http://[::1]:8080/base'],
    ['https://keys.example.org/below/this//', 'https://keys.example.org/below/this'],
    ['http://localhost', 'http://localhost'],
  ]
  it.each(cases)('%s is %s', (text, expected) => {
    expect(serverText(parseServer(text))).toBe(expected)
  })

  const bad = [
    ['keys.example.org', 'does not begin with a scheme'],
    ['ldap://keys.example.org', 'does not begin with a scheme'],
    ['constructor://keys.example.org', 'does not begin with a scheme'],
    ['', 'does not begin with a scheme'],
    ['https://', 'does not begin with a scheme'],
    ['https://[::1', 'has no host'],
    ['https://alice:s3cret@keys.example.org', 'has a login in it'],
    ['https://keys.example.org/?a=b', 'has more than a path'],
    ['https://keys.example.org/#a', 'has more than a path'],
  ]
  it.each(bad)('%s is none', (text, reason) => {
    expect(() => parseServer(text)).toThrow(reason)
  })

  it('is not printed with the login that was written into it', () => {
    expect(() => parseServer('https://alice:s3cret@keys.example.org')).toThrow(/^(?!.*s3cret)/)
  })
})

describe('a secret', () => {
  it.each([
    ['https://keys.example.org', true],
    ['http://keys.example.org', false],
    ['hkp://127.0.0.1', true],
    ['http://127.8.9.1:80', true],
    ['http://[::1]:80', true],
    ['http://localhost:80', true],
    ['http://localhost.example.org', false],
    ['http://127.0.0.1.example.org', false],
    ['http://[::2]', false],
  ])('may go to %s: %s', (text, expected) => {
    expect(keepsSecrets(parseServer(text))).toBe(expected)
  })
})
