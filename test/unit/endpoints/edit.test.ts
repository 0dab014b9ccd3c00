import { describe, expect, it } from 'vitest'
import { type Endpoint, emptyDocument, type KeyserverEntry } from '../../../src/endpoints/document.ts'
import {
  isSameServer,
  withCredential,
  withEndpoint,
  withKeyserver,
  withoutCredential,
  withoutEndpoint,
  withoutKeyserver,
} from '../../../src/endpoints/edit.ts'

const endpoint = (name: string, uri = name): Endpoint => ({
  name,
  uri,
  system: false,
  exclusive: false,
  insecure: false,
})
const entry = (uri: string, more: Partial<KeyserverEntry> = {}): KeyserverEntry => ({
  uri,
  skip: false,
  external: true,
  insecure: false,
  ...more,
})
const own = entry('https://own.example', { external: false })
const uris = (list: readonly KeyserverEntry[]) => list.map(({ uri, skip }) => (skip ? `(${uri})` : uri))

describe('endpoints', () => {
  const both = withEndpoint(withEndpoint(emptyDocument, endpoint('a')), endpoint('b'))

  it('are added at the end and replaced in their place', () => {
    expect(withEndpoint(both, endpoint('a', 'x')).endpoints.map(({ uri }) => uri)).toEqual(['x', 'b'])
  })

  it('are not in use any more when they are gone', () => {
    const used = { ...both, active: 'a' }
    expect(withoutEndpoint(used, 'a')).toMatchObject({ active: undefined, endpoints: [{ name: 'b' }] })
    expect(withoutEndpoint(used, 'b')).toMatchObject({ active: 'a', endpoints: [{ name: 'a' }] })
  })
})

describe('logins', () => {
  const login = (uri: string, auth: string) => ({ uri, auth, insecure: false })

  it('are one for a server, however it is written', () => {
    const document = withCredential(
      withCredential(emptyDocument, login('hkps://a.example/', 'Bearer 1')),
      login('https://a.example', 'Bearer 2'),
    )
    expect(document.credentials).toEqual([login('https://a.example', 'Bearer 2')])
    expect(withoutCredential(document, 'https://A.example/').credentials).toEqual([])
    expect(withoutCredential(document, 'https://b.example').credentials).toHaveLength(1)
  })
})

describe('two texts', () => {
  it.each([
    ['https://a.example', 'https://a.example/', true],
    ['hkps://a.example', 'https://A.example:443', true],
    ['hkp://a.example', 'http://a.example:11371', true],
    ['http://a.example', 'https://a.example', false],
    ['https://a.example/x', 'https://a.example/y', false],
    ['docker://a.example', 'docker://a.example', true],
    ['docker://a.example', 'https://a.example', false],
  ])('%s and %s name one server: %s', (one, other, expected) => {
    expect(isSameServer(one, other)).toBe(expected)
  })
})

describe('key servers', () => {
  const [a, b] = [entry('http://a.example'), entry('http://b.example')]
  const added = { uri: 'http://new.example', insecure: false }

  it.each([
    [undefined, ['https://own.example', 'http://a.example', 'http://new.example']],
    [1, ['http://new.example', 'https://own.example', 'http://a.example']],
    [2, ['https://own.example', 'http://new.example', 'http://a.example']],
    [3, ['https://own.example', 'http://a.example', 'http://new.example']],
  ])('are added at %s', (order, expected) => {
    expect(uris(withKeyserver([own, a], added, order))).toEqual(expected)
  })

  it.each([0, 4, -1])('are not added at %s', (order) => {
    expect(() => withKeyserver([own, a], added, order)).toThrow('it is between 1 and 3')
  })

  it('are not added twice', () => {
    expect(() => withKeyserver([own, a], { uri: 'http://A.example/', insecure: true }, undefined)).toThrow(
      'http://A.example/ is already configured',
    )
  })

  it('of the endpoint are passed over when they are removed, and come back', () => {
    const without = withoutKeyserver([own, a], 'https://own.example')
    expect(uris(without)).toEqual(['(https://own.example)', 'http://a.example'])
    const again = withKeyserver(without, { uri: 'https://own.example', insecure: false }, undefined)
    expect(again).toEqual([a, own])
  })

  it('of others are gone when they are removed', () => {
    expect(uris(withoutKeyserver([own, a, b], 'http://a.example'))).toEqual([
      'https://own.example',
      'http://b.example',
    ])
  })

  it('are never removed altogether', () => {
    expect(() => withoutKeyserver([{ ...own, skip: true }, a], 'http://a.example')).toThrow(
      'it is the only key server',
    )
  })

  it('are not removed when they are not there', () => {
    expect(() => withoutKeyserver([own], 'http://a.example')).toThrow('is not configured')
    expect(() => withoutKeyserver([{ ...own, skip: true }, a], 'https://own.example')).toThrow(
      'is not configured',
    )
  })
})
