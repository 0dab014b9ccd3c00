/**
 * Old signatures, those of Singularity before 3.6: a hash of the bytes of objects, and nothing about header and descriptors. They are looked
 * at only where a person asks for it.
 */

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { SingError } from '../core/errors.ts'
import { decodeSignature } from '../sif/details.ts'
import type { OpenSif } from '../sif/edit.ts'
import { dataTypes, partitionKinds, type SifObject } from '../sif/format.ts'
import { readObject } from './digests.ts'
import {
  type Envelope,
  groupWith,
  objectWith,
  openSignature,
  signaturesOfGroup,
  signaturesOfObject,
  withSignature,
} from './signatures.ts'
import type { SignatureFinding, Task } from './types.ts'
import type { Check, VerifyOptions } from './verify.ts'

/** Algorithms by their code in descriptors. */
const algorithms: Readonly<Record<number, string>> = { 1: 'sha256', 2: 'sha384', 3: 'sha512' }

/** What has to hold. @throws SingError SIF_OBJECT, SIGNATURE */
export function* legacyChecks(open: OpenSif, options: VerifyOptions): Generator<Check> {
  for (const task of options.tasks ?? usualTasks(open, options)) {
    const objects = subjectOf(task, open)
    const envelopes =
      task.kind === 'group' ? signaturesOfGroup(open, task.id, 'old') : signaturesOfObject(open, task.id)
    for (const envelope of envelopes) yield () => checkLegacy(open, envelope, objects, options)
  }
}

/** The root file system, or every object that is in a group. */
function usualTasks({ sif }: OpenSif, { all }: VerifyOptions): Task[] {
  const objects = sif.objects.filter(({ group, dataType, partition }) =>
    all ? group !== 0 && dataType !== dataTypes.signature : partition?.kind === partitionKinds.primary,
  )
  if (objects.length === 0) {
    throw new SingError('SIF_OBJECT', 'there is no root file system', {
      hint: 'Name what has to be signed: --sif-id NUMBER, --group-id NUMBER, or --all',
    })
  }
  return objects
    .map(({ id }) => id)
    .sort((a, b) => a - b)
    .map((id) => ({ kind: 'object', id }))
}

/** The objects whose bytes are hashed one after the other: those of a group in the order of the table. */
const subjectOf = ({ kind, id }: Task, { sif }: OpenSif): SifObject[] =>
  kind === 'object' ? [objectWith(id, sif)] : groupWith(id, sif).sort((a, b) => a.slot - b.slot)

async function checkLegacy(
  open: OpenSif,
  envelope: Envelope,
  objects: readonly SifObject[],
  options: VerifyOptions,
): Promise<SignatureFinding> {
  const finding = { id: envelope.object.id, group: objects[0]?.group ?? 0, objects: [] }
  try {
    const { message, signer } = await openSignature(envelope, options.material)
    const claim = await withSignature(envelope, () => readClaim(message, envelope))
    const isIntact = (await hashOf(open, objects, claim.algorithm, options)) === claim.digest
    return {
      ...finding,
      signer,
      objects: objects.map(({ id }) => ({ id, isIntact })),
      problem: isIntact ? undefined : changed(objects),
    }
  } catch (cause) {
    if (cause instanceof SingError && cause.code === 'SIGNATURE') return { ...finding, problem: cause }
    throw cause
  }
}

function changed(objects: readonly SifObject[]): SingError {
  const ids = objects.map(({ id }) => id)
  const what = ids.length === 1 ? `object ${ids[0]} was` : `one of the objects ${ids.join(', ')} was`
  return new SingError('SIGNATURE', `${what} changed after it was signed`)
}

function readClaim(message: Uint8Array, { object }: Envelope): { algorithm: string; digest: string } {
  const [, digest] = /^SIFHASH:\n([0-9a-f]+)$/.exec(Buffer.from(message).toString('latin1')) ?? []
  const { hash } = decodeSignature(object.extra)
  const algorithm = algorithms[hash]
  if (digest === undefined) throw new SingError('SIGNATURE', 'it is no old signature')
  if (algorithm === undefined)
    throw new SingError('SIGNATURE', `its hash algorithm is not supported (number ${hash})`)
  return { algorithm, digest }
}

async function hashOf(
  open: OpenSif,
  objects: readonly SifObject[],
  algorithm: string,
  options: VerifyOptions,
): Promise<string> {
  const hash = createHash(algorithm)
  for (const object of objects) await readObject(open, object, (chunk) => hash.update(chunk), options)
  return hash.digest('hex')
}
