import { Buffer } from 'node:buffer'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { parseSif, type Sif } from '../../../src/sif/read.ts'
import type { Material, Verdict } from '../../../src/trust/types.ts'
import { verifyOpen } from '../../../src/trust/verify.ts'
import { descriptorAt, edit, signImage, smallImage, verify } from './images.ts'
import { bare, people } from './keys.ts'

const masks = [0x01, 0x03, 0x80, 0xff]

/** A stretch of bytes and its name. */
type Field = readonly [name: string, start: number, length: number]

const headerFields: readonly Field[] = [
  ['launch line', 0, 32],
  ['magic', 32, 10],
  ['version', 42, 3],
  ['architecture', 45, 3],
  ['id', 48, 16],
  ['time of creation', 64, 8],
  ['time of change', 72, 8],
  ['free entries', 80, 8],
  ['entries', 88, 8],
  ['place of the table', 96, 8],
  ['size of the table', 104, 8],
  ['place of the data', 112, 8],
  ['size of the data', 120, 8],
]

const descriptorFields: readonly Field[] = [
  ['kind', 0, 4],
  ['used', 4, 1],
  ['number', 5, 4],
  ['group', 9, 4],
  ['link', 13, 4],
  ['place', 17, 8],
  ['size', 25, 8],
  ['size with padding', 33, 8],
  ['time of creation', 41, 8],
  ['time of change', 49, 8],
  ['owner', 57, 16],
  ['name', 73, 128],
  ['kind of hash', 201, 4],
  ['signer', 205, 20],
  ['rest', 225, 360],
]

const within = (fields: readonly Field[], at: number): string =>
  fields.find(([, start, length]) => at >= start && at < start + length)?.[0] ?? 'nothing'

/** What a byte of the image belongs to. */
function ownerOf(at: number, sif: Sif): string {
  if (at < 128) return `header: ${within(headerFields, at)}`
  const slot = Math.floor((at - sif.header.tableOffset) / 585)
  if (slot >= 0 && slot < sif.header.total) {
    const object = sif.objects[slot]
    const kind = object === undefined ? 'empty entry' : object.group === 0 ? 'signature' : 'object'
    return kind === 'empty entry'
      ? kind
      : `${kind}: ${within(descriptorFields, (at - sif.header.tableOffset) % 585)}`
  }
  const object = sif.objects.find(({ offset, size }) => at >= offset && at < offset + size)
  if (object === undefined) return 'bytes between'
  return object.group === 0 ? 'text of the signature' : 'data'
}

/** What a verdict says, in terms of what the file holds: who signed what. */
function said({ signatures }: Verdict, { objects }: Sif, bytes: Buffer): unknown {
  return signatures.map(({ signer, objects: compared }) => [
    signer,
    compared.map(({ id, isIntact }) => {
      const found = objects.find((object) => object.id === id)
      if (!found) throw new Error(`there is no object ${id}`)
      const { dataType, size, name, link, extra, offset } = found
      const data = bytes.toString('latin1', offset, offset + size)
      return { isIntact, dataType, size, name, link, extra: Buffer.from(extra).toString('hex'), data }
    }),
  ])
}

/** Of an image that can be parsed. */
async function judge(file: FileHandle, path: string, material: Material) {
  try {
    const sif = parseSif(file.fd, path)
    return { sif, verdict: await verifyOpen({ fd: file.fd, sif }, { material }) }
  } catch (cause) {
    if (cause instanceof SingError) return undefined
    throw cause
  }
}

/**
 * Flip byte after byte, and tell to what those belong after which the image still holds. What is said of it then has to be what was
 * said before.
 */
async function freeBytes(path: string, material: Material): Promise<string[]> {
  const bytes = await readFile(path)
  await using file = await open(path, 'r+')
  const before = await judge(file, path, material)
  if (!before || before.verdict.problem) throw new Error('the image does not hold')
  const expected = said(before.verdict, before.sif, bytes)
  const found = new Set<string>()
  for (let at = 0; at < bytes.length; at += 1) {
    const owner = ownerOf(at, before.sif)
    for (const mask of isDull(owner) ? [0xff] : masks) {
      const flipped = Buffer.from(bytes)
      flipped[at] = (flipped[at] ?? 0) ^ mask
      await file.write(flipped, at, 1, at)
      const after = await judge(file, path, material)
      if (!after || after.verdict.problem) continue
      found.add(owner)
      expect(said(after.verdict, after.sif, flipped), `byte ${at} (${owner}), mask ${mask}`).toEqual(expected)
    }
    await file.write(bytes, at, 1, at)
    if (owner === 'bytes between') at += 100
  }
  return [...found].sort()
}

/** Bytes that nothing reads: one way to change them is as good as another. */
const isDull = (owner: string): boolean => owner === 'bytes between' || owner === 'empty entry'

/**
 * What may be flipped, and the image is as good as before. `always` in `coverage.ts` and the table in `docs/trust.md` say the same. Of the
 * text of a signature that is the padding and checksum of its armor, or the word before the name of a key.
 */
const unprotected = [
  'bytes between',
  'empty entry',
  'header: architecture',
  'header: free entries',
  'header: place of the data',
  'header: size of the data',
  'header: size of the table',
  'header: time of change',
  'header: time of creation',
  'object: group',
  'object: size with padding',
  'object: time of change',
  'object: used',
  'signature: group',
  'signature: kind of hash',
  'signature: name',
  'signature: number',
  'signature: owner',
  'signature: rest',
  'signature: size with padding',
  'signature: time of change',
  'signature: time of creation',
  'signature: used',
  'text of the signature',
]

describe('every byte of a signed image is protected, or known not to be', () => {
  it.each([
    ['OpenPGP', 'rsa', people],
    ['DSSE', 'pem', bare('ed25519')],
  ] as const)(
    'with a signature of %s',
    async (_, by, material) => {
      const path = await smallImage({ capacity: 4 })
      await signImage(path, { by })
      expect(await freeBytes(path, material)).toEqual(unprotected)
    },
    120_000,
  )
})

describe('what takes more than a byte to change, and is not protected', () => {
  const holds = async (change: (bytes: Buffer) => Buffer | undefined) => {
    const path = await smallImage()
    await signImage(path)
    await edit(path, change)
    const { problem, signatures } = await verify(path)
    expect(problem).toBeUndefined()
    return signatures.flatMap(({ objects }) => objects.map(({ id }) => id))
  }

  it('is the place of data', async () => {
    const moved = await holds((bytes) => {
      const at = descriptorAt(1) + 17
      const [offset, size] = [Number(bytes.readBigInt64LE(at)), Number(bytes.readBigInt64LE(at + 8))]
      bytes.writeBigInt64LE(BigInt(bytes.length), at)
      return Buffer.concat([bytes, bytes.subarray(offset, offset + size)])
    })
    expect(moved).toEqual([1, 2])
  })

  it('is the number of all objects of a group', async () => {
    const renumbered = await holds((bytes) => {
      for (const [slot, id] of [21, 22].entries()) bytes.writeUInt32LE(id, descriptorAt(slot) + 5)
      return undefined
    })
    expect(renumbered).toEqual([21, 22])
  })

  it('is the number of a group', async () => {
    await holds((bytes) => {
      for (const slot of [0, 1]) bytes.writeUInt32LE(0xf0000009, descriptorAt(slot) + 9)
      bytes.writeUInt32LE(0xf0000009, descriptorAt(2) + 13)
      return undefined
    })
  })

  it('is the place of the table', async () => {
    await holds((bytes) => {
      bytes.writeBigInt64LE(BigInt(bytes.length), 96)
      return Buffer.concat([bytes, bytes.subarray(4096, descriptorAt(12))])
    })
  })
})
