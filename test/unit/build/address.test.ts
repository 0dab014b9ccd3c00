import { describe, expect, it } from 'vitest'
import {
  baseAddress,
  changedAddress,
  madeAddress,
  nextAddress,
  passedAddress,
} from '../../../src/build/address.ts'

const all = { ids: 'all' } as const
const range = { ids: 'range' } as const
const groups = { ids: 'range', keepsGroups: true } as const
const single = { ids: 'single' } as const
const base = baseAddress(all, ['digest'])

/** Trees that must not be taken for one another. */
const addresses: readonly [string, string][] = [
  ['a base', base],
  ['another base', baseAddress(all, ['other'])],
  ['the same base with one id', baseAddress(single, ['digest'])],
  ['the same base with a range of ids', baseAddress(range, ['digest'])],
  ['the same base where groups stay', baseAddress(groups, ['digest'])],
  ['a base of two layers', baseAddress(all, ['digest', 'digest'])],
  ['a step', nextAddress(all, base, ['post', 'a b'])],
  ['the same step where groups stay', nextAddress(groups, base, ['post', 'a b'])],
  ['the same words cut otherwise', nextAddress(all, base, ['post', 'a', 'b'])],
  ['the same step with one id', nextAddress(single, base, ['post', 'a b'])],
  ['the same step twice', nextAddress(all, nextAddress(all, base, ['post', 'a b']), ['post', 'a b'])],
  ['what a step made', madeAddress(all, base, 'digest')],
  ['what it made another time', madeAddress(all, base, 'other')],
  ['a change', changedAddress(all, base, 'digest')],
  ['a step that is called like a change', nextAddress(all, base, ['digest'])],
  ['a test that was passed', passedAddress(all, [base], ['post', 'a b'])],
]

describe('addresses', () => {
  it('are names of cache entries', () => {
    for (const [, address] of addresses) expect(address).toMatch(/^[0-9a-f]{64}$/)
  })

  it('are all different', () => {
    const names = new Map(addresses.map(([name, address]) => [address, name]))
    expect([...names.values()]).toEqual(addresses.map(([name]) => name))
  })

  it('are the same for the same', () => {
    expect(baseAddress({ ...range, keepsGroups: false }, ['digest'])).toBe(baseAddress(range, ['digest']))
    expect(nextAddress(all, base, ['post', 'a b'])).toBe(
      nextAddress(all, baseAddress(all, ['digest']), ['post', 'a b']),
    )
  })
})
