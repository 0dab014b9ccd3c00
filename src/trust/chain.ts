/**
 * Chains of certificates: from the one of a signer to an authority that is trusted, each signed by the next, all valid now and
 * for this purpose (RFC 5280, section 6, without what is refused: constraints of names, algorithms that can be forged).
 */

import { X509Certificate } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import { unfitness } from './pem.ts'
import { type CertificateFacts, keyUses, purposes, readCertificateFacts } from './x509.ts'

export type Certificate = { readonly x509: X509Certificate; readonly facts: CertificateFacts }

export type Pool = {
  readonly intermediates: readonly Certificate[]
  readonly roots: readonly Certificate[]
}

/** Longer chains are a mistake, or an attack on our time. */
const longestChain = 8
const mostChecks = 200

/** Algorithms with which certificates may be signed, by object id. */
export const signatureHashes: Readonly<Record<string, 'sha256' | 'sha384' | 'sha512' | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
}

const blocks = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/** All certificates of a text in PEM. @throws SingError KEY when one is damaged */
export function parseCertificates(text: string): Certificate[] {
  return (text.match(blocks) ?? []).map((block) => toCertificate(block))
}

/** @throws SingError KEY when it is damaged */
export function toCertificate(source: string | Uint8Array): Certificate {
  try {
    const x509 = new X509Certificate(source)
    return { x509, facts: readCertificateFacts(x509.raw) }
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    throw new SingError('KEY', 'it is damaged: it is no certificate', { cause })
  }
}

/** The subject on one line. */
export const subjectOf = ({ x509 }: Certificate): string => shown(x509.subject.split('\n').join(', '))

export const isSame = (one: Certificate, other: Certificate): boolean => one.x509.raw.equals(other.x509.raw)

/**
 * The chain from a signer's certificate to a root, both included.
 * @throws SingError KEY with the reason why there is none
 */
export function findChain(leaf: Certificate, pool: Pool, now: number): Certificate[] {
  const problem = problemOf(leaf, now) ?? problemOfSigner(leaf)
  if (problem !== undefined) throw notBelieved(leaf, problem)
  const search: Search = { pool, now, checks: 0, reason: undefined }
  const chain = extend([leaf], search)
  if (chain) return chain
  throw notBelieved(leaf, search.reason ?? noIssuer(leaf))
}

type Search = { readonly pool: Pool; readonly now: number; checks: number; reason: string | undefined }

/** Undefined when no root can be reached; the first reason of that is kept. */
function extend(chain: readonly Certificate[], search: Search): Certificate[] | undefined {
  const last = chain.at(-1) as Certificate
  if (search.pool.roots.some((root) => isSame(root, last))) return [...chain]
  if (chain.length === longestChain) return undefined
  for (const issuer of issuersOf(last, search.pool)) {
    if (chain.some((known) => isSame(known, issuer))) continue
    search.checks += 1
    if (search.checks > mostChecks) return undefined
    const problem = problemOf(issuer, search.now) ?? problemOfIssuer(issuer, chain)
    if (problem !== undefined) {
      search.reason ??= `"${subjectOf(issuer)}", which issued it, ${problem}`
      continue
    }
    const found = extend([...chain, issuer], search)
    if (found) return found
  }
  search.reason ??= noIssuer(last)
  return undefined
}

const issuersOf = ({ facts: { issuer } }: Certificate, { roots, intermediates }: Pool): Certificate[] =>
  [...roots, ...intermediates].filter(({ facts: { subject } }) => subject.equals(issuer))

const noIssuer = ({ x509: { issuer } }: Certificate): string =>
  `has no way to a trusted root: "${shown(issuer.split('\n').join(', '))}" is not among them`

/** What must hold of every certificate. */
export function problemOf({ x509, facts }: Certificate, now: number): string | undefined {
  const [from, to] = [x509.validFromDate.getTime(), x509.validToDate.getTime()]
  if (!(from <= now)) return `is not valid before ${dateText(from)}`
  if (!(now <= to)) return `was valid until ${dateText(to)}`
  const weakness = unfitness(x509.publicKey)
  if (weakness !== undefined) return `has a key that is not accepted: ${weakness}`
  if (facts.unknown.length > 0)
    return `has extensions that would have to be understood, and are not: ${facts.unknown.join(', ')}`
  return undefined
}

const dateText = (time: number): string =>
  Number.isNaN(time) ? 'a date that cannot be read' : new Date(time).toISOString()

/** The certificate of who signs images says that it is for signing code. */
function problemOfSigner({ facts: { keyUsage, purposes: given } }: Certificate): string | undefined {
  if (!allows(given ?? [], purposes.codeSigning))
    return 'is not for signing code (extended key usage codeSigning)'
  if (keyUsage && !keyUsage.has(keyUses.digitalSignature))
    return 'has a key that is not for signatures (key usage)'
  return undefined
}

const allows = (given: readonly string[], purpose: string): boolean =>
  given.includes(purpose) || given.includes(purposes.any)

/** Whether an authority may have signed the last certificate of a chain, and did. */
function problemOfIssuer({ x509, facts }: Certificate, chain: readonly Certificate[]): string | undefined {
  const { isAuthority, pathLength = Number.POSITIVE_INFINITY, keyUsage, purposes: given } = facts
  const last = chain.at(-1) as Certificate
  if (!isAuthority) return 'is no authority (basic constraints)'
  if (keyUsage && !keyUsage.has(keyUses.certificates)) return 'may not sign certificates (key usage)'
  if (chain.length - 1 > pathLength)
    return `may have ${pathLength} authorities below it, and has ${chain.length - 1}`
  if (given && !allows(given, purposes.codeSigning)) return 'is not for signing code (extended key usage)'
  if (!Object.hasOwn(signatureHashes, last.facts.signatureAlgorithm))
    return `signed it with an algorithm that is not accepted (${last.facts.signatureAlgorithm})`
  if (!isSignedBy(last, x509)) return 'did not sign it: the signature is another one'
  return undefined
}

export function isSignedBy({ x509 }: Certificate, issuer: X509Certificate): boolean {
  try {
    return x509.verify(issuer.publicKey)
  } catch {
    return false
  }
}

function notBelieved(leaf: Certificate, reason: string): SingError {
  return new SingError('KEY', `the certificate of "${subjectOf(leaf)}" is not believed: it ${reason}`, {
    hint: 'Authorities are named by --certificate-roots, those between by --certificate-intermediates.',
  })
}
