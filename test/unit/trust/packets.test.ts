/** Cutting rings into keys, sound and damaged ones. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toBlock, toBlocks } from '../../../src/trust/blocks.ts'
import { packetAt, packetsOf, splitKeys, tags } from '../../../src/trust/packets.ts'
import { publicPartOf } from '../../../src/trust/public-part.ts'
import { projectRoot } from '../../helpers/sing.ts'

const fixture = (name: string): Buffer => readFileSync(join(projectRoot, 'fixtures/keys/ring', name))
const ring = fixture('pgp-public')
const secrets = fixture('pgp-secret')
const prints = ['424D327F6C0016D8057C1516C8D2D6A994F4A643', 'F27B0D831C7680EA12A3275608CD639E798292F7']
const found = (bytes: Uint8Array) => toBlocks(bytes).keys.map(({ fingerprint }) => fingerprint)
const sizes = splitKeys(ring).keys.map(({ length }) => length)
const [first = 0] = sizes

describe('a ring', () => {
  it('is cut into its keys, byte for byte', () => {
    const { keys, damage } = splitKeys(ring)
    expect(Buffer.concat(keys)).toEqual(ring)
    expect(damage).toEqual([])
    expect(found(ring)).toEqual(prints)
    expect(splitKeys(new Uint8Array())).toEqual({ keys: [], damage: [] })
  })

  it('has private keys with the fingerprints of their public halves', () => {
    const { keys } = toBlocks(secrets)
    expect(keys.map(({ fingerprint, isSecret }) => [fingerprint, isSecret])).toEqual(
      prints.map((print) => [print, true]),
    )
    expect(keys.map(({ ids }) => ids)).toEqual(toBlocks(ring).keys.map(({ ids }) => ids))
    expect(keys[0]?.ids[0]).toBe('C8D2D6A994F4A643')
  })

  it('has packets whose heads are old or new', () => {
    const body = packetAt(ring, 0)?.body ?? Buffer.alloc(0)
    const old = Buffer.concat([Buffer.from([0x99, body.length >> 8, body.length & 255]), body])
    expect(packetAt(old, 0)).toMatchObject({ tag: tags.publicKey, start: 0, end: old.length })
    expect(toBlock(old).fingerprint).toBe(prints[0])
    const wide = Buffer.concat([Buffer.from([0xc6, 255, 0, 0, body.length >> 8, body.length & 255]), body])
    expect(toBlock(wide).fingerprint).toBe(prints[0])
  })

  it.each([
    ['no packet', [0x06, 1, 0]],
    ['an end before its length', [0xc6]],
    ['half of a length', [0xc6, 0xc1]],
    ['more than there is', [0xc6, 20, 4]],
    ['a length of unknown size', [0x9b, 4, 4]],
    ['a partial length', [0xc6, 0xe1, 4, 4]],
    ['four gigabytes', [0xc6, 255, 255, 255, 255, 255]],
  ])('refuses %s', (_, bytes) => {
    expect(packetAt(Uint8Array.from(bytes), 0)).toBeUndefined()
    expect(packetsOf(Uint8Array.from(bytes))).toBeUndefined()
  })
})

describe('damage', () => {
  const damaged = (edit: (bytes: Buffer) => Buffer): Buffer => edit(Buffer.from(ring))

  it.each([
    ['junk before the first key', damaged((bytes) => Buffer.concat([Buffer.from('junk'), bytes])), prints],
    [
      'junk between keys',
      damaged((bytes) => Buffer.concat([bytes.subarray(0, first), Buffer.alloc(9), bytes.subarray(first)])),
      prints,
    ],
    ['a tail that was cut off', damaged((bytes) => bytes.subarray(0, -5)), prints],
    [
      'an only user id that was cut off',
      damaged((bytes) => bytes.subarray(0, first + 300)),
      prints.slice(0, 1),
    ],
    ['a key without its beginning', damaged((bytes) => bytes.subarray(100)), prints.slice(1)],
    [
      'a length that reaches into the next key',
      damaged((bytes) => {
        const { start = 0 } = packetsOf(bytes.subarray(0, first))?.at(-1) ?? {}
        bytes.writeUInt8((bytes[start + 2] ?? 0) ^ 0x40, start + 2)
        return bytes
      }),
      prints,
    ],
    ['nothing but junk', Buffer.alloc(5000, 0xc6), []],
  ])('of %s hides no other key', (_, bytes, left) => {
    const { keys, damage } = splitKeys(bytes)
    expect(found(bytes)).toEqual(left)
    expect(damage.length).toBeGreaterThan(0)
    expect([...keys, ...damage].reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length)
  })

  it('anywhere loses no byte, and hides one key at most when it is one byte', () => {
    fc.assert(
      fc.property(fc.nat(ring.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(ring)
        bytes.writeUInt8((bytes[at] ?? 0) ^ flip, at)
        const { keys, damage } = splitKeys(bytes)
        expect([...keys, ...damage].reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length)
        const other = at < first ? prints[1] : prints[0]
        expect(found(bytes)).toContain(other)
      }),
      // One flip in a hundred thousand makes a length that ends within the other key, and hides that as well.
      { numRuns: 400, seed: 1 },
    )
  })

  it('of any kind ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const { keys, damage } = splitKeys(bytes)
        expect([...keys, ...damage].reduce((sum, { length }) => sum + length, 0)).toBe(bytes.length)
        toBlocks(bytes)
        publicPartOf(bytes)
      }),
    )
  })
})
