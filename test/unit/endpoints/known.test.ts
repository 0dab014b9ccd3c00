import { describe, expect, it } from 'vitest'
import {
  builtInDocument,
  type Endpoint,
  type KeyserverEntry,
  type RemoteDocument,
} from '../../../src/endpoints/document.ts'
import { combine, findEndpoint, type Source } from '../../../src/endpoints/known.ts'

const endpoint = (name: string, more: Partial<Endpoint> = {}): Endpoint => ({
  name,
  uri: `${name}.example`,
  system: false,
  exclusive: false,
  insecure: false,
  ...more,
})
const server = (uri: string): KeyserverEntry => ({ uri, skip: false, external: true, insecure: false })

const source = (
  file: string,
  active: string | undefined,
  endpoints: readonly Endpoint[],
  credentials: RemoteDocument['credentials'] = [],
): Source => ({ file, isOurs: file.startsWith('our'), document: { active, endpoints, credentials } })

const site = (...endpoints: Endpoint[]) => [source('our site', endpoints[0]?.name, endpoints)]

describe('endpoints of site and user', () => {
  it('are those of all files, and of a name the first', () => {
    const known = combine(
      [
        source('our site', undefined, [endpoint('a')]),
        source('peer site', 'b', [endpoint('a', { uri: 'x' }), endpoint('b')]),
      ],
      [
        source('our own', undefined, [endpoint('c')]),
        source('peer own', undefined, [endpoint('c', { uri: 'y' }), endpoint('d')]),
      ],
    )
    expect(known.endpoints.map(({ name, uri, file, system }) => [name, uri, file, system])).toEqual([
      ['a', 'a.example', 'our site', true],
      ['b', 'b.example', 'peer site', true],
      ['c', 'c.example', 'our own', false],
      ['d', 'd.example', 'peer own', false],
    ])
  })

  it.each([
    ['the site, when the user says nothing', 'a', undefined, undefined, 'a'],
    ['the user, in the first file that says something', 'a', undefined, 'd', 'd'],
    ['our file of the user first', 'a', 'c', 'd', 'c'],
    ['nobody, when there is none of that name', 'nope', 'nope', 'nope', undefined],
    ['the next file, when there is none of that name', 'a', 'nope', 'd', 'd'],
  ])('have one in use: %s', (_, bySite, byUser, byPeer, expected) => {
    const known = combine(
      [source('our site', bySite, [endpoint('a')])],
      [source('our own', byUser, [endpoint('c')]), source('peer own', byPeer, [endpoint('d')])],
    )
    expect(known.active?.name).toBe(expected)
  })

  it('have the exclusive one of the site in use, whatever the user says', () => {
    const known = combine(site(endpoint('a'), endpoint('b', { exclusive: true })), [
      source('our own', 'c', [endpoint('c', { exclusive: true })]),
    ])
    expect(known.active?.name).toBe('b')
    expect(known.endpoints.map(({ name, exclusive }) => [name, exclusive])).toEqual([
      ['a', false],
      ['b', true],
      ['c', false],
    ])
  })

  it('have the token of the user at one of the site, and what else the site says', () => {
    const own = endpoint('a', { system: true, token: 'secret', exclusive: true, insecure: true })
    const [found] = combine(site(endpoint('a', { token: 'of the site' })), [
      source('our own', undefined, [own]),
    ]).endpoints
    expect(found).toMatchObject({
      uri: 'a.example',
      token: 'secret',
      system: true,
      exclusive: false,
      insecure: false,
      file: 'our site',
    })
  })

  it('have no token where the site has moved to another host', () => {
    const own = endpoint('a', { system: true, token: 'secret', uri: 'old.example' })
    const known = combine(site(endpoint('a')), [source('our own', undefined, [own])])
    expect(known.endpoints[0]?.token).toBeUndefined()
    expect(known.warnings).toEqual([expect.stringMatching(/has moved from old\.example to a\.example/)])
  })

  it('have no token of a site, whose file everybody can read', () => {
    expect(combine(site(endpoint('a', { token: 'x' })), []).endpoints[0]?.token).toBeUndefined()
  })

  it('stay logged out, although the file of a peer has a token', () => {
    const known = combine(site(endpoint('a')), [
      source('our own', undefined, [endpoint('a', { system: true })]),
      source('peer own', undefined, [endpoint('a', { system: true, token: 'x' })]),
    ])
    expect(known.endpoints[0]?.token).toBeUndefined()
  })

  it.each([
    ['our own', false, ['mine']],
    ['peer own', false, ['of the site']],
    ['our own', true, ['of the site']],
  ])('have key servers of the user: in %s, exclusive: %s', (file, exclusive, expected) => {
    const known = combine(site(endpoint('a', { exclusive, keyservers: [server('of the site')] })), [
      source(file, undefined, [endpoint('a', { system: true, keyservers: [server('mine')] })]),
    ])
    expect(known.endpoints[0]?.keyservers?.map(({ uri }) => uri)).toEqual(expected)
  })

  it('do without those of the site that it has no more', () => {
    const known = combine(site(endpoint('a')), [source('peer own', 'b', [endpoint('b', { system: true })])])
    expect(known.endpoints.map(({ name }) => name)).toEqual(['a'])
    expect(known.active?.name).toBe('a')
  })

  it('may not have the name of one of the site', () => {
    expect(() => combine(site(endpoint('a')), [source('our own', undefined, [endpoint('a')])])).toThrow(
      'our own and our site both have an endpoint a',
    )
  })

  it('of a peer with such a name are left out with a word', () => {
    const known = combine(site(endpoint('a')), [source('peer own', 'a', [endpoint('a', { uri: 'x' })])])
    expect(known.endpoints.map(({ uri }) => uri)).toEqual(['a.example'])
    expect(known.warnings).toEqual([expect.stringContaining('endpoint a of peer own is left out')])
  })

  it('come with all logins, those of the user first', () => {
    const login = (uri: string) => ({ uri, auth: 'Bearer x', insecure: false })
    const known = combine(
      [source('our site', undefined, [], [login('a')])],
      [source('our own', undefined, [], [login('b')])],
    )
    expect(known.credentials.map(({ uri, file }) => [uri, file])).toEqual([
      ['b', 'our own'],
      ['a', 'our site'],
    ])
  })
})

describe('an endpoint', () => {
  const known = combine([{ file: 'built in', isOurs: true, document: builtInDocument }], [])
  it('is found by its name, or is the one in use', () => {
    expect(findEndpoint(known, undefined).uri).toBe('cloud.apptainer.org')
    expect(findEndpoint(known, 'DefaultRemote').uri).toBe('cloud.apptainer.org')
  })
  it('is not found by another name', () => {
    expect(() => findEndpoint(known, 'constructor')).toThrow('constructor is not a remote')
    expect(() => findEndpoint({ ...known, active: undefined }, undefined)).toThrow('no endpoint is in use')
  })
})
