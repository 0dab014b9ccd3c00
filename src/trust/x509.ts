/** What a certificate says that the engines do not tell (RFC 5280): which algorithm signed it, and its extensions. */

import type { Buffer } from 'node:buffer'
import {
  contextTag,
  type Element,
  Fields,
  readBits,
  readBoolean,
  readElement,
  readElements,
  readObjectId,
  readSmallNumber,
  tags,
} from './der.ts'

export const purposes = {
  any: '2.5.29.37.0',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  ocspSigning: '1.3.6.1.5.5.7.3.9',
} as const

const extensionIds = {
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  authorityAccess: '1.3.6.1.5.5.7.1.1',
} as const

/** A constraint of names counts whether it is critical or not, and nothing here can tell whether it is kept. */
const nameConstraints = '2.5.29.30'

/** Extensions that change nothing about whether a chain holds, so that they may be critical: policies, and names. */
const harmless = ['2.5.29.32', '2.5.29.17', '2.5.29.18', '2.5.29.14', '2.5.29.35', '2.5.29.31']
const knownIds: readonly string[] = [...Object.values(extensionIds), ...harmless]

const ocspAccess = '1.3.6.1.5.5.7.48.1'
const uniformResource = contextTag(6, false)

export type CertificateFacts = {
  /** Object id of the algorithm that its issuer signed it with. */
  readonly signatureAlgorithm: string
  /** The number that its issuer gave it, as bytes of DER. */
  readonly serial: Buffer
  /** Names as bytes of DER. */
  readonly subject: Buffer
  readonly issuer: Buffer
  /** The bits of the public key, without its algorithm. */
  readonly keyBits: Buffer
  /** Bits of the extension, the first one is 0; undefined: any use. */
  readonly keyUsage: ReadonlySet<number> | undefined
  /** Object ids; undefined: any purpose. */
  readonly purposes: readonly string[] | undefined
  readonly isAuthority: boolean
  /** How many authorities may lie between it and the last certificate; undefined: any number. */
  readonly pathLength: number | undefined
  readonly ocspServers: readonly string[]
  /** Constraints of names, and critical extensions that are not known here: who does not know one must not believe the certificate. */
  readonly unknown: readonly string[]
}

type Extension = { readonly isCritical: boolean; readonly value: Buffer }

/** Bits of the extension for the use of keys. */
export const keyUses = { digitalSignature: 0, certificates: 5 } as const

/** @throws SingError KEY for what is not in its one form */
export function readCertificateFacts(der: Uint8Array): CertificateFacts {
  const certificate = new Fields(readElement(der, tags.sequence))
  const body = new Fields(certificate.take(tags.sequence))
  const algorithm = new Fields(certificate.take(tags.sequence)).take()
  body.takeIf(contextTag(0))
  const serial = body.take(tags.integer).content
  body.take(tags.sequence)
  const issuer = body.take(tags.sequence).raw
  body.take(tags.sequence)
  const subject = body.take(tags.sequence).raw
  const publicKey = new Fields(body.take(tags.sequence))
  publicKey.take(tags.sequence)
  const keyBits = readBits(publicKey.take())
  const extensions = readExtensions(body.rest().find(({ tag }) => tag === contextTag(3)))
  const value = (id: string): Element | undefined => {
    const found = extensions.get(id)
    return found && readElement(found.value)
  }
  return {
    signatureAlgorithm: readObjectId(algorithm),
    serial,
    subject,
    issuer,
    keyBits,
    keyUsage: readKeyUsage(value(extensionIds.keyUsage)),
    purposes: readPurposes(value(extensionIds.extendedKeyUsage)),
    ...readConstraints(value(extensionIds.basicConstraints)),
    ocspServers: readServers(value(extensionIds.authorityAccess)),
    unknown: [...extensions]
      .filter(([id, { isCritical }]) => id === nameConstraints || (isCritical && !knownIds.includes(id)))
      .map(([id]) => id),
  }
}

function readExtensions(found: Element | undefined): Map<string, Extension> {
  if (!found) return new Map()
  return new Map(
    readElements(readElement(found.content, tags.sequence).content).map((extension) => {
      const fields = new Fields(extension)
      const id = readObjectId(fields.take())
      const critical = fields.takeIf(tags.boolean)
      return [
        id,
        {
          isCritical: critical !== undefined && readBoolean(critical),
          value: fields.take(tags.octetString).content,
        },
      ]
    }),
  )
}

function readKeyUsage(found: Element | undefined): Set<number> | undefined {
  if (!found) return undefined
  const bits = new Set<number>()
  // The first byte counts the bits of the last one that mean nothing.
  for (const [index, byte] of found.content.subarray(1).entries()) {
    for (let bit = 0; bit < 8; bit += 1) if (byte & (0x80 >> bit)) bits.add(index * 8 + bit)
  }
  return bits
}

const readPurposes = (found: Element | undefined): string[] | undefined =>
  found && readElements(found.content).map(readObjectId)

function readConstraints(found: Element | undefined): Pick<CertificateFacts, 'isAuthority' | 'pathLength'> {
  if (!found) return { isAuthority: false, pathLength: undefined }
  const fields = new Fields(found)
  const authority = fields.takeIf(tags.boolean)
  const length = fields.takeIf(tags.integer)
  return {
    isAuthority: authority !== undefined && readBoolean(authority),
    pathLength: length && readSmallNumber(length),
  }
}

/** Addresses where the issuer says whether it has taken the certificate back. */
function readServers(found: Element | undefined): string[] {
  if (!found) return []
  return readElements(found.content).flatMap((access) => {
    const fields = new Fields(access)
    const method = readObjectId(fields.take())
    const place = fields.take()
    return method === ocspAccess && place.tag === uniformResource ? [place.content.toString('latin1')] : []
  })
}
