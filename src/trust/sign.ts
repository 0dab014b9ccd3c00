/**
 * Signs images: a statement about each group of objects, or about single objects, goes in an envelope of the key into the image. All
 * signatures of a run are there at once, or none is. Who signs at the same time waits, and both signatures are there in the end.
 */

import { access, constants } from 'node:fs/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type Report, silent } from '../core/events.ts'
import { signatureExtra } from '../sif/details.ts'
import { addObjects, type OpenSif } from '../sif/edit.ts'
import { dataTypes, type SifObject } from '../sif/format.ts'
import { firstIdOf, groupsOf, membersOf, ungroupedOf, writeStatement } from '../sif/integrity.ts'
import { checkLayout } from '../sif/layout.ts'
import { findObject, readSif, type Sif } from '../sif/read.ts'
import type { NewObject } from '../sif/write.ts'
import { type Digests, digestsOf } from './digests.ts'
import { sealDsse } from './dsse.ts'
import { withNextStep } from './no-sif.ts'
import { sealOpenPgp } from './openpgp-envelope.ts'
import type { SigningKey, Task } from './types.ts'

export type SignOptions = {
  readonly key: SigningKey
  /** What to sign; every group unless given. */
  readonly tasks?: readonly Task[]
  /** Unix seconds of the change; now unless given. */
  readonly time?: number
  readonly report?: Report
  readonly signal?: AbortSignal
}

/** A signature that was added. */
export type Signed = {
  /** Id of its object. */
  readonly id: number
  readonly group: number
  /** Ids of what it is about. */
  readonly objects: readonly number[]
}

/** The one hash that every program knows: `hashNames`. */
const sha256 = 1

/** What one signature will be about. */
type Plan = {
  readonly group: number
  readonly members: readonly SifObject[]
  readonly objects: readonly SifObject[]
}

/**
 * Sign the image at `path`.
 * @throws SingError SIF_OBJECT for what is not there, or when the table has no room; KEY when the key cannot sign; SIF_FORMAT for an image
 * in which a signature could be about two things; like `addObjects`
 */
export async function signImage(path: string, options: SignOptions): Promise<Signed[]> {
  const { key, tasks = [], report = silent, ...more } = options
  let plans: readonly Plan[] = []
  const ids = await addObjects(
    path,
    async (source) => {
      checkImage(source.sif, report)
      plans = plansFor(source.sif, tasks)
      return await seal(source, plans, options)
    },
    { report, ...more },
  )
  return plans.map(({ group, objects }, index) => ({
    id: ids[index] ?? 0,
    group,
    objects: objects.map(({ id }) => id),
  }))
}

/**
 * Find out whether the image can be signed, before somebody types a passphrase.
 * @throws SingError like `signImage`
 */
export async function requireSignable(path: string, tasks: readonly Task[]): Promise<void> {
  const sif = await readSif(path).catch((error: unknown) => {
    throw withNextStep(path, error)
  })
  plansFor(sif, tasks)
  await access(path, constants.W_OK).catch((cause: unknown) => {
    throw new SingError('IO', `cannot write to ${shown(path)}: ${reasonOf(cause)}`, {
      hint: 'A signature is put into the image: sign a copy of your own, or let its owner do it',
      cause,
    })
  })
}

/** Nobody should sign what no signature makes certain. */
function checkImage(sif: Sif, report: Report): void {
  try {
    checkLayout(sif)
  } catch (cause) {
    if (!(cause instanceof SingError)) throw cause
    throw new SingError(cause.code, `cannot sign ${shown(sif.path)}: ${cause.message}`, {
      hint: cause.hint,
      cause,
    })
  }
  const outside = ungroupedOf(sif.objects).map(({ id }) => id)
  if (outside.length === 0) return
  const text = `no signature is about object ${outside.join(', ')} of ${shown(sif.path)}, which is in no group: verify refuses the image`
  report({ kind: 'warning', text })
}

function plansFor(sif: Sif, tasks: readonly Task[]): Plan[] {
  if (tasks.length > 0)
    return tasks.map((task) => (task.kind === 'group' ? planGroup(sif, task.id) : planObject(sif, task.id)))
  const groups = groupsOf(sif.objects)
  if (groups.length > 0) return groups.map((group) => planGroup(sif, group))
  throw new SingError(
    'SIF_OBJECT',
    `${shown(sif.path)} has no group of objects, so there is nothing to sign`,
    {
      hint: `To see its objects: sing sif list ${shown(sif.path)}`,
    },
  )
}

function planGroup(sif: Sif, group: number): Plan {
  const members = membersOf(sif.objects, group)
  if (members.length > 0) return { group, members, objects: members }
  const groups = groupsOf(sif.objects).join(', ')
  throw new SingError('SIF_OBJECT', `${shown(sif.path)} has no group ${group}`, {
    hint: `It has: ${groups || 'none'}`,
  })
}

function planObject(sif: Sif, id: number): Plan {
  const object = findObject(sif, id)
  const { group } = object
  if (group !== 0) return { group, members: membersOf(sif.objects, group), objects: [object] }
  const what = object.dataType === dataTypes.signature ? 'is a signature itself' : 'is in no group'
  throw new SingError('SIF_OBJECT', `object ${id} of ${shown(sif.path)} cannot be signed: it ${what}`, {
    hint: `To see its objects: sing sif list ${shown(sif.path)}`,
  })
}

/** The signature objects, made one after the other: each datum is hashed once. */
async function seal(
  source: OpenSif,
  plans: readonly Plan[],
  { key, report, signal }: SignOptions,
): Promise<NewObject[]> {
  const digests = digestsOf(source, { ...(report && { report }), signal })
  const objects: NewObject[] = []
  for (const plan of plans) {
    objects.push({
      dataType: dataTypes.signature,
      group: 0,
      link: { kind: 'group', id: plan.group },
      extra: signatureExtra(sha256, fingerprintOf(key)),
      data: await sealPlan(plan, digests, key),
    })
  }
  return objects
}

/** Of the primary key, also when a subkey signs. A bare key has none. */
const fingerprintOf = (key: SigningKey): Uint8Array | undefined =>
  key.kind === 'openpgp' ? Buffer.from(key.key.getFingerprint(), 'hex') : undefined

async function sealPlan(plan: Plan, digests: Digests, key: SigningKey): Promise<Buffer> {
  const statement = await stateOf(plan, digests)
  return key.kind === 'openpgp'
    ? await sealOpenPgp(statement, key.key)
    : sealDsse(Buffer.from(statement), key.key)
}

async function stateOf({ members, objects }: Plan, digests: Digests): Promise<string> {
  const first = firstIdOf(members)
  const signed = []
  for (const object of objects) {
    const relativeId = object.id - first
    const descriptorDigest = digests.descriptor(object, relativeId, 'sha256')
    signed.push({ relativeId, descriptorDigest, objectDigest: await digests.data(object, 'sha256') })
  }
  return writeStatement({ header: digests.header('sha256'), objects: signed })
}
