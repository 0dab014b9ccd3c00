import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { decodeDescriptors, decodeHeader } from '../../../src/sif/format.ts'
import {
  descriptorBytes,
  firstIdOf,
  groupsOf,
  hashOf,
  headerBytes,
  membersOf,
  readStatement,
  signaturesOf,
  ungroupedOf,
  writeStatement,
} from '../../../src/sif/integrity.ts'
import { sample } from './samples.ts'
import { signedSample, vectors } from './signed.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function parse(bytes: Buffer, fileSize = bytes.length) {
  const header = decodeHeader(bytes)
  const { tableOffset } = header
  return { header, objects: decodeDescriptors(bytes.subarray(tableOffset), header, fileSize) }
}

describe.each(Object.entries(await vectors()))('in %s', async (name, vector) => {
  const whole = name === 'tiny-signed'
  const bytes = await signedSample(`${name}.${whole ? 'sif' : 'head'}`)
  const { header, objects } = parse(bytes, vector.size)

  it('the header has the digest that was signed', () => {
    expect(headerBytes(header)).toHaveLength(61)
    expect(sha256(headerBytes(header))).toBe(vector.header)
  })

  it('each descriptor has the digest that was signed', () => {
    const found = groupsOf(objects).flatMap((group) => {
      const members = membersOf(objects, group)
      return members.map((object) => {
        const relativeId = object.id - firstIdOf(members)
        return { id: object.id, relativeId, descriptor: sha256(descriptorBytes(object, relativeId)) }
      })
    })
    expect(found).toEqual(vector.objects.map(({ data: _, ...rest }) => rest))
  })

  // Of the larger images there is only the head.
  const data = whole ? membersOf(objects, 1) : []
  it('each object has the digest that was signed', () => {
    const found = data.map(({ offset, size }) => sha256(bytes.subarray(offset, offset + size)))
    expect(found).toEqual(vector.objects.slice(0, found.length).map((signed) => signed.data))
  })

  it('the statements are written as they were signed', () => {
    const written = groupsOf(objects).map((group) => {
      const members = membersOf(objects, group)
      const first = firstIdOf(members)
      const signed = members.map((object) => {
        const relativeId = object.id - first
        const data = vector.objects.find(({ id }) => id === object.id)?.data ?? ''
        return {
          relativeId,
          descriptorDigest: `sha256:${sha256(descriptorBytes(object, relativeId))}` as const,
          objectDigest: `sha256:${data}` as const,
        }
      })
      return writeStatement({ header: `sha256:${sha256(headerBytes(header))}`, objects: signed })
    })
    if (name === 'object-signed') expect(written[0]).toContain(vector.statements[0]?.replace(/^.*\[/, ''))
    else expect(written).toEqual(vector.statements)
  })

  it('the statements are read', () => {
    for (const text of vector.statements) expect(writeStatement(readStatement(Buffer.from(text)))).toBe(text)
  })
})

describe('the parts of an image', async () => {
  it('are the groups, their objects, and the signatures that are about them', async () => {
    const { objects } = parse(await signedSample('two-groups-signed.head'), 1083607)
    expect(groupsOf(objects)).toEqual([1, 2])
    expect(groupsOf(objects).map((group) => membersOf(objects, group).map(({ id }) => id))).toEqual([
      [1, 2, 3],
      [4],
    ])
    expect(groupsOf(objects).map((group) => signaturesOf(objects, group).map(({ id }) => id))).toEqual([
      [5],
      [6],
    ])
    expect(ungroupedOf(objects)).toEqual([])
  })

  it('are none where a signature is linked to an object, or an object in no group', async () => {
    const linked = parse(await signedSample('tampered/t-sig-link-obj.sif'))
    expect(signaturesOf(linked.objects, 1)).toEqual([])
    const added = parse(await signedSample('tampered/t-added-nogroup.sif'))
    expect(ungroupedOf(added.objects).map(({ id }) => id)).toEqual([5])
  })

  it('do not say more of a descriptor in use than that it is', async () => {
    const bytes = await sample('tiny')
    const before = parse(bytes).objects.map((object) => sha256(descriptorBytes(object, 0)))
    bytes[4096 + 4] = 2
    expect(parse(bytes).objects.map((object) => sha256(descriptorBytes(object, 0)))).toEqual(before)
  })
})

const hex = (digits: number) => 'a'.repeat(digits)
const object = (relativeId: unknown, digest = `sha256:${hex(64)}`) =>
  `{"relativeId":${relativeId},"descriptorDigest":"${digest}","objectDigest":"${digest}"}`
const statement = ({
  version = '1',
  header = `{"digest":"sha256:${hex(64)}"}`,
  objects = [object(0)],
  more = '',
}: {
  version?: string
  header?: string
  objects?: string[]
  more?: string
} = {}) => `{"version":${version},"header":${header},"objects":[${objects.join(',')}]${more}}`

describe('a statement', () => {
  it.each([
    ['sha224', 56],
    ['sha256', 64],
    ['sha384', 96],
    ['sha512', 128],
    ['sha512_224', 56],
    ['sha512_256', 64],
  ] as const)('may have digests of %s', (name, digits) => {
    const text = statement({ objects: [object(0, `${name}:${hex(digits)}`)] })
    const { objects } = readStatement(Buffer.from(text))
    expect(hashOf(objects[0]?.objectDigest ?? 'sha256:')).toBe(name)
  })

  const refused: [what: string, text: string, reason: string][] = [
    ['that is no JSON', 'nonsense', 'is not JSON'],
    ['that is empty', '', 'is not JSON'],
    ['that is a list', '[]', 'has no content'],
    ['that is null', 'null', 'has no content'],
    ['of version 9', statement({ version: '9' }), 'is of version 9; only version 1 is known'],
    ['of version "1"', statement({ version: '"1"' }), 'is of version "1"; only version 1 is known'],
    ['of no version', '{}', 'is of version none'],
    ['of version 1.0', statement({ version: '1.0' }), 'is not in canonical form'],
    ['with a line end', `${statement()}\n`, 'is not in canonical form'],
    ['with blanks', statement().replace(':', ': '), 'is not in canonical form'],
    ['with a mark of the byte order', `\ufeff${statement()}`, 'is not JSON'],
    ['with an unknown key', statement({ more: ',"x":1' }), 'is not in canonical form'],
    ['with objects twice', statement({ more: `,"objects":[${object(0)}]` }), 'is not in canonical form'],
    [
      'with a header twice',
      statement().replace('"header"', '"header":{},"header"'),
      'is not in canonical form',
    ],
    ['with an escaped key', statement().replace('"objects"', '"object\\u0073"'), 'is not in canonical form'],
    ['with an own prototype', statement({ more: ',"__proto__":{}' }), 'is not in canonical form'],
    ['without a header', statement({ header: 'null' }), 'has no header'],
    ['with a header without digest', statement({ header: '{}' }), 'lacks a digest'],
    ['without objects', statement({ objects: [] }), 'names no objects'],
    ['with an object that is null', statement({ objects: ['null'] }), 'has no object'],
    ['with a half number', statement({ objects: [object('0.5')] }), 'names an object without a number'],
    ['with a negative number', statement({ objects: [object(-1)] }), 'names an object without a number'],
    ['with a giant number', statement({ objects: [object(4294967296)] }), 'names an object without a number'],
    [
      'with an object twice',
      statement({ objects: [object(0), object(0)] }),
      'does not name each object once',
    ],
    ['in another order', statement({ objects: [object(1), object(0)] }), 'does not name each object once'],
    ['with MD5', statement({ objects: [object(0, `md5:${hex(32)}`)] }), 'has a digest of md5, which is not'],
    [
      'with SHA-1',
      statement({ objects: [object(0, `sha1:${hex(40)}`)] }),
      'has a digest of sha1, which is not',
    ],
    [
      'with a method',
      statement({ objects: [object(0, `constructor:${hex(40)}`)] }),
      'has a digest of constructor',
    ],
    ['with a short digest', statement({ objects: [object(0, `sha256:${hex(63)}`)] }), 'that is cut off'],
    [
      'with a digest in capitals',
      statement({ objects: [object(0, `sha256:${'A'.repeat(64)}`)] }),
      'lacks a digest',
    ],
  ]
  it.each(refused)('%s is refused', (_, text, reason) => {
    expect(() => readStatement(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'SIGNATURE', message: expect.stringContaining(reason) }),
    )
  })

  it('in wrong UTF-8 is refused', () => {
    const bytes = Buffer.concat([Buffer.from(statement()), Buffer.of(0xff)])
    expect(() => readStatement(bytes)).toThrow(/is not JSON/)
  })
})
