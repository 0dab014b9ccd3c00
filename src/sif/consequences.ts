/** What a change of a SIF does to the signatures in it, in sentences, before it is made (pure). */

import { shown } from '../core/errors.ts'
import { decodeSignature } from './details.ts'
import { dataTypes, filesystems, partitionKinds, type SifObject } from './format.ts'
import { groupsOf, signaturesOf } from './integrity.ts'

export type Change =
  | { readonly kind: 'add'; readonly dataType: number; readonly group: number }
  | { readonly kind: 'delete'; readonly id: number }
  | { readonly kind: 'primary'; readonly id: number }
  /** A container writes to the overlay in the image. */
  | { readonly kind: 'overlay' }

const isSignature = ({ dataType }: Pick<SifObject, 'dataType'>): boolean => dataType === dataTypes.signature

/** `signature 4 of group 1 (by 7064B1D6...)` */
function nameOf({ id, link, extra }: SifObject): string {
  const { entity } = decodeSignature(extra)
  const about =
    link.kind === 'group' ? `group ${link.id}` : `object ${link.kind === 'object' ? link.id : '?'}`
  return `signature ${id} of ${about}${entity === '' ? '' : ` (by ${shown(entity)})`}`
}

const broken = (signatures: readonly SifObject[], reason: string): string[] =>
  signatures.map((signature) => `${nameOf(signature)} does not hold any more: ${reason}`)

function afterAdding(objects: readonly SifObject[], dataType: number, group: number): string[] {
  if (isSignature({ dataType })) return []
  if (group === 0) {
    return ['the image can no longer be verified: no signature can be about an object without a group']
  }
  const signatures = signaturesOf(objects, group)
  if (signatures.length > 0) return broken(signatures, 'the new object is not signed')
  return groupsOf(objects).includes(group)
    ? []
    : [`the image as a whole is no longer signed: nobody has signed the new group ${group}`]
}

function afterDeleting(objects: readonly SifObject[], id: number): string[] {
  return objects
    .filter((object) => object.id === id && !isSignature(object))
    .flatMap(({ group }) => [
      ...(group === 0 ? [] : signaturesOf(objects, group)),
      ...objects.filter(
        (other) => isSignature(other) && other.link.kind === 'object' && other.link.id === id,
      ),
    ])
    .flatMap((signature) => broken([signature], `object ${id} is gone`))
}

function afterChoosing(objects: readonly SifObject[], id: number): string[] {
  const isPrimary = ({ partition }: SifObject): boolean => partition?.kind === partitionKinds.primary
  const isSystem = ({ partition }: SifObject): boolean => partition?.kind === partitionKinds.system
  const changed = objects.filter((object) => (object.id === id ? isSystem(object) : isPrimary(object)))
  if (!objects.some((object) => object.id === id && (isSystem(object) || isPrimary(object)))) return []
  return groupsOf(changed).flatMap((group) =>
    broken(signaturesOf(objects, group), 'which partition is the primary one is signed with the rest'),
  )
}

function afterWriting(objects: readonly SifObject[]): string[] {
  const written = objects.filter(
    ({ partition }) =>
      partition?.kind === partitionKinds.overlay && partition.filesystem === filesystems.ext3,
  )
  return groupsOf(written).flatMap((group) =>
    broken(signaturesOf(objects, group), 'the overlay is signed with the rest, and --writable changes it'),
  )
}

/** A sentence for each thing that was signed and will not be; none when verification says the same afterwards. */
export function consequences(objects: readonly SifObject[], change: Change): string[] {
  if (!objects.some(isSignature)) return []
  switch (change.kind) {
    case 'add':
      return afterAdding(objects, change.dataType, change.group)
    case 'delete':
      return afterDeleting(objects, change.id)
    case 'primary':
      return afterChoosing(objects, change.id)
    case 'overlay':
      return afterWriting(objects)
  }
}
