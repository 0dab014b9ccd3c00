/** Bare keys in PEM files: PKCS#8, PKCS#1, SEC 1 and SPKI; RSA, ECDSA (P-256, P-384, P-521) and Ed25519. */

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { hasPassword } from '../image/sealed-passphrase.ts'
import { readSmallFile } from './bounded.ts'

export type PrivateKeyOptions = {
  /** Get the passphrase of a protected key from whoever knows it. */
  readonly ask: (question: string) => Promise<string>
  readonly report: Report
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}

/** Bits that an RSA key must have, in PEM and OpenPGP alike. */
export const leastRsaBits = 2048

/** With an exponent of 1 every number is its own signature. */
export const isExponent = (exponent: bigint): boolean => exponent >= 3n && exponent % 2n === 1n

const privateLabels = /^(ENCRYPTED |RSA |EC )?PRIVATE KEY$/
const publicLabels = /^(RSA )?PUBLIC KEY$/

/** The label of the first block that is no parameters: `openssl ecparam` writes those in front of the key. */
function labelOf(text: string): string | undefined {
  const labels = [...text.matchAll(/^-----BEGIN ([A-Z0-9 ]{1,64})-----\r?$/gm)].map(([, label]) => label)
  return labels.find((label) => label !== 'EC PARAMETERS')
}

/**
 * The private key of a PEM file.
 * @throws SingError KEY for what is none, or is not fit to sign
 */
export async function readPrivateKey(path: string, { ask, report }: PrivateKeyOptions): Promise<KeyObject> {
  const { bytes, facts } = await readSmallFile(path, 'private key')
  try {
    const text = bytes.toString('latin1')
    const label = labelOf(text)
    if (label === undefined || !privateLabels.test(label)) throw notThis(path, label, 'private')
    if (facts.isFile() && (facts.mode & 0o077) !== 0) report({ kind: 'warning', text: openToOthers(path) })
    const passphrase = hasPassword(text) ? await ask(`Passphrase of ${shown(path)}:`) : undefined
    const key = decode(
      path,
      () => createPrivateKey({ key: bytes, ...(passphrase !== undefined && { passphrase }) }),
      passphrase,
    )
    return believable(path, key)
  } finally {
    bytes.fill(0)
  }
}

/**
 * The public key of a PEM file.
 * @throws SingError KEY for what is none, or is not fit to verify
 */
export async function readPublicKey(path: string): Promise<KeyObject> {
  const { bytes } = await readSmallFile(path, 'public key')
  const label = labelOf(bytes.toString('latin1'))
  if (label === undefined || !publicLabels.test(label)) throw notThis(path, label, 'public')
  return believable(
    path,
    decode(path, () => createPublicKey(bytes)),
  )
}

function decode(path: string, create: () => KeyObject, passphrase?: string): KeyObject {
  try {
    return create()
  } catch (cause) {
    // What the library says may quote what it read.
    const reason =
      passphrase === undefined
        ? 'it is damaged, or of a kind that nobody signs images with'
        : 'the passphrase is wrong, or the file is damaged'
    throw new SingError('KEY', `cannot read the key ${shown(path)}: ${reason}`, {
      cause: withoutDetails(cause),
    })
  }
}

const withoutDetails = (cause: unknown): unknown => (cause as { code?: unknown }).code

function openToOthers(path: string): string {
  return `the private key ${shown(path)} can be read or written by other users: chmod 600 ${shown(path)}`
}

const uses = {
  private: { command: 'sing sign --key needs a private key (PKCS#8, PKCS#1 or SEC 1)' },
  public: { command: 'sing verify --key needs a public key (SPKI or PKCS#1)' },
} as const

/** Says what the file is instead, where that is known. */
function notThis(path: string, label: string | undefined, wanted: 'private' | 'public'): SingError {
  const found = label === undefined ? 'it has no key in PEM' : `it holds ${article(label)}`
  return new SingError('KEY', `${shown(path)} is no ${wanted} key: ${found}`, {
    hint: hintFor(path, label, wanted),
  })
}

const article = (label: string): string => `${/^[AEIOR]/.test(label) ? 'an' : 'a'} ${label}`

function hintFor(path: string, label: string | undefined, wanted: 'private' | 'public'): string {
  const name = shown(path)
  if (label === 'OPENSSH PRIVATE KEY')
    return `Write a copy of it as PKCS#8: cp ${name} KEY.pem && ssh-keygen -p -m PKCS8 -f KEY.pem`
  if (label === 'CERTIFICATE' && wanted === 'public')
    return 'For a certificate: sing verify --certificate FILE'
  if (label?.startsWith('PGP ')) return 'Keys of OpenPGP belong into the keyring: sing key import FILE'
  if (label !== undefined && privateLabels.test(label) && wanted === 'public')
    return `Keep it to yourself, and make the public key of it: openssl pkey -in ${name} -pubout`
  return `${uses[wanted].command}.`
}

/**
 * The key, when it is of a kind and size that is believed.
 * @throws SingError KEY otherwise
 */
function believable(name: string, key: KeyObject): KeyObject {
  const problem = unfitness(key)
  if (problem === undefined) return key
  throw new SingError('KEY', `the key ${shown(name)} is not accepted: ${problem}`, {
    hint: `Accepted are RSA (${leastRsaBits} bits or more), ECDSA (${Object.values(curves).join(', ')}) and Ed25519.`,
  })
}

/** Why signatures of this key are not believed; undefined when they are. */
export function unfitness(key: KeyObject): string | undefined {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (!isExponent(publicExponent)) return `RSA with the exponent ${publicExponent} signs nothing`
      return modulusLength < leastRsaBits ? `RSA with ${modulusLength} bits is too weak` : undefined
    case 'ec':
      return curves[namedCurve] ? undefined : `its curve is ${shown(namedCurve) || 'unknown'}`
    case 'ed25519':
      return undefined
    default:
      return `it is of the kind ${key.asymmetricKeyType ?? 'unknown'}`
  }
}
