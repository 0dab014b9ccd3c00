/**
 * What a signature of a SIF is about: the bytes that stand for header and descriptors, the objects of a group, and the statement
 * that is signed, in its one canonical form. Digests are made elsewhere; here are only bytes and words.
 *
 *     {"version":1,"header":{"digest":"sha256:…"},"objects":[{"relativeId":0,"descriptorDigest":"sha256:…","objectDigest":"sha256:…"}]}
 */

import { Buffer } from 'node:buffer'
import { SingError } from '../core/errors.ts'
import { dataTypes, type SifHeader, type SifObject } from './format.ts'

/** The hash algorithms a statement may name, and the hex digits of each. Only strong ones: MD5 and SHA-1 are not known here. */
const hashDigits = {
  sha224: 56,
  sha256: 64,
  sha384: 96,
  sha512: 128,
  sha512_224: 56,
  sha512_256: 64,
} as const

export type HashName = keyof typeof hashDigits

/** A digest as statements write it: the name of the algorithm, a colon, and hex digits. */
export type Digest = `${HashName}:${string}`

export type SignedObject = {
  /** The object's id less the lowest id of its group. */
  readonly relativeId: number
  readonly descriptorDigest: Digest
  readonly objectDigest: Digest
}

/** What is signed. Objects are in the order of their ids. */
export type Statement = { readonly header: Digest; readonly objects: readonly SignedObject[] }

/** The 61 bytes of a header that are signed: launch line, magic, version and id; not architecture, times, counts and offsets. */
export function headerBytes({ raw }: SifHeader): Buffer {
  return Buffer.concat([raw.subarray(0, 0x2d), raw.subarray(0x30, 0x40)])
}

/**
 * The 557 bytes of a descriptor that are signed: all of it but id, group, offset, padded size and modification time. The id relative to
 * the group is put in the place of the id.
 */
export function descriptorBytes({ raw }: SifObject, relativeId: number): Buffer {
  const id = Buffer.alloc(4)
  id.writeUInt32LE(relativeId)
  return Buffer.concat([
    raw.subarray(0, 4),
    Buffer.of(raw[4] === 0 ? 0 : 1),
    id,
    raw.subarray(13, 17),
    raw.subarray(25, 33),
    raw.subarray(41, 49),
    raw.subarray(57),
  ])
}

/** Every group that has objects, ascending. */
export function groupsOf(objects: readonly SifObject[]): number[] {
  return [...new Set(objects.map(({ group }) => group))].filter((group) => group !== 0).sort((a, b) => a - b)
}

/** The objects of a group in the order of their ids, whatever they are. */
export function membersOf(objects: readonly SifObject[], group: number): SifObject[] {
  return objects.filter((object) => object.group === group).sort((a, b) => a.id - b.id)
}

/** What ids of a group count from. The group has members. */
export function firstIdOf(members: readonly SifObject[]): number {
  return members.reduce((least, { id }) => Math.min(least, id), Number.POSITIVE_INFINITY)
}

/** The signature objects that are about a group, in the order of the table. */
export function signaturesOf(objects: readonly SifObject[], group: number): SifObject[] {
  return objects.filter(
    ({ dataType, link }) => dataType === dataTypes.signature && link.kind === 'group' && link.id === group,
  )
}

/** Objects that no signature can be about: they are in no group, and are no signatures themselves. */
export function ungroupedOf(objects: readonly SifObject[]): SifObject[] {
  return objects.filter(({ group, dataType }) => group === 0 && dataType !== dataTypes.signature)
}

/** The statement in the form that is signed: no blanks, one order of keys, no line end. */
export function writeStatement({ header, objects }: Statement): string {
  return JSON.stringify({
    version: 1,
    header: { digest: header },
    objects: objects.map(({ relativeId, descriptorDigest, objectDigest }) => ({
      relativeId,
      descriptorDigest,
      objectDigest,
    })),
  })
}

const refuse = (reason: string, hint?: string): never => {
  throw new SingError('SIGNATURE', `the signed statement ${reason}`, { hint })
}

/**
 * The statement in signed bytes. There is one form of each statement, and nothing else is read: so there is nothing in it that two
 * readers could understand in two ways.
 * Throws SIGNATURE for another version, unknown hash algorithms, and everything that is not written as `writeStatement` does.
 */
export function readStatement(message: Uint8Array): Statement {
  const text = Buffer.from(message).toString('utf8')
  const statement = toStatement(parseJson(text))
  if (!Buffer.from(writeStatement(statement)).equals(message)) {
    refuse(
      'is not in canonical form: it has blanks, another order, or keys that are unknown or repeated',
      'Sign the image again.',
    )
  }
  return statement
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return refuse('is not JSON')
  }
}

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown, what: string): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : refuse(`has no ${what}`)

function toStatement(value: unknown): Statement {
  const { version, header, objects } = fieldsOf(value, 'content')
  if (version !== 1) {
    refuse(
      `is of version ${JSON.stringify(version)?.slice(0, 20) ?? 'none'}; only version 1 is known`,
      'What other versions promise is not known, so nothing is taken from them. Sign the image again.',
    )
  }
  if (!Array.isArray(objects) || objects.length === 0) refuse('names no objects')
  const signed = (objects as unknown[]).map(toSignedObject)
  if (signed.some(({ relativeId }, index) => index > 0 && relativeId <= (signed[index - 1]?.relativeId ?? 0)))
    refuse('does not name each object once, in the order of their ids')
  return { header: toDigest(fieldsOf(header, 'header').digest), objects: signed }
}

function toSignedObject(value: unknown): SignedObject {
  const { relativeId, descriptorDigest, objectDigest } = fieldsOf(value, 'object')
  if (!(Number.isInteger(relativeId) && Number(relativeId) >= 0 && Number(relativeId) <= 0xffffffff))
    refuse('names an object without a number')
  return {
    relativeId: relativeId as number,
    descriptorDigest: toDigest(descriptorDigest),
    objectDigest: toDigest(objectDigest),
  }
}

function toDigest(value: unknown): Digest {
  const [, name = '', hex = ''] =
    /^([a-z0-9_]{1,16}):([0-9a-f]+)$/.exec(typeof value === 'string' ? value : '') ?? []
  if (!Object.hasOwn(hashDigits, name)) {
    return refuse(
      name === '' ? 'lacks a digest' : `has a digest of ${name}, which is not accepted`,
      `Digests of ${Object.keys(hashDigits).join(', ')} are.`,
    )
  }
  if (hashDigits[name as HashName] !== hex.length) refuse(`has a digest of ${name} that is cut off`)
  return value as Digest
}

/** The algorithm of a digest. */
export function hashOf(digest: Digest): HashName {
  return digest.slice(0, digest.indexOf(':')) as HashName
}
