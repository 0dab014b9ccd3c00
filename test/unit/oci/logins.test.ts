/** Files of logins: which entry is whose. */

import { describe, expect, it } from 'vitest'
import { addLogin, findLogin, helperFor, keysFor, parseLogins, removeLogin } from '../../../src/oci/logins.ts'

const pair = (text: string) => ({ auth: Buffer.from(text).toString('base64') })
const file = (auths: object, more: object = {}) => parseLogins(JSON.stringify({ auths, ...more }), 'file')

describe('the keys of a repository', () => {
  it('are paths of podman, then the host', () => {
    expect(keysFor('a.example:5000', 'b/c')).toEqual([
      'a.example:5000/b/c',
      'a.example:5000/b',
      'a.example:5000',
      'a.example:5000',
    ])
  })
  it('at Docker Hub have its old name', () => {
    expect(keysFor('docker.io', 'library/x')).toContain('https://index.docker.io/v1/')
  })
})

describe('a login', () => {
  const cases: [what: string, auths: object, registry: string, user: string | undefined][] = [
    ['of the host', { 'a.example': pair('me:x') }, 'a.example', 'me'],
    ['of the host with its port', { 'a.example:5000': pair('me:x') }, 'a.example:5000', 'me'],
    ['of another port is not taken', { 'a.example:5000': pair('me:x') }, 'a.example', undefined],
    ['without a port is not taken for one', { 'a.example': pair('me:x') }, 'a.example:5000', undefined],
    ['of a host that ends alike is not taken', { 'evil-a.example': pair('me:x') }, 'a.example', undefined],
    ['of a domain is not taken for hosts below', { example: pair('me:x') }, 'a.example', undefined],
    ['of an old address', { 'https://a.example/v1/': pair('me:x') }, 'a.example', 'me'],
    [
      'of the nearest path',
      { 'a.example': pair('all:x'), 'a.example/team': pair('me:x') },
      'a.example',
      'me',
    ],
    ['of another path is not taken', { 'a.example/other': pair('me:x') }, 'a.example', undefined],
    ['of Docker Hub by its old name', { 'https://index.docker.io/v1/': pair('me:x') }, 'docker.io', 'me'],
    ['of Docker Hub by its name', { 'docker.io': pair('me:x') }, 'docker.io', 'me'],
    ['without content is none', { 'a.example': {} }, 'a.example', undefined],
    ['without a colon is none', { 'a.example': pair('me') }, 'a.example', undefined],
    ['in the clear', { 'a.example': { username: 'me', password: 'x' } }, 'a.example', 'me'],
    ['of a name that every object has is none', {}, 'constructor', undefined],
  ]
  it.each(cases)('%s', (_, auths, registry, user) => {
    const login = findLogin(file(auths), registry, 'team/app')
    expect(login?.kind === 'password' ? login.username : undefined).toBe(user)
  })

  it('has a password with colons, and without the zeros behind it', () => {
    const login = findLogin(file({ 'a.example': pair('me:a:b\0\0') }), 'a.example', '')
    expect(login).toEqual({ kind: 'password', username: 'me', password: 'a:b' })
  })

  it('may be a token for the token server, or for the registry', () => {
    const auths = { a: { identitytoken: 'i', ...pair('me:') }, b: { registrytoken: 'r', ...pair('me:x') } }
    expect(findLogin(file(auths), 'a', '')).toEqual({ kind: 'identity', username: 'me', token: 'i' })
    expect(findLogin(file(auths), 'b', '')).toEqual({ kind: 'bearer', token: 'r' })
  })
})

describe('a helper', () => {
  const { helpers, store, auths } = file(
    {},
    { credsStore: 'all', credHelpers: { 'a.example': 'one', 'https://index.docker.io/v1/': 'hub' } },
  )
  const logins = { helpers, store, auths }
  it.each([
    ['a.example', 'one'],
    ['docker.io', 'hub'],
    ['b.example', 'all'],
  ])('of %s is %s', (registry, helper) => {
    expect(helperFor(logins, registry)).toBe(helper)
  })
})

describe('a file of logins', () => {
  it('keeps what is not ours when one is added or removed', () => {
    const text = JSON.stringify({
      HttpHeaders: { a: 'b' },
      auths: { 'b.example': pair('b:b'), 'https://a.example/v1/': pair('old:x') },
    })
    const login = { kind: 'password', username: 'me', password: 'x' } as const
    const added = addLogin(text, 'file', 'a.example', login)
    expect(JSON.parse(added)).toMatchObject({ HttpHeaders: { a: 'b' }, auths: { 'b.example': pair('b:b') } })
    expect(findLogin(parseLogins(added, 'file'), 'a.example', '')).toEqual(login)
    const removed = removeLogin(added, 'file', 'a.example') ?? ''
    expect(findLogin(parseLogins(removed, 'file'), 'a.example', '')).toBeUndefined()
    expect(findLogin(parseLogins(removed, 'file'), 'b.example', '')).toMatchObject({ username: 'b' })
    expect(removeLogin(removed, 'file', 'a.example')).toBeUndefined()
  })

  it('may be empty', () => {
    expect(findLogin(parseLogins('', 'file'), 'a.example', '')).toBeUndefined()
  })

  it.each(['[]', '"x"', 'null', '{'])('that is %s is refused', (text) => {
    expect(() => parseLogins(text, 'file')).toThrow('file is no file of logins: it is not a JSON object')
  })

  it.each([{ auths: [] }, { auths: 5 }, { auths: { a: 5 } }, { credHelpers: 'x', credsStore: 7 }])(
    'with nonsense in it has no login: %j',
    (document) => {
      const logins = parseLogins(JSON.stringify(document), 'file')
      expect(findLogin(logins, 'a', '')).toBeUndefined()
      expect(helperFor(logins, 'a')).toBeUndefined()
    },
  )
})
