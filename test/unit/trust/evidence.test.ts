/** What the signatures of an image are worth to who decides about it. */

import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { signatureExtra } from '../../../src/sif/details.ts'
import { dataTypes, partitionKinds, type SifObject } from '../../../src/sif/format.ts'
import { evidenceOf, oldEvidenceOf } from '../../../src/trust/evidence.ts'
import type { Origin, SignatureFinding } from '../../../src/trust/types.ts'

const [A, B] = ['AA'.repeat(20), 'BB'.repeat(20)] as [string, string]

function object(
  id: number,
  dataType: number,
  group: number,
  extra: Uint8Array = Buffer.alloc(384),
): SifObject {
  const place = { slot: id - 1, offset: 0, size: 0, paddedSize: 0, link: { kind: 'none' } } as const
  const times = { created: 0, modified: 0, uid: 0, gid: 0, name: '' }
  return { ...place, ...times, id, dataType, group, extra, raw: Buffer.alloc(585) }
}

const signature = (id: number, by: string): SifObject =>
  object(id, dataTypes.signature, 0, Buffer.concat([signatureExtra(1, Buffer.from(by, 'hex'))], 384))

const twoGroups = [object(1, dataTypes.generic, 1), object(2, dataTypes.generic, 2)]
const oneGroup = [object(1, dataTypes.generic, 1), object(2, dataTypes.generic, 1)]

const problem = new SingError('SIGNATURE', 'object 1 was changed', { hint: 'look' })
const by = (fingerprint: string, origin: Origin = 'global'): Pick<SignatureFinding, 'signer'> => ({
  signer: { kind: 'openpgp', name: 'ann', fingerprint, origin },
})
const finding = (group: number, more: Partial<SignatureFinding>): SignatureFinding => ({
  id: 9,
  group,
  objects: [],
  ...more,
})
const of = (objects: readonly SifObject[], ...signatures: SignatureFinding[]) =>
  evidenceOf(objects, { signatures, uncovered: [] }, ['global'])

describe('the evidence of signatures', () => {
  it('names for each group who has signed it', () => {
    expect(of(twoGroups, finding(1, by(A)), finding(2, by(A)), finding(2, by(B)))).toEqual({
      parts: [[A], [A, B]],
      named: [A, B],
    })
  })

  it('counts keys of some origins alone', () => {
    expect(of(oneGroup, finding(1, by(A, 'local')), finding(1, by(B)))).toMatchObject({ parts: [[B]] })
    const { flaw } = of(oneGroup, finding(1, by(A, 'remote')))
    expect(flaw).toBe('no signature of group 1 holds that is by a known key')
  })

  it('passes over a signature by somebody unknown, and says that it is there', () => {
    const found = of([...oneGroup, signature(3, B)], finding(1, by(A)), finding(1, { problem }))
    expect(found).toEqual({ parts: [[A]], named: [B, A] })
  })

  it.each([
    [
      'a signature by somebody known that does not hold',
      of(oneGroup, finding(1, by(A)), finding(1, { ...by(B), problem })),
      'object 1 was changed',
    ],
    ['a group that nobody has signed', of(twoGroups, finding(1, by(A))), 'no signature of group 2 holds'],
    [
      'an object without a group',
      of([...oneGroup, object(7, dataTypes.generic, 0)], finding(1, by(A))),
      'object 7 is in no group',
    ],
    ['nothing to sign', of([]), 'it has nothing that could be signed'],
    [
      'a key of a PEM file',
      of(oneGroup, finding(1, { signer: { kind: 'pem', keyId: 'SHA256:x' } })),
      'no signature of group 1 holds',
    ],
  ])('has a flaw: %s', (_, { flaw }, sentence) => {
    expect(flaw).toContain(sentence)
  })

  it('of old signatures is about one part', () => {
    const verdict = { signatures: [finding(1, by(A))], uncovered: [], problem }
    expect(oldEvidenceOf(twoGroups, verdict, ['global'])).toEqual({
      parts: [[A]],
      named: [A],
      problem: { message: 'object 1 was changed', hint: 'look' },
    })
    const overlay = { filesystem: 1, kind: partitionKinds.overlay, arch: '02' }
    const more = [
      { ...object(3, dataTypes.partition, 1), partition: overlay },
      object(3, dataTypes.genericJson, 1),
    ]
    for (const one of more) {
      expect(oldEvidenceOf([...twoGroups, one], verdict, ['global']).flaw).toBe(
        'object 3 is used with the root file system, and old signatures are not about it',
      )
    }
    const { flaw } = oldEvidenceOf(twoGroups, { signatures: [], uncovered: [] }, ['global'])
    expect(flaw).toBe('no old signature holds that is by a known key')
  })
})
