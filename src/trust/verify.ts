/**
 * The verdict on an image: every signature that counts is opened, and what it says is compared with the file. All of it happens on one open
 * file that is parsed once, so that nothing can be exchanged between two looks at it.
 */

import { type BigIntStats, fstatSync } from 'node:fs'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { OpenSif } from '../sif/edit.ts'
import type { SifObject } from '../sif/format.ts'
import { groupsOf, membersOf, readStatement, ungroupedOf } from '../sif/integrity.ts'
import { checkLayout } from '../sif/layout.ts'
import { openFile, parseSif, readOnly } from '../sif/read.ts'
import { type Comparison, compare } from './compare.ts'
import { uncoveredBy } from './coverage.ts'
import { digestsOf } from './digests.ts'
import { legacyChecks } from './legacy.ts'
import {
  type Envelope,
  groupWith,
  objectWith,
  openSignature,
  signaturesOfGroup,
  withSignature,
} from './signatures.ts'
import type { FindKey, FoundKey, Material, SignatureFinding, Task, Verdict } from './types.ts'

export type VerifyOptions = {
  readonly material: Material
  /** What has to be signed; every group unless given. */
  readonly tasks?: readonly Task[] | undefined
  /** Look at old signatures, and at no others. */
  readonly legacy?: boolean
  /** With old signatures: every object that is in a group. Always: say all that signatures never cover. */
  readonly all?: boolean
  /** Look at every signature, also behind the first that does not hold. */
  readonly every?: boolean
  readonly report?: Report
  readonly signal?: AbortSignal | undefined
}

/** One signature that has to hold. */
export type Check = () => Promise<SignatureFinding>

/**
 * Verify the image at `path`.
 * @throws SingError when it cannot be read, or is no SIF
 */
export async function verifyImage(path: string, options: VerifyOptions): Promise<Verdict> {
  await using file = await openFile(path, readOnly)
  return await verifyOpen({ fd: file.fd, sif: parseSif(file.fd, path) }, options)
}

/** Verify an image that is open. Who uses it afterwards uses the same descriptor, and the offsets of the same parsed table. */
export async function verifyOpen(open: OpenSif, options: VerifyOptions): Promise<Verdict> {
  const before = fstatSync(open.fd, { bigint: true })
  const signatures: SignatureFinding[] = []
  const material = remembering(options.material)
  const problem = (await firstProblem(open, { ...options, material }, signatures)) ?? changeOf(before, open)
  return { signatures, problem, uncovered: uncoveredBy(open.sif, signatures, options) }
}

/** A key is looked for once, however many signatures are by it. */
function remembering(material: Material): Material {
  if (material.kind !== 'openpgp') return material
  const known = new Map<string, Promise<FoundKey | undefined>>()
  const find: FindKey = (keyId) => {
    const key = known.get(keyId) ?? material.find(keyId)
    known.set(keyId, key)
    return key
  }
  return { kind: 'openpgp', find }
}

const aboutImage: readonly string[] = ['SIGNATURE', 'SIF_FORMAT', 'SIF_OBJECT']

/** Look at one signature after the other, up to the first that does not hold. What was seen is put into `signatures`. */
async function firstProblem(
  open: OpenSif,
  options: VerifyOptions,
  signatures: SignatureFinding[],
): Promise<SingError | undefined> {
  let problem: SingError | undefined
  try {
    for (const check of checksOf(open, options)) {
      const finding = await check()
      signatures.push(finding)
      problem ??= finding.problem
      if (problem && !options.every) break
    }
    return problem
  } catch (cause) {
    if (cause instanceof SingError && aboutImage.includes(cause.code)) return problem ?? cause
    throw cause
  }
}

/** What has to hold, in the order of the tasks. A task without a signature is found out when its turn comes. */
function* checksOf(open: OpenSif, options: VerifyOptions): Generator<Check> {
  const { sif } = open
  checkLayout(sif)
  for (const object of ungroupedOf(sif.objects)) throw outside(object)
  const digests = digestsOf(open, options)
  if (options.legacy) return yield* legacyChecks(open, options)
  for (const task of options.tasks ?? everyGroup(open)) {
    const comparison = { ...subjectOf(task, open), digests }
    for (const envelope of signaturesOfGroup(open, comparison.group, 'new'))
      yield () => checkSignature(envelope, options.material, comparison)
  }
}

const outside = ({ id }: SifObject): SingError =>
  new SingError('SIGNATURE', `object ${id} is in no group, so that no signature can be about it`, {
    hint: 'Look at it with sing sif list; what nobody needs is removed with sing sif del.',
  })

/** Images have one or two; each takes a look at the whole table. */
const mostGroups = 256

function everyGroup({ sif }: OpenSif): Task[] {
  const groups = groupsOf(sif.objects)
  if (groups.length === 0) throw new SingError('SIGNATURE', 'the image holds nothing that could be signed')
  if (groups.length > mostGroups) {
    const sentence = `the image has ${groups.length} groups of objects; no more than ${mostGroups} are looked at`
    throw new SingError('SIGNATURE', sentence)
  }
  return groups.map((id) => ({ kind: 'group', id }))
}

type Subject = Omit<Comparison, 'digests'> & { readonly group: number }

/** The objects that a task is about. @throws SingError SIF_OBJECT, SIGNATURE */
function subjectOf({ kind, id }: Task, { sif }: OpenSif): Subject {
  if (kind === 'object') {
    const object = objectWith(id, sif)
    if (object.group === 0) throw outside(object)
    const members = membersOf(sif.objects, object.group)
    return { group: object.group, members, wanted: [object], isWhole: false }
  }
  const members = groupWith(id, sif)
  return { group: id, members, wanted: members, isWhole: true }
}

/** Whether one signature holds for what it has to be about. */
async function checkSignature(
  envelope: Envelope,
  material: Material,
  comparison: Comparison & { readonly group: number },
): Promise<SignatureFinding> {
  const { id } = envelope.object
  const { group } = comparison
  try {
    const { message, signer } = await openSignature(envelope, material)
    const statement = await withSignature(envelope, () => readStatement(message))
    return { id, group, signer, ...(await compare(statement, comparison)) }
  } catch (cause) {
    if (cause instanceof SingError && cause.code === 'SIGNATURE')
      return { id, group, objects: [], problem: cause }
    throw cause
  }
}

/** Something that wrote to the file meanwhile may have written between two reads. */
function changeOf(before: BigIntStats, { fd, sif }: OpenSif): SingError | undefined {
  const now = fstatSync(fd, { bigint: true })
  if (now.size === before.size && now.mtimeNs === before.mtimeNs && now.ctimeNs === before.ctimeNs)
    return undefined
  return new SingError('SIGNATURE', `${shown(sif.path)} was changed while it was verified`, {
    hint: 'Verify it again when nobody writes to it.',
  })
}
