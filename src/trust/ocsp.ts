/** Asks the issuer of a certificate whether it was taken back. No answer is no good answer. */

import { createHash, randomBytes, verify } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import { HttpClient } from '../store/http.ts'
import {
  type Certificate,
  isSame,
  isSignedBy,
  problemOf,
  signatureHashes,
  subjectOf,
  toCertificate,
} from './chain.ts'
import {
  type CertificateId,
  type OcspAnswer,
  readResponse,
  type SingleAnswer,
  writeRequest,
} from './ocsp-message.ts'
import { purposes } from './x509.ts'

export type OcspOptions = {
  readonly environment: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly now: number
}

const answerLimit = 256 * 1024
/** Clocks differ by some minutes. */
const tolerance = 5 * 60_000
/** How long an answer holds that does not say it. */
const usualLife = 24 * 3_600_000

/**
 * Ask about every certificate of a chain but its root.
 * @throws SingError KEY when one was revoked, or nobody says that it was not
 */
export async function askRevocations(chain: readonly Certificate[], options: OcspOptions): Promise<void> {
  using client = new HttpClient({ environment: options.environment })
  for (const [index, certificate] of chain.slice(0, -1).entries())
    await ask(client, certificate, chain[index + 1] as Certificate, options)
}

async function ask(
  client: HttpClient,
  certificate: Certificate,
  issuer: Certificate,
  { signal, now }: OcspOptions,
): Promise<void> {
  const [server] = certificate.facts.ocspServers
  if (server === undefined) throw notKnown(certificate, 'it names no server of OCSP')
  const id = idOf(certificate, issuer)
  const nonce = randomBytes(16)
  const bytes = await post(client, server, writeRequest(id, nonce), signal).catch((cause) => {
    signal.throwIfAborted()
    throw notKnown(certificate, cause instanceof Error ? cause.message : String(cause), cause)
  })
  const answer = read(bytes, id, certificate, server)
  if (answer.nonce && !answer.nonce.equals(nonce))
    throw notKnown(certificate, `${shown(server)} answers another question`)
  if (!isAuthentic(answer, issuer, now))
    throw notKnown(certificate, `the answer of ${shown(server)} is not signed by its issuer`)
  judge(answer.answer, certificate, server, now)
}

async function post(
  client: HttpClient,
  server: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Buffer> {
  const headers = { 'content-type': 'application/ocsp-request', accept: 'application/ocsp-response' }
  const response = await client.request(server, { method: 'POST', body, headers, signal, retries: 1 })
  if (response.status !== 200) {
    await response.discard()
    throw new SingError('KEY', `${shown(server)} answered ${response.status}`)
  }
  return await response.bytes(answerLimit)
}

const sha1 = (bytes: Uint8Array): Buffer => createHash('sha1').update(bytes).digest()

const idOf = ({ facts: { serial } }: Certificate, { facts: issuer }: Certificate): CertificateId => ({
  nameHash: sha1(issuer.subject),
  keyHash: sha1(issuer.keyBits),
  serial,
})

function read(bytes: Buffer, id: CertificateId, certificate: Certificate, server: string): OcspAnswer {
  const answer = (() => {
    try {
      return readResponse(bytes, id)
    } catch {
      return 'its answer cannot be read'
    }
  })()
  if (typeof answer === 'string') throw notKnown(certificate, `${shown(server)}: ${answer}`)
  return answer
}

/** Signed by the issuer, or by whom the issuer gave a certificate for that. */
function isAuthentic(answer: OcspAnswer, issuer: Certificate, now: number): boolean {
  const hash = signatureHashes[answer.algorithm]
  if (hash === undefined) return false
  return [issuer, ...delegates(answer, issuer, now)].some(({ x509 }) => {
    try {
      return verify(hash, answer.signed, x509.publicKey, answer.signature)
    } catch {
      return false
    }
  })
}

function delegates({ certificates }: OcspAnswer, issuer: Certificate, now: number): Certificate[] {
  return certificates.slice(0, 8).flatMap((der) => {
    const found = tryCertificate(der)
    const isDelegate =
      found !== undefined &&
      !isSame(found, issuer) &&
      found.facts.issuer.equals(issuer.facts.subject) &&
      (found.facts.purposes ?? []).includes(purposes.ocspSigning) &&
      Object.hasOwn(signatureHashes, found.facts.signatureAlgorithm) &&
      problemOf(found, now) === undefined &&
      isSignedBy(found, issuer.x509)
    return isDelegate ? [found] : []
  })
}

function tryCertificate(der: Uint8Array): Certificate | undefined {
  try {
    return toCertificate(der)
  } catch {
    return undefined
  }
}

function judge(
  answer: SingleAnswer | undefined,
  certificate: Certificate,
  server: string,
  now: number,
): void {
  if (!answer) throw notKnown(certificate, `${shown(server)} answers about others`)
  const { state, thisUpdate, nextUpdate = thisUpdate + usualLife, revoked } = answer
  if (state === 'revoked') {
    const since =
      revoked === undefined || Number.isNaN(revoked) ? '' : ` on ${new Date(revoked).toISOString()}`
    throw new SingError('KEY', `the certificate of "${subjectOf(certificate)}" was revoked${since}`, {
      hint: `${shown(server)} says so.`,
    })
  }
  if (state === 'unknown') throw notKnown(certificate, `${shown(server)} does not know it`)
  const isNow = thisUpdate <= now + tolerance && now - tolerance <= nextUpdate
  if (!isNow) throw notKnown(certificate, `the answer of ${shown(server)} is not of this time`)
}

function notKnown(certificate: Certificate, reason: string, cause?: unknown): SingError {
  return new SingError(
    'KEY',
    `cannot tell whether the certificate of "${subjectOf(certificate)}" was revoked: ${reason}`,
    { hint: 'Without --ocsp-verify nobody is asked.', cause },
  )
}
