/**
 * The passphrase of an image that was encrypted for a key: RSA-OAEP (SHA-256), in one or more pieces, as a DER OCTET STRING in
 * a PEM block MESSAGE, which is an object of the SIF.
 */

import { Buffer } from 'node:buffer'
import { constants, createPrivateKey, type KeyObject, privateDecrypt } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'

/** The text of a PEM file, and what to call it in messages. */
export type PemKey = {
  readonly pem: string
  readonly name: string
  /** Of the file itself, when it has one. */
  readonly password?: string | undefined
}

const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' } as const
const refuse = (subject: string, reason: string, hint?: string, cause?: unknown): SingError =>
  new SingError('ENCRYPTION', `cannot open ${shown(subject)}: ${reason}`, { hint, cause })

/** Whether a private key can only be used with a password. */
export const hasPassword = (pem: string): boolean =>
  /^-----BEGIN ENCRYPTED PRIVATE KEY-----/m.test(pem) || /^Proc-Type: *4, *ENCRYPTED/m.test(pem)

/**
 * @param path of the image
 * @throws SingError ENCRYPTION for a key that cannot be used, or that it was not sealed for
 */
export function openSealedPassphrase(sealed: Buffer, key: PemKey, path: string): Buffer {
  const privateKey = readPrivateKey(key)
  const bytes = messageOf(sealed.toString('latin1'), path)
  const size = Math.ceil((privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
  const other = refuse(
    path,
    `it was not encrypted for the key ${shown(key.name)}`,
    'Give the private key of the pair',
  )
  if (size === 0 || bytes.length === 0 || bytes.length % size !== 0) throw other
  const pieces: Buffer[] = []
  try {
    for (let at = 0; at < bytes.length; at += size)
      pieces.push(privateDecrypt({ key: privateKey, ...oaep }, bytes.subarray(at, at + size)))
    return Buffer.concat(pieces)
  } catch {
    throw other
  } finally {
    for (const piece of pieces) piece.fill(0)
  }
}

/** @throws SingError ENCRYPTION for anything but a private key of RSA that is open */
function readPrivateKey({ pem, name, password }: PemKey): KeyObject {
  const bad = (reason: string, hint?: string, cause?: unknown) => refuse(name, reason, hint, cause)
  if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(pem)) {
    const isPublic = /^-----BEGIN [A-Z ]*PUBLIC KEY-----/m.test(pem)
    const hint = 'To run an encrypted image: the private key, in PEM'
    throw bad(isPublic ? 'it is a public key, which can only encrypt' : 'it is no private key in PEM', hint)
  }
  if (hasPassword(pem) && password === undefined)
    throw bad('it has a password of its own', 'Where there is a terminal, it is asked for')
  let key: KeyObject
  try {
    key = createPrivateKey({
      key: pem,
      format: 'pem',
      ...(password === undefined ? {} : { passphrase: password }),
    })
  } catch (cause) {
    throw bad(hasPassword(pem) ? 'its password is not the right one' : 'it is damaged', undefined, cause)
  }
  if (key.asymmetricKeyType !== 'rsa')
    throw bad(
      `it is a key of ${key.asymmetricKeyType ?? 'an unknown kind'}, and images are encrypted for keys of RSA`,
    )
  return key
}

const block = /^\s*-----BEGIN MESSAGE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END MESSAGE-----\s*$/
const octetString = 0x04

/** The bytes in the PEM block: DER, definite length. */
function messageOf(text: string, path: string): Buffer {
  const damaged = refuse(path, 'the object with its sealed passphrase is damaged')
  const [, base64 = ''] = block.exec(text) ?? []
  const der = Buffer.from(base64, 'base64')
  const first = der[1] ?? 0
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  if (der[0] !== octetString || lengthBytes > 3 || der.length < 2 + lengthBytes) throw damaged
  const length = lengthBytes === 0 ? first : der.readUIntBE(2, lengthBytes)
  const bytes = der.subarray(2 + lengthBytes)
  if (bytes.length !== length) throw damaged
  return bytes
}
