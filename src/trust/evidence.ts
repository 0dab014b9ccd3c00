/** What the signatures of an image are worth to whoever has to decide about it (pure). */

import { decodeSignature } from '../sif/details.ts'
import { dataTypes, partitionKinds, type SifObject } from '../sif/format.ts'
import { groupsOf, ungroupedOf } from '../sif/integrity.ts'
import type { Signed } from './ecl.ts'
import type { Origin, SignatureFinding, Verdict } from './types.ts'

export type Evidence = {
  /** For each group of objects: the fingerprints of whose signatures of all of it hold. */
  readonly parts: readonly (readonly string[])[]
  /** The fingerprints that signatures name, whether they hold or not. */
  readonly named: readonly string[]
  /** Why the image counts as unsigned, whoever has signed it. */
  readonly flaw?: string | undefined
  /** Why not all signatures hold: what `sing verify` says. */
  readonly problem?: { readonly message: string; readonly hint?: string | undefined } | undefined
}

type Origins = readonly Origin[]

const signersOf = (findings: readonly SignatureFinding[]): string[] =>
  findings.flatMap(({ signer }) => (signer?.kind === 'openpgp' ? signer.fingerprint : []))

const namedBy = (objects: readonly SifObject[]): string[] =>
  objects
    .filter(({ dataType }) => dataType === dataTypes.signature)
    .map(({ extra }) => decodeSignature(extra).entity)
    .filter((entity) => entity !== '')

const holding = ({ signatures }: Verdict, origins: Origins): SignatureFinding[] =>
  signatures.filter(
    ({ problem, signer }) =>
      problem === undefined && signer?.kind === 'openpgp' && origins.includes(signer.origin),
  )

/**
 * A signature by somebody unknown says nothing, good or bad. One by somebody who is known, and that does not hold, says that the image
 * was changed.
 */
const brokenOf = ({ signatures }: Verdict): string | undefined =>
  signatures.find(({ signer, problem }) => signer !== undefined && problem !== undefined)?.problem?.message

function flawOf(objects: readonly SifObject[], parts: Evidence['parts']): string | undefined {
  const [loose] = ungroupedOf(objects)
  if (loose) return `object ${loose.id} is in no group, so nobody can have signed it`
  const groups = groupsOf(objects)
  if (groups.length === 0) return 'it has nothing that could be signed'
  const unsigned = groups.find((_, index) => parts[index]?.length === 0)
  return unsigned === undefined ? undefined : `no signature of group ${unsigned} holds that is by a known key`
}

function evidence(
  objects: readonly SifObject[],
  verdict: Verdict,
  parts: Evidence['parts'],
  flaw: string | undefined,
): Evidence {
  const { signatures, problem } = verdict
  const named = [...new Set([...namedBy(objects), ...signersOf(signatures)])]
  return {
    parts,
    named,
    flaw: brokenOf(verdict) ?? flaw,
    problem: problem && { message: problem.message, hint: problem.hint },
  }
}

/** What a verification of every signature of all groups found, as far as it is about keys of these origins. */
export function evidenceOf(objects: readonly SifObject[], verdict: Verdict, origins: Origins): Evidence {
  const good = holding(verdict, origins)
  const parts = groupsOf(objects).map((id) => signersOf(good.filter(({ group }) => group === id)))
  return evidence(objects, verdict, parts, flawOf(objects, parts))
}

/** Lies over the root file system, or sets the environment: images with old signatures had nothing of the kind. */
const isUsed = ({ dataType, partition }: SifObject): boolean =>
  partition?.kind === partitionKinds.overlay || dataType === dataTypes.genericJson

function oldFlawOf(objects: readonly SifObject[], signers: readonly string[]): string | undefined {
  if (signers.length === 0) return 'no old signature holds that is by a known key'
  const used = objects.find(isUsed)
  return used && `object ${used.id} is used with the root file system, and old signatures are not about it`
}

/** The same of old signatures, which are about the root file system alone. */
export function oldEvidenceOf(objects: readonly SifObject[], verdict: Verdict, origins: Origins): Evidence {
  const signers = signersOf(holding(verdict, origins))
  const flaw = oldFlawOf(objects, signers)
  return evidence(objects, verdict, [signers], flaw)
}

export const toSigned = ({ parts, named }: Pick<Evidence, 'parts' | 'named'>): Signed => ({
  parts: parts.map((signers) => new Set(signers)),
  named: new Set(named),
})
