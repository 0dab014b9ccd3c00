/**
 * The envelope of bare keys (DSSE): JSON around the message, signed together with its type. A key is named by the
 * fingerprint that OpenSSH shows of it.
 */

import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { SingError } from '../core/errors.ts'
import { unfitness } from './pem.ts'
import type { Material, Opened } from './types.ts'

/** What the message of a SIF signature calls itself. */
export const messageType = 'application/vnd.sylabs.sif-metadata+json'

/** The bytes that are signed: type and message, each behind its length. */
export function preAuthentication(type: string, message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${message.length} `), message])
}

/** RSA (PKCS #1 v1.5) and ECDSA (DER) sign a SHA-256, Ed25519 the bytes themselves. */
export const digestFor = (key: KeyObject): 'sha256' | null =>
  key.asymmetricKeyType === 'ed25519' ? null : 'sha256'

/** The message in an envelope that is signed by a private key. */
export function sealDsse(message: Uint8Array, key: KeyObject): Buffer {
  const signature = sign(digestFor(key), preAuthentication(messageType, message), key)
  return Buffer.from(
    JSON.stringify({
      payloadType: messageType,
      payload: Buffer.from(message).toString('base64'),
      signatures: [{ keyid: keyIdOf(key), sig: signature.toString('base64') }],
    }),
  )
}

/** More signatures in one envelope are not looked at: each costs time, and one is what programs write. */
const mostSignatures = 64

type Envelope = { readonly payload: unknown; readonly signatures: unknown }

/** Whether this is an envelope about a SIF. */
export function isDsse(bytes: Uint8Array): boolean {
  return parse(bytes) !== undefined
}

function parse(bytes: Uint8Array): Envelope | undefined {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return value?.payloadType === messageType ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * The message, once it is certain that the key signed it. Who wrote the envelope in another form, or put more signatures into it, changed
 * nothing of what was signed.
 * @throws SingError SIGNATURE with the reason why it is not
 */
export function openDsse(
  bytes: Uint8Array,
  { key, certificate }: Extract<Material, { kind: 'pem' }>,
): Opened {
  const { payload, signatures } = parse(bytes) ?? refuse('it is no envelope of DSSE')
  const message = decode(payload) ?? refuse('its content is not in base64')
  const problem = unfitness(key)
  if (problem) refuse(`the key is not accepted: ${problem}`)
  const list = Array.isArray(signatures) ? (signatures as unknown[]) : []
  if (list.length === 0 || list.length > mostSignatures)
    refuse(`it has ${list.length} signatures; 1 to ${mostSignatures} are read`)
  const keyId = keyIdOf(key)
  const own = list.flatMap(readOne).filter((one) => one.keyId === '' || one.keyId === keyId)
  if (own.length === 0) refuse('it is by another key than the one that was given')
  const signed = preAuthentication(messageType, message)
  if (!own.some(({ signature }) => verify(digestFor(key), signed, key, signature)))
    refuse('its text was changed after it was signed, or another key signed it')
  return { message, signer: { kind: 'pem', keyId, certificate } }
}

function refuse(reason: string): never {
  throw new SingError('SIGNATURE', reason)
}

/** Base64 in its one form; undefined for any other. */
function decode(text: unknown): Buffer | undefined {
  if (typeof text !== 'string') return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** A signature without the id of a key may be by anybody. */
function readOne(value: unknown): { keyId: string; signature: Buffer }[] {
  const { keyid = '', sig } = (value ?? {}) as { keyid?: unknown; sig?: unknown }
  const signature = decode(sig)
  return typeof keyid === 'string' && signature ? [{ keyId: keyid, signature }] : []
}

/** `SHA256:` and 43 characters: the hash of a public key in the form of SSH. Of a private key it is that of its public one. */
export function keyIdOf(key: KeyObject): string {
  const shared = key.type === 'private' ? createPublicKey(key) : key
  const hash = createHash('sha256').update(sshKey(shared)).digest('base64')
  return `SHA256:${hash.replace(/=+$/, '')}`
}

const sshCurves: Readonly<Record<string, string>> = {
  'P-256': 'nistp256',
  'P-384': 'nistp384',
  'P-521': 'nistp521',
}

/** The key as RFC 4253, 5656 and 8709 write it: strings behind their lengths. */
function sshKey(key: KeyObject): Buffer {
  const { kty, crv = '', n, e, x, y } = key.export({ format: 'jwk' })
  const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')
  switch (kty) {
    case 'RSA':
      return sshStrings('ssh-rsa', positive(bytes(e)), positive(bytes(n)))
    case 'EC': {
      const curve = sshCurves[crv] ?? crv
      return sshStrings(`ecdsa-sha2-${curve}`, curve, Buffer.concat([Buffer.of(4), bytes(x), bytes(y)]))
    }
    default:
      return sshStrings('ssh-ed25519', bytes(x))
  }
}

function sshStrings(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(Buffer.byteLength(part))
      return [length, Buffer.from(part as Buffer)]
    }),
  )
}

/** Numbers have a sign there; a first bit that is set would make them negative. */
const positive = (bytes: Buffer): Buffer =>
  (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.of(0), bytes])
