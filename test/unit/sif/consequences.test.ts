/** What is said of signatures before a change of a SIF. */

import { describe, expect, it } from 'vitest'
import { consequences } from '../../../src/sif/consequences.ts'
import { partitionExtra, signatureExtra } from '../../../src/sif/details.ts'
import {
  dataTypes,
  filesystems,
  partitionKinds,
  type SifLink,
  type SifObject,
} from '../../../src/sif/format.ts'

const fingerprint = 'AB'.repeat(20)

function object(id: number, dataType: number, group: number, more: Partial<SifObject> = {}): SifObject {
  const place = { slot: id - 1, offset: 0, size: 0, paddedSize: 0 }
  const plain = { created: 0, modified: 0, uid: 0, gid: 0, name: '', link: { kind: 'none' } } as const
  return {
    ...place,
    ...plain,
    id,
    dataType,
    group,
    extra: Buffer.alloc(384),
    raw: Buffer.alloc(585),
    ...more,
  }
}

const { squashfs } = filesystems
const partition = (id: number, group: number, kind: number, filesystem: number = squashfs): SifObject =>
  object(id, dataTypes.partition, group, {
    partition: { filesystem, kind, arch: '02' },
    extra: partitionExtra(filesystem, kind, '02'),
  })

const signature = (id: number, link: SifLink, by = ''): SifObject =>
  object(id, dataTypes.signature, 0, {
    link,
    extra: Buffer.concat([signatureExtra(1, Buffer.from(by, 'hex'))], 384),
  })

const { system, primary, overlay } = partitionKinds
const definition = object(1, dataTypes.definition, 1)
const root = partition(2, 1, primary)
const data = object(3, dataTypes.generic, 2)
const other = partition(6, 2, system)
const ofFirst = signature(4, { kind: 'group', id: 1 }, fingerprint)
const bySecond = signature(5, { kind: 'group', id: 1 })

const image = [definition, root, data, ofFirst, bySecond]
const unsigned = [definition, root]
const first = `signature 4 of group 1 (by ${fingerprint}) does not hold any more`
const second = 'signature 5 of group 1 does not hold any more'
const { generic } = dataTypes

describe('a change of an image', () => {
  it.each([
    [
      'adding to a signed group',
      image,
      { kind: 'add', dataType: generic, group: 1 },
      [`${first}: the new object is not signed`, `${second}: the new object is not signed`],
    ],
    ['adding to a group that nobody has signed', image, { kind: 'add', dataType: generic, group: 2 }, []],
    [
      'adding a group',
      image,
      { kind: 'add', dataType: generic, group: 3 },
      ['the image as a whole is no longer signed: nobody has signed the new group 3'],
    ],
    [
      'adding without a group',
      image,
      { kind: 'add', dataType: generic, group: 0 },
      ['the image can no longer be verified: no signature can be about an object without a group'],
    ],
    ['adding a signature', image, { kind: 'add', dataType: dataTypes.signature, group: 0 }, []],
    ['adding to an image without signatures', unsigned, { kind: 'add', dataType: generic, group: 0 }, []],
    [
      'deleting what is signed',
      image,
      { kind: 'delete', id: 1 },
      [`${first}: object 1 is gone`, `${second}: object 1 is gone`],
    ],
    ['deleting what nobody has signed', image, { kind: 'delete', id: 3 }, []],
    ['deleting a signature', image, { kind: 'delete', id: 4 }, []],
    ['deleting what is not there', image, { kind: 'delete', id: 9 }, []],
    [
      'deleting what an old signature is about',
      [...unsigned, signature(7, { kind: 'object', id: 2 })],
      { kind: 'delete', id: 2 },
      ['signature 7 of object 2 does not hold any more: object 2 is gone'],
    ],
    [
      'writing to an overlay that is signed',
      [...image, partition(8, 1, overlay, filesystems.ext3)],
      { kind: 'overlay' },
      [
        `${first}: the overlay is signed with the rest, and --writable changes it`,
        `${second}: the overlay is signed with the rest, and --writable changes it`,
      ],
    ],
    [
      'writing to an overlay that is not',
      [...image, partition(8, 2, overlay, filesystems.ext3)],
      { kind: 'overlay' },
      [],
    ],
    ['writing to no overlay', [...image, partition(8, 1, overlay)], { kind: 'overlay' }, []],
    [
      'choosing another partition',
      [...image, other],
      { kind: 'primary', id: 6 },
      [
        `${first}: which partition is the primary one is signed with the rest`,
        `${second}: which partition is the primary one is signed with the rest`,
      ],
    ],
    ['choosing the same partition', [...image, other], { kind: 'primary', id: 2 }, []],
    ['choosing what is no partition', [...image, other], { kind: 'primary', id: 1 }, []],
  ] as const)('%s', (_, objects, change, sentences) => {
    expect(consequences(objects, change)).toEqual(sentences)
  })
})
