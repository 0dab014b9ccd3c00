/**
 * What a new image is encrypted with. Its contents have a random key, which a passphrase opens (gocryptfs.ts): one that people
 * know, or a random one that lies in the image, sealed with the public key of whom it is for.
 */

import { Buffer } from 'node:buffer'
import { constants, type KeyObject, publicEncrypt, randomBytes, randomInt } from 'node:crypto'
import type { Encryption } from '../native/addon.ts'
import { configurationText, contentKey, sealMasterKey, usualCosts, wrappingKey } from './gocryptfs.ts'
import type { Secret } from './locked.ts'
import type { Unlock } from './open.ts'
import { readPublicKey } from './public-key.ts'

export type NewEncryption = {
  /** For the packer. */
  readonly packer: Encryption
  /** The data of a cryptographic message beside the file system; undefined where people know the passphrase. */
  readonly message: Buffer | undefined
}

/** The peer's images have the like, a number of 32 bits. */
const fileName = (): string => `squashfs-${randomInt(2 ** 32)}`

/** Wipes the passphrase. */
async function encryptionBy(passphrase: Buffer): Promise<Encryption> {
  const [salt, master, nonce] = [randomBytes(32), randomBytes(32), randomBytes(16)]
  const about = { salt, costs: usualCosts }
  const encryptedKey = sealMasterKey(await wrappingKey(about, passphrase), master, nonce)
  const configuration = Buffer.from(configurationText({ ...about, encryptedKey }))
  const key = contentKey(master)
  master.fill(0)
  passphrase.fill(0)
  return { key, configuration, name: fileName() }
}

/**
 * New keys for one image.
 * @throws SingError ENCRYPTION for a key that cannot be used
 */
export async function newEncryption(secret: Secret): Promise<NewEncryption> {
  if (secret.kind === 'passphrase')
    return { packer: await encryptionBy(Buffer.from(secret.passphrase)), message: undefined }
  // In letters, because peers hand it to gocryptfs as a line of text.
  const passphrase = Buffer.from(randomBytes(32).toString('hex'))
  const message = cryptoMessage(readPublicKey(secret.pem, secret.name), passphrase)
  return { packer: await encryptionBy(passphrase), message }
}

/** Opens the image that was encrypted with these. */
export const unlockNew =
  ({ packer }: NewEncryption): Unlock =>
  async (locked) =>
    (await import('./unlock.ts')).unlockBy(locked, packer.key)

/** The bytes sealed with a public key of RSA, as SIF files have them: an octet string of ASN.1 in PEM. */
export function cryptoMessage(key: KeyObject, bytes: Buffer): Buffer {
  const how = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const text = octetString(publicEncrypt(how, bytes)).toString('base64')
  return Buffer.from(`-----BEGIN MESSAGE-----\n${text.replace(/.{1,64}/g, '$&\n')}-----END MESSAGE-----\n`)
}

/** DER: as large as an RSA key, 256 bytes or more. */
function octetString(bytes: Buffer): Buffer {
  const head = Buffer.from([0x04, 0x82, 0, 0])
  head.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([head, bytes])
}
