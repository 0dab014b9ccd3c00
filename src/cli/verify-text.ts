/** A verdict as the peers print it, as text and as JSON, with what signatures do not cover beside it. */

import { shown } from '../core/errors.ts'
import { typeName } from '../sif/details.ts'
import type { SifObject } from '../sif/format.ts'
import type { ComparedObject, SignatureFinding, Signer, Verdict } from '../trust/types.ts'

type Objects = readonly SifObject[]

/** An object that a verdict names is in the file it is about. */
const find = (objects: Objects, { id }: ComparedObject): SifObject | undefined =>
  objects.find((object) => object.id === id)

/** What each signature says, in the words and columns of the peers. */
export function verdictText({ signatures }: Verdict, objects: Objects): string {
  return signatures.map((finding) => findingText(finding, objects)).join('')
}

function findingText({ signer, objects, problem }: SignatureFinding, all: Objects): string {
  const intact = objects.filter(({ isIntact }) => isIntact).flatMap((object) => find(all, object) ?? [])
  const error = problem
    ? `\nError encountered during signature verification: ${shown(problem.message)}\n`
    : ''
  return `${signer ? signerText(signer) : ''}${intact.length > 0 ? tableText(intact) : ''}${error}`
}

/** Bare keys have no name; the peers print nothing about them there. */
function signerText(signer: Signer): string {
  if (signer.kind === 'pem') return ''
  const origin = `[${signer.origin.toUpperCase()}]`.padEnd(18)
  return `${origin} Signing entity: ${shown(signer.name)}\n${origin} Fingerprint: ${signer.fingerprint}\n`
}

function tableText(objects: Objects): string {
  const row = (id: string, group: string, link: string, type: string) =>
    `${id.padEnd(4)}|${group.padEnd(8)}|${link.padEnd(8)}|${type}\n`
  const rows = objects.map((object) =>
    row(String(object.id), groupText(object), linkText(object), typeName(object.dataType)),
  )
  return `Objects verified:\n${row('ID', 'GROUP', 'LINK', 'TYPE')}${'-'.repeat(48)}\n${rows.join('')}`
}

const groupText = ({ group }: SifObject): string => (group === 0 ? 'NONE' : String(group))

function linkText({ link }: SifObject): string {
  if (link.kind === 'none') return 'NONE'
  return link.kind === 'group' ? `${link.id} (G)` : String(link.id)
}

/**
 * The keys of the peers in their order and form. Ours come after them: `KeyID` of a bare key and `Certificate`, `NotCovered`, and
 * `Problem` where there is one.
 */
export function verdictJson({ signatures, problem, uncovered }: Verdict, objects: Objects): string {
  const signers = signatures.flatMap((finding) =>
    finding.objects.map((object) => ({ Signer: signerJson(finding.signer, object, objects) })),
  )
  const document = {
    Signatures: signatures.length,
    SignerKeys: signers.length > 0 ? signers : null,
    NotCovered: uncovered,
    Problem: problem?.message,
  }
  return `${escapeHtml(JSON.stringify(document, null, 2))}\n`
}

function signerJson(signer: Signer | undefined, object: ComparedObject, objects: Objects) {
  const Partition = typeName(find(objects, object)?.dataType ?? 0)
  if (signer?.kind === 'openpgp') {
    const { name: Name, fingerprint, origin } = signer
    const KeyLocal = origin !== 'remote'
    const Fingerprint = fingerprint.toLowerCase()
    return { Partition, Name, Fingerprint, KeyLocal, KeyCheck: true, DataCheck: object.isIntact }
  }
  const unnamed = { Partition, Name: 'unknown', Fingerprint: '', KeyLocal: false, KeyCheck: false }
  return { ...unnamed, DataCheck: object.isIntact, KeyID: signer?.keyId, Certificate: signer?.certificate }
}

/** As the library of the peers does, so that JSON can stand in a page. */
function escapeHtml(text: string): string {
  return text.replace(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
