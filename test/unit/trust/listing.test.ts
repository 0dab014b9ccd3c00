/** Lists of keys as scripts read them. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toBlocks } from '../../../src/trust/blocks.ts'
import { describeKey, formatUserId, type KeyFacts, parseUserId } from '../../../src/trust/keys.ts'
import { keysText, listingJson, listingText } from '../../../src/trust/listing.ts'
import { readOffer } from '../../../src/trust/offer.ts'
import { projectRoot } from '../../helpers/sing.ts'

const fixture = (name: string): Buffer => readFileSync(join(projectRoot, 'fixtures/keys', name))
const facts: KeyFacts = {
  fingerprint: 'F27B0D831C7680EA12A3275608CD639E798292F7',
  users: [{ name: 'Nopass Tester', comment: '', email: 'nopass@example.org' }],
  created: new Date('2026-11-23T06:44:19Z'),
  bits: 2048,
  expires: undefined,
  state: 'good',
  reason: undefined,
  protection: undefined,
}
const sound = [
  'User:              Nopass Tester () <nopass@example.org>',
  '    Creation time:     2026-11-23 06:44:19 +0000 UTC',
  '    Fingerprint:       F27B0D831C7680EA12A3275608CD639E798292F7',
  '    Length (in bits):  2048',
]
const one = async (name: string): Promise<KeyFacts> => {
  const { keys } = await readOffer(fixture(`openpgp/${name}`), name)
  return keys[0] ? await describeKey(keys[0]) : facts
}

describe('a list', () => {
  it('has a heading, and keys with numbers that go on from the list before', () => {
    const text = listingText({ path: '/k/pgp-public', kind: 'public', first: 9, keys: [facts, facts] })
    expect(text).toBe(
      [
        'Public key listing (/k/pgp-public):',
        '',
        `9)  ${sound[0]}`,
        ...sound.slice(1),
        '',
        `10)  ${sound[0]?.replace('User:  ', 'User: ')}`,
        ...sound.slice(1),
        '',
        '',
      ].join('\n'),
    )
    expect(listingText({ path: '/k/pgp-secret', kind: 'secret', first: 0, keys: [] })).toBe(
      'Private key listing (/k/pgp-secret):\n\n',
    )
  })

  it('tells on lines of their own what the peers do not', () => {
    const expires = new Date('2027-01-02T03:04:05Z')
    const last = (more: Partial<KeyFacts>): string =>
      keysText([{ ...facts, ...more }])
        .split('\n')
        .slice(4, -2)
        .join('|')
    expect(last({})).toBe('')
    expect(last({ expires })).toBe('    Expires:           2027-01-02 03:04:05 +0000 UTC')
    expect(last({ expires, state: 'expired' })).toBe(
      '    Expires:           2027-01-02 03:04:05 +0000 UTC [expired]',
    )
    expect(last({ state: 'revoked' })).toBe('    Status:            [revoked]')
    expect(last({ state: 'unusable', reason: 'why\u001b' })).toBe(
      '    Status:            [unusable] why\\x1b',
    )
  })

  it('shows every user id, and commands nothing', () => {
    const users = [
      { name: 'A\u001b[31m', comment: 'c', email: 'a@b' },
      { name: 'B', comment: '', email: '' },
    ]
    expect(
      keysText([{ ...facts, users }])
        .split('\n')
        .slice(0, 2),
    ).toEqual(['0)  User:              A\\x1b[31m (c) <a@b>', '0)  User:              B () <>'])
  })

  it('is JSON for programs', () => {
    const keys = [{ ...facts, protection: 'primary' as const }]
    expect(listingJson({ path: '/k/pgp-secret', kind: 'secret', first: 3, keys })).toEqual({
      ring: '/k/pgp-secret',
      kind: 'secret',
      keys: [
        {
          index: 3,
          fingerprint: facts.fingerprint,
          users: facts.users,
          created: '2026-11-23T06:44:19.000Z',
          expires: null,
          bits: 2048,
          state: 'good',
          protection: 'primary',
        },
      ],
    })
  })
})

describe('what lists say of a key', () => {
  it.each([
    ['pgp-public.asc', { bits: 4096, state: 'good', expires: undefined, protection: undefined }],
    ['pgp-public-ed25519.asc', { bits: 263, state: 'good' }],
    ['pgp-public-p256.asc', { bits: 515, state: 'good' }],
    ['pgp-public-revoked.asc', { bits: 2048, state: 'revoked' }],
    ['pgp-public-expired.asc', { state: 'expired', expires: new Date('2026-11-23T06:59:06Z') }],
    ['pgp-private-nopass.asc', { state: 'good', protection: 'none' }],
    ['pgp-private.asc', { state: 'good', protection: 'primary' }],
  ])('%s', async (name, wanted) => {
    expect(await one(name)).toMatchObject(wanted)
  })

  it('a key whose own signature does not hold is unusable, and still shown', async () => {
    const [block] = toBlocks(fixture('ring/pgp-public')).keys
    const bytes = Buffer.from(block?.bytes ?? [])
    bytes.writeUInt8((bytes[600] ?? 0) ^ 1, 600)
    const [damaged] = toBlocks(bytes).keys
    const told = damaged && (await describeKey(damaged))
    expect(told).toMatchObject({ state: 'unusable', bits: 4096, users: [{ name: 'Sing Tester' }] })
    expect(told?.reason).toBeTruthy()
  })
})

describe('a user id', () => {
  it.each([
    [
      'Ada Example (work) <ada@example.org>',
      { name: 'Ada Example', comment: 'work', email: 'ada@example.org' },
    ],
    ['Ada Example <ada@example.org>', { name: 'Ada Example', comment: '', email: 'ada@example.org' }],
    ['Ada', { name: 'Ada', comment: '', email: '' }],
    ['<ada@example.org>', { name: '', comment: '', email: 'ada@example.org' }],
    ['', { name: '', comment: '', email: '' }],
    ['a (b', { name: 'a', comment: 'b', email: '' }],
  ])('%j', (text, parts) => {
    expect(parseUserId(text)).toEqual(parts)
    if (!text.endsWith('(b')) expect(formatUserId(parts)).toBe(text)
  })
})
