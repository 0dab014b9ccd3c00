/**
 * Opening clear-signed text of OpenPGP. The frame is read here, strictly, so that the text that is believed is the text that was signed: one
 * header line, lines of ASCII without blanks at their ends, one signature, nothing around.
 */

import { Buffer } from 'node:buffer'
import {
  createMessage,
  enums,
  type KeyID,
  type PublicKey,
  readSignature,
  type Signature,
  type SignaturePacket,
  verify,
} from 'openpgp'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { algorithmOf, strongHash, weaknessOf } from './strength.ts'
import type { FindKey, FoundKey, Opened } from './types.ts'

const marks = {
  text: '-----BEGIN PGP SIGNED MESSAGE-----',
  signature: '-----BEGIN PGP SIGNATURE-----',
  end: '-----END PGP SIGNATURE-----',
}

const refuse = (reason: string, hint?: string, cause?: unknown): never => {
  throw new SingError('SIGNATURE', reason, { hint, cause })
}

/** Whether this wants to be clear-signed text. */
export function isClearSigned(envelope: Uint8Array): boolean {
  return Buffer.from(envelope.subarray(0, marks.text.length)).toString('latin1') === marks.text
}

/** A statement has one line, an old signature two; those of a signature are fewer than a hundred. */
const mostLines = 1000

type Frame = { readonly hash: string; readonly text: string; readonly signature: string }

/** The text of an envelope, without a word on who signed it; undefined when this is none that is read here. */
export function clearTextOf(envelope: Uint8Array): string | undefined {
  return isClearSigned(envelope) ? readFrame(envelope)?.text : undefined
}

function readFrame(envelope: Uint8Array): Frame | undefined {
  const lines = Buffer.from(envelope).toString('latin1').split(/\r?\n/, mostLines)
  if (lines.at(-1) === '') lines.pop()
  const at = lines.indexOf(marks.signature)
  const [first, hash = '', empty, ...text] = lines.slice(0, at)
  const armor = lines.slice(at)
  const isSound =
    first === marks.text && /^Hash: [A-Za-z0-9-]+$/.test(hash) && empty === '' && text.every(isTextLine)
  return isSound && text.length > 0 && isArmor(armor)
    ? { hash: hash.slice('Hash: '.length), text: text.join('\n'), signature: armor.join('\n') }
    : undefined
}

/** A line that begins with a dash would be escaped; neither statements nor old signatures have one. */
const isTextLine = (line: string): boolean => /^[!-,.-~](?:[ -~]*[!-~])?$/.test(line)

function isArmor(lines: readonly string[]): boolean {
  const empty = lines.indexOf('')
  return (
    empty > 0 &&
    lines.slice(1, empty).every((line) => /^[A-Z][A-Za-z]*: [ -~]*$/.test(line)) &&
    lines.slice(empty + 1, -1).every((line) => /^[A-Za-z0-9+/=]+$/.test(line)) &&
    lines.at(-1) === marks.end
  )
}

/**
 * The text, once it is certain that a key signed it that is known, sound, neither expired nor revoked now, and was all that when it signed.
 * Throws SIGNATURE with the reason why it is not.
 */
export async function openClearSigned(envelope: Uint8Array, find: FindKey): Promise<Opened> {
  const frame = readFrame(envelope)
  if (!frame) return refuse('its text is not in the form that signatures have')
  const { signature, packet } = await readPacket(frame)
  const keyId = packet.issuerKeyID.toHex().toUpperCase()
  const found = await find(keyId)
  if (!found)
    return refuse(
      `the key ${keyId} is not known`,
      `Fetch it if you trust its owner: sing key pull ${keyId}\nThen compare the fingerprint with what the owner says.`,
    )
  return await believing(async () => {
    await checkKey(found.key, packet.issuerKeyID)
    await checkSignature(frame.text, signature, found.key)
    return { message: Buffer.from(frame.text, 'latin1'), signer: await signerOf(found) }
  })
}

/** The key may be from anywhere, and the library fails in its own words where a key is odd. */
async function believing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    return refuse(`it cannot be checked: ${shown(reasonOf(cause))}`, undefined, cause)
  }
}

async function readPacket({ hash, signature: armoredSignature }: Frame) {
  const signature = await readSignature({ armoredSignature }).catch((cause) =>
    refuse('what follows its text is no signature of OpenPGP', undefined, cause),
  )
  const [packet, ...more] = signature.packets as unknown as SignaturePacket[]
  if (!packet || more.length > 0 || packet.signatureType !== enums.signature.text)
    return refuse('its text is not followed by one signature of a text')
  if (strongHash(packet.hashAlgorithm) !== hash)
    return refuse('it is made with another hash algorithm than its text says')
  return { signature, packet }
}

/** Refuse a key that is not what was asked for, weak, revoked or expired. */
async function checkKey(key: PublicKey, keyId: KeyID): Promise<void> {
  const name = keyId.toHex().toUpperCase()
  const signing = key.getKeys(keyId)[0]
  if (!signing) return refuse(`another key was found for ${name}`)
  const weakness = weaknessOf(algorithmOf(key)) ?? weaknessOf(algorithmOf(signing))
  if (weakness) refuse(`the key ${name} ${weakness}`)
  if (await key.isRevoked()) refuse(`the key ${name} was revoked by its owner`)
  const end = await key.getExpirationTime()
  if (end instanceof Date && end.getTime() <= Date.now())
    refuse(
      `the key ${name} expired on ${end.toISOString().slice(0, 10)}`,
      `Where its owner has prolonged it, fetch it again: sing key pull ${name}`,
    )
  await key
    .getSigningKey(keyId, new Date())
    .catch((cause: Error) =>
      refuse(`the key ${name} may not sign: ${shown(cause.message)}`, undefined, cause),
    )
}

async function checkSignature(text: string, signature: Signature, key: PublicKey): Promise<void> {
  const message = await createMessage({ text })
  const { signatures } = await verify({ message, signature, verificationKeys: key })
  const [result] = signatures
  if (!result || signatures.length > 1) return refuse('it could not be checked')
  await result.verified.catch((cause: Error) => {
    const isBroken = /^Signed digest did not match|^Signature verification failed/.test(cause.message)
    return refuse(
      isBroken ? 'its text was changed after it was signed' : shown(cause.message),
      undefined,
      cause,
    )
  })
}

async function signerOf({ key, origin }: FoundKey): Promise<Opened['signer']> {
  return {
    kind: 'openpgp',
    name: await nameOf(key),
    fingerprint: key.getFingerprint().toUpperCase(),
    origin,
  }
}

/** The first user id that the key itself vouches for: anybody can attach others. */
async function nameOf(key: PublicKey): Promise<string> {
  for (const user of key.users) {
    const isOwn = await user.verify().catch(() => false)
    if (isOwn && user.userID) return user.userID.userID
  }
  return ''
}
