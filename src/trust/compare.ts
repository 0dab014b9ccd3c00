/** An image beside the statement that somebody signed of it: what is as it was, and the first thing that is not. */

import { SingError } from '../core/errors.ts'
import type { SifObject } from '../sif/format.ts'
import { firstIdOf, hashOf, type SignedObject, type Statement } from '../sif/integrity.ts'
import type { Digests } from './digests.ts'
import type { ComparedObject } from './types.ts'

export type Comparison = {
  /** All objects of the group that the statement is about. */
  readonly members: readonly SifObject[]
  /** Those that are to be as they were signed, in the order of their ids. */
  readonly wanted: readonly SifObject[]
  /** The statement has to name all members and nothing else. */
  readonly isWhole: boolean
  readonly digests: Digests
}

export type Compared = {
  readonly objects: readonly ComparedObject[]
  readonly problem?: SingError | undefined
}

const differs = (sentence: string): SingError =>
  new SingError('SIGNATURE', sentence, {
    hint: 'Fetch the image again, or ask who signed it for the one that was signed',
  })

/** Compare in the order in which the peers do, up to the first difference. */
export async function compare(statement: Statement, comparison: Comparison): Promise<Compared> {
  const { members, wanted, digests } = comparison
  const first = firstIdOf(members)
  const signed = new Map(statement.objects.map((object) => [first + object.relativeId, object]))
  const problem = differenceOfSets(signed, comparison) ?? differenceOfHeader(statement, digests)
  const objects: ComparedObject[] = []
  if (problem) return { objects, problem }
  for (const object of wanted) {
    const claim = signed.get(object.id) as SignedObject
    const { descriptorDigest, objectDigest } = claim
    if (digests.descriptor(object, claim.relativeId, hashOf(descriptorDigest)) !== descriptorDigest)
      return {
        objects,
        problem: differs(`the descriptor of object ${object.id} was changed after it was signed`),
      }
    const isIntact = (await digests.data(object, hashOf(objectDigest))) === objectDigest
    objects.push({ id: object.id, isIntact })
    if (!isIntact) return { objects, problem: differs(`object ${object.id} was changed after it was signed`) }
  }
  return { objects }
}

function differenceOfSets(
  signed: ReadonlyMap<number, SignedObject>,
  { members, wanted, isWhole }: Comparison,
): SingError | undefined {
  const unsigned = wanted.find(({ id }) => !signed.has(id))
  if (unsigned) return differs(`object ${unsigned.id} is not among the objects that were signed`)
  if (!isWhole) return undefined
  const ids = new Set(members.map(({ id }) => id))
  const missing = [...signed.keys()].find((id) => !ids.has(id))
  return missing === undefined ? undefined : differs(`object ${missing} was signed, and is not there`)
}

function differenceOfHeader({ header }: Statement, digests: Digests): SingError | undefined {
  return digests.header(hashOf(header)) === header
    ? undefined
    : differs('the header was changed after it was signed')
}
