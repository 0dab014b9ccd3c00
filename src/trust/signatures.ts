/** The signature objects of an image: finding and opening those that are about a group or an object. */

import { SingError, shown } from '../core/errors.ts'
import { decodeSignature, hashNames } from '../sif/details.ts'
import type { OpenSif } from '../sif/edit.ts'
import { dataTypes, type SifObject } from '../sif/format.ts'
import { membersOf, signaturesOf } from '../sif/integrity.ts'
import { readAt, type Sif } from '../sif/read.ts'
import { isLegacy, longestEnvelope, openEnvelope } from './envelope.ts'
import type { Material, Opened } from './types.ts'

/** Of one group or object. Each may cost the search for a key, and a person reads the result. */
const mostSignatures = 256
/** Bytes of all of them, which are in memory at the same time. */
const mostBytes = 64 * 1024 * 1024

export type Envelope = { readonly object: SifObject; readonly bytes: Buffer }

const none = (what: string, { path }: Sif): SingError =>
  new SingError('SIF_OBJECT', `there is no ${what}`, {
    hint: `To see what there is: sing sif list ${shown(path)}`,
  })

/** The object with an id, of a file in which ids are unique. @throws SingError SIF_OBJECT */
export function objectWith(id: number, sif: Sif): SifObject {
  const found = sif.objects.find((object) => object.id === id)
  if (found) return found
  throw none(`object ${id}`, sif)
}

/** The objects of a group. @throws SingError SIF_OBJECT when there are none */
export function groupWith(id: number, sif: Sif): SifObject[] {
  const members = membersOf(sif.objects, id)
  if (members.length > 0) return members
  throw none(`group ${id}`, sif)
}

/**
 * The signatures of a group, old ones or those of today.
 * @throws SingError SIGNATURE when there is none, or too much to look at
 */
export function signaturesOfGroup(open: OpenSif, group: number, wanted: 'old' | 'new'): Envelope[] {
  const all = readEnvelopes(open, signaturesOf(open.sif.objects, group), `group ${group}`)
  const found = all.filter(({ bytes }) => isLegacy(bytes) === (wanted === 'old'))
  if (found.length > 0) return found
  throw unsigned(`group ${group}`, wanted, open)
}

/**
 * The signatures of one object, which only old ones are.
 * @throws SingError SIGNATURE when there is none, or too much to look at
 */
export function signaturesOfObject(open: OpenSif, id: number): Envelope[] {
  const found = open.sif.objects.filter(
    ({ dataType, link }) => dataType === dataTypes.signature && link.kind === 'object' && link.id === id,
  )
  if (found.length === 0) throw unsigned(`object ${id}`, 'old', open)
  return readEnvelopes(open, found, `object ${id}`)
}

function unsigned(what: string, wanted: 'old' | 'new', { sif }: OpenSif): SingError {
  const signatures = sif.objects.filter(({ dataType }) => dataType === dataTypes.signature)
  const hints = {
    none: 'Whoever made the image signs it with: sing sign IMAGE',
    // Of single objects there are old ones only.
    new: signatures.some(({ link }) => link.kind === 'object')
      ? 'There are old signatures, which say less: --legacy-insecure looks at them.'
      : 'There are signatures of other objects: sing sif list shows what each is linked to.',
    old: 'Old signatures are looked at only: without --legacy-insecure those of today are.',
  }
  const hint = hints[signatures.length === 0 ? 'none' : wanted]
  return new SingError('SIGNATURE', `${what} is not signed`, { hint })
}

function readEnvelopes({ fd }: OpenSif, objects: readonly SifObject[], what: string): Envelope[] {
  if (objects.length > mostSignatures) {
    throw new SingError(
      'SIGNATURE',
      `${what} has ${objects.length} signatures; no more than ${mostSignatures} are looked at`,
    )
  }
  const total = objects.reduce((sum, { size }) => sum + Math.min(size, longestEnvelope), 0)
  if (total > mostBytes) {
    const sentence = `${what} has signatures of ${total} bytes; no more than ${mostBytes} are read`
    throw new SingError('SIGNATURE', sentence)
  }
  return objects.map((object) => {
    if (object.size <= longestEnvelope) return { object, bytes: readAt(fd, object.offset, object.size) }
    throw refused(object, `it has ${object.size} bytes, more than any signature needs`)
  })
}

const refused = ({ id }: SifObject, reason: string, cause?: SingError): SingError =>
  new SingError('SIGNATURE', `signature ${id} does not hold: ${reason}`, { hint: cause?.hint, cause })

/** Do something with a signature; what is wrong with it is told with its number. */
export async function withSignature<T>({ object }: Envelope, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw cause instanceof SingError && cause.code === 'SIGNATURE'
      ? refused(object, cause.message, cause)
      : cause
  }
}

/**
 * What was signed, and who signed it. The descriptor has to name the same key.
 * @throws SingError SIGNATURE
 */
export async function openSignature(envelope: Envelope, material: Material): Promise<Opened> {
  return await withSignature(envelope, async () => {
    const { hash, entity } = decodeSignature(envelope.object.extra)
    if (!Object.hasOwn(hashNames, hash))
      throw new SingError('SIGNATURE', `its descriptor names a hash algorithm that is not known (${hash})`)
    const opened = await openEnvelope(envelope.bytes, material)
    if (entity !== (opened.signer.kind === 'openpgp' ? opened.signer.fingerprint : ''))
      throw new SingError('SIGNATURE', 'its descriptor names another key than the one that signed')
    return opened
  })
}
