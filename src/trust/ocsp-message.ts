/** Questions and answers whether a certificate was taken back (OCSP, RFC 6960), as bytes. */

import type { Buffer } from 'node:buffer'
import {
  contextTag,
  type Element,
  element,
  Fields,
  objectId,
  readBits,
  readElement,
  readElements,
  readObjectId,
  readSmallNumber,
  readTime,
  sequence,
  tags,
} from './der.ts'

const sha1 = '1.3.14.3.2.26'
const basicResponse = '1.3.6.1.5.5.7.48.1.1'
const nonceExtension = '1.3.6.1.5.5.7.48.1.2'

/** Names a certificate: SHA-1 of its issuer's name and key, which all servers know, and its number. */
export type CertificateId = { readonly nameHash: Buffer; readonly keyHash: Buffer; readonly serial: Buffer }

export function writeRequest(id: CertificateId, nonce: Uint8Array): Buffer {
  const { nameHash, keyHash, serial } = id
  const algorithm = sequence(objectId(sha1), element(tags.null))
  const name = sequence(
    algorithm,
    element(tags.octetString, nameHash),
    element(tags.octetString, keyHash),
    element(tags.integer, serial),
  )
  const extension = sequence(
    objectId(nonceExtension),
    element(tags.octetString, element(tags.octetString, nonce)),
  )
  return sequence(sequence(sequence(sequence(name)), element(contextTag(2), sequence(extension))))
}

export type SingleAnswer = {
  readonly state: 'good' | 'revoked' | 'unknown'
  /** Milliseconds: when the state was known, when a newer answer is due, when it was revoked. */
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  readonly revoked: number | undefined
}

export type OcspAnswer = {
  /** What is signed. */
  readonly signed: Buffer
  readonly algorithm: string
  readonly signature: Buffer
  /** Certificates of who signed, as DER. */
  readonly certificates: readonly Buffer[]
  readonly nonce: Buffer | undefined
  /** Undefined when the answer is about other certificates. */
  readonly answer: SingleAnswer | undefined
}

/** What a server says that gives no answer. */
const failures: Readonly<Record<number, string>> = {
  1: 'it does not understand the question',
  2: 'it has an internal error',
  3: 'it asks to try later',
  5: 'it wants signed questions',
  6: 'it does not answer us',
}

/** The answer about one certificate; a sentence when the server gives none. @throws SingError KEY for damaged bytes */
export function readResponse(bytes: Uint8Array, id: CertificateId): OcspAnswer | string {
  const response = new Fields(readElement(bytes, tags.sequence))
  const status = readSmallNumber(response.take(tags.enumerated))
  const body = response.takeIf(contextTag(0))
  if (status !== 0 || !body) return failures[status] ?? `it answers with status ${status}`
  const typed = new Fields(readElement(body.content, tags.sequence))
  if (readObjectId(typed.take()) !== basicResponse) return 'its answer is of an unknown type'
  const basic = new Fields(readElement(typed.take(tags.octetString).content, tags.sequence))
  const data = basic.take(tags.sequence)
  const algorithm = readObjectId(new Fields(basic.take(tags.sequence)).take())
  const signature = readBits(basic.take())
  const certificates = basic.takeIf(contextTag(0))
  return {
    signed: data.raw,
    algorithm,
    signature,
    certificates: certificates
      ? readElements(readElement(certificates.content, tags.sequence).content).map(({ raw }) => raw)
      : [],
    ...readData(new Fields(data), id),
  }
}

function readData(data: Fields, id: CertificateId): Pick<OcspAnswer, 'nonce' | 'answer'> {
  data.takeIf(contextTag(0))
  // Who answers: its signature tells.
  data.take()
  data.take(tags.generalizedTime)
  const answers = readElements(data.take(tags.sequence).content).map((answer) => new Fields(answer))
  const own = answers.find((fields) => isAbout(fields.take(tags.sequence), id))
  return { answer: own && readAnswer(own), nonce: readNonce(data.takeIf(contextTag(1))) }
}

function isAbout(name: Element, { nameHash, keyHash, serial }: CertificateId): boolean {
  const fields = new Fields(name)
  const algorithm = readObjectId(new Fields(fields.take(tags.sequence)).take())
  const parts = [fields.take(tags.octetString), fields.take(tags.octetString), fields.take(tags.integer)]
  const wanted = [nameHash, keyHash, serial]
  return algorithm === sha1 && parts.every(({ content }, index) => content.equals(wanted[index] as Buffer))
}

function readAnswer(fields: Fields): SingleAnswer {
  const status = fields.take()
  const thisUpdate = readTime(fields.take())
  const next = fields.takeIf(contextTag(0))
  const isRevoked = status.tag === contextTag(1)
  return {
    state: isRevoked ? 'revoked' : status.tag === contextTag(0, false) ? 'good' : 'unknown',
    thisUpdate,
    nextUpdate: next && readTime(readElement(next.content)),
    revoked: isRevoked ? readTime(new Fields(status).take()) : undefined,
  }
}

function readNonce(extensions: Element | undefined): Buffer | undefined {
  if (!extensions) return undefined
  for (const extension of readElements(readElement(extensions.content, tags.sequence).content)) {
    const fields = new Fields(extension)
    if (readObjectId(fields.take()) !== nonceExtension) continue
    fields.takeIf(tags.boolean)
    return readElement(fields.take(tags.octetString).content, tags.octetString).content
  }
  return undefined
}
