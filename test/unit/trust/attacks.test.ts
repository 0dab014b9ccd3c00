import { Buffer } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { addObject, deleteObject } from '../../../src/sif/edit.ts'
import { dataTypes } from '../../../src/sif/format.ts'
import type { FindKey } from '../../../src/trust/types.ts'
import {
  addSignature,
  descriptorAt,
  edit,
  signedImage,
  signImage,
  smallImage,
  told,
  verify,
} from './images.ts'
import { bare, findKey } from './keys.ts'

describe('a signed image holds', () => {
  it('with two groups', async () => {
    expect(told(await verify(await signedImage(2)))).toEqual({ objects: [[1, 2], [3]], problem: undefined })
  })

  it('with a second signature by another key', async () => {
    const path = await signedImage()
    await signImage(path, { by: 'ed25519' })
    expect(told(await verify(path))).toEqual({
      objects: [
        [1, 2],
        [1, 2],
      ],
      problem: undefined,
    })
  })

  it.each(['sha224', 'sha384', 'sha512', 'sha512_224', 'sha512_256'] as const)('with %s', async (hash) => {
    const path = await smallImage()
    await signImage(path, { hash })
    expect(told(await verify(path)).problem).toBeUndefined()
  })

  it('with one object that is signed, as far as that was asked', async () => {
    const path = await smallImage()
    const id = await signImage(path, { ids: [2] })
    const verdict = await verify(path, { tasks: [{ kind: 'object', id: 2 }] })
    expect(told(verdict)).toEqual({ objects: [[2]], problem: undefined })
    expect(verdict.uncovered).toEqual(['object 1 (Def.FILE): no signature that holds is about it'])
    expect(told(await verify(path)).problem).toBe('object 1 is not among the objects that were signed')
    const one = await verify(path, { tasks: [{ kind: 'object', id: 1 }] })
    expect(told(one).problem).toBe('object 1 is not among the objects that were signed')
    const none = await verify(path, { tasks: [{ kind: 'object', id }] })
    expect(told(none).problem).toBe('object 3 is in no group, so that no signature can be about it')
  })
})

/** Change what the descriptor in a slot says. */
const descriptor =
  (slot: number, at: number, value: number | bigint) =>
  (path: string): Promise<void> =>
    edit(path, (bytes) => {
      const offset = descriptorAt(slot) + at
      if (typeof value === 'bigint') bytes.writeBigInt64LE(value, offset)
      else bytes.writeUInt32LE(value, offset)
      return undefined
    })

/** Exchange what the descriptors of two slots say. */
const exchange =
  (first: number, second: number, at: number, length: number) =>
  (path: string): Promise<void> =>
    edit(path, (bytes) => {
      const [one, other] = [first, second].map((slot) => descriptorAt(slot) + at) as [number, number]
      const kept = Buffer.from(bytes.subarray(one, one + length))
      bytes.copyWithin(one, other, other + length)
      kept.copy(bytes, other)
      return undefined
    })

const evil = { dataType: dataTypes.generic, data: Buffer.from('evil') }

/** The signature of group 1, once more, as one of another group. */
async function replay(path: string): Promise<void> {
  await addObject(path, { ...evil, group: 3 })
  const bytes = await readFile(path)
  const [offset, size] = [17, 25].map((at) => Number(bytes.readBigInt64LE(descriptorAt(3) + at))) as [
    number,
    number,
  ]
  await addSignature(path, bytes.subarray(offset, offset + size), undefined, 3)
}

type Attack = [
  what: string,
  change: (path: string) => Promise<unknown>,
  problem: string,
  seen?: readonly (readonly number[])[],
]

const attacks: Attack[] = [
  [
    'an object added to its group',
    (path) => addObject(path, evil),
    'object 6 is not among the objects that were signed',
    [[]],
  ],
  [
    'an object added to another group',
    (path) => addObject(path, { ...evil, group: 3 }),
    'group 3 is not signed',
    [[1, 2], [3]],
  ],
  [
    'an object added to no group',
    (path) => addObject(path, { ...evil, group: 0 }),
    'object 6 is in no group, so that no signature can be about it',
  ],
  [
    'its first object deleted',
    (path) => deleteObject(path, 1),
    'object 3 was signed, and is not there',
    [[]],
  ],
  ['its last object deleted', (path) => deleteObject(path, 2), 'object 2 was signed, and is not there', [[]]],
  ['its signature deleted', (path) => deleteObject(path, 4), 'group 1 is not signed'],
  [
    'the data of two objects exchanged',
    exchange(0, 1, 17, 16),
    'the descriptor of object 1 was changed after it was signed',
    [[]],
  ],
  [
    'two objects at one place',
    descriptor(1, 17, 4096n + 12n * 585n),
    'object 2 and object 1 lie over each other',
  ],
  [
    'an object over the table',
    descriptor(1, 17, 4096n),
    'object 2 and the table of objects lie over each other',
  ],
  ['two objects with one number', descriptor(1, 5, 1), 'two objects have the number 1'],
  [
    'the numbers of two objects exchanged',
    exchange(0, 1, 5, 4),
    'the descriptor of object 1 was changed after it was signed',
    [[]],
  ],
  [
    'an object moved to another group',
    descriptor(1, 9, 0xf0000002),
    'object 2 was signed, and is not there',
    [[]],
  ],
  [
    'an object linked to another',
    descriptor(1, 13, 1),
    'the descriptor of object 2 was changed after it was signed',
    [[1]],
  ],
  [
    'another kind of object',
    descriptor(0, 0, 0x4007),
    'the descriptor of object 1 was changed after it was signed',
    [[]],
  ],
  ['a signature moved to another group', descriptor(3, 13, 0xf0000002), 'group 1 is not signed'],
  ['a signature linked to an object', descriptor(3, 13, 1), 'group 1 is not signed'],
  ['a signature used for another group', replay, 'object 7 was signed, and is not there', [[1, 2], [3], []]],
  [
    'a second signature of less',
    (path) => signImage(path, { ids: [1] }),
    'object 2 is not among the objects that were signed',
    [[1, 2], []],
  ],
]

describe('an image is refused with', () => {
  it.each(attacks)('%s', async (_, change, problem, seen = []) => {
    const path = await signedImage(2)
    await change(path)
    expect(told(await verify(path))).toEqual({ objects: seen, problem })
  })

  it('a second signature by somebody unknown', async () => {
    const path = await signedImage()
    await signImage(path, { by: 'ed25519' })
    const find: FindKey = async (id) => (id === '08CD639E798292F7' ? findKey(id) : undefined)
    const verdict = await verify(path, { material: { kind: 'openpgp', find } })
    expect(told(verdict)).toEqual({
      objects: [[1, 2], []],
      problem: 'signature 4 does not hold: the key C1403783358E25F4 is not known',
    })
  })

  it('signatures of two kinds, of which one key can open one only', async () => {
    const path = await signedImage()
    await signImage(path, { by: 'pem' })
    expect(told(await verify(path)).problem).toMatch(/it is by a key of a PEM file, and none was given/)
    const { problem } = told(await verify(path, { material: bare('ed25519') }))
    expect(problem).toMatch(/it is one of OpenPGP/)
  })

  it('a signature whose descriptor names a key that did not sign', async () => {
    const path = await smallImage()
    await signImage(path, { by: 'pem' })
    await descriptor(2, 201 + 4, 1)(path)
    const { problem } = told(await verify(path, { material: bare('ed25519') }))
    expect(problem).toBe(
      'signature 3 does not hold: its descriptor names another key than the one that signed',
    )
  })

  const changes: [what: string, change: (statement: string) => string, reason: RegExp][] = [
    [
      'names an object twice',
      (text) => text.replace(/(\{"relativeId":0[^}]*\},)/, '$1$1'),
      /does not name each object once/,
    ],
    [
      'repeats a key',
      (text) => text.replace('"header"', '"header":{"digest":""},"header"'),
      /is not in canonical form/,
    ],
    ['is of another version', (text) => text.replace('"version":1', '"version":2'), /is of version 2/],
    [
      'uses MD5',
      (text) => text.replaceAll(/sha256:([0-9a-f]{32})[0-9a-f]{32}/g, 'md5:$1'),
      /a digest of md5, which is not accepted/,
    ],
  ]
  it.each(changes)('a signed statement that %s', async (_, change, reason) => {
    const path = await smallImage()
    await signImage(path, { change })
    const { signatures, problem } = await verify(path)
    expect(problem?.message).toMatch(reason)
    expect(signatures[0]?.objects).toEqual([])
  })
})
