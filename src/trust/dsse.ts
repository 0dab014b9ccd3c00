/**
 * The envelope of bare keys (DSSE): JSON around the message, signed together with its type. A key is named by the
 * fingerprint that OpenSSH shows of it.
 */

import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'

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
