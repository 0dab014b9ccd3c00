/** OpenPGP keys: what lists show of them, and how private ones are unlocked. */

import {
  type AnyKeyPacket,
  type AnySecretKeyPacket,
  type Key,
  type PrivateKey,
  type PublicKey,
  readKey,
  readPrivateKey,
} from 'openpgp'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type KeyBlock, primaryOf } from './blocks.ts'
import { packetsOf, tags } from './packets.ts'

export type UserId = { readonly name: string; readonly comment: string; readonly email: string }

/** What holds of a key now. `unusable`: nobody can check signatures with it; the reason says why. */
export type KeyState = 'good' | 'expired' | 'revoked' | 'unusable'

/** How much of a private key is behind a passphrase. The peers leave subkeys in the open. */
export type Protection = 'all' | 'primary' | 'none'

export type KeyFacts = {
  readonly fingerprint: string
  readonly users: readonly UserId[]
  readonly created: Date
  readonly bits: number
  /** Undefined: never, or nobody knows. */
  readonly expires: Date | undefined
  readonly state: KeyState
  readonly reason: string | undefined
  /** Of private keys. */
  readonly protection: Protection | undefined
}

/** As the peers read it: a name, a comment in parentheses, an address in angle brackets. */
export function parseUserId(text: string): UserId {
  const [, name = '', comment = '', email = ''] =
    /^([^(<]*)(?:\(([^)]*)\)?)?[^<]*(?:<([^>]*)>?)?/s.exec(text) ?? []
  return { name: name.trim(), comment: comment.trim(), email: email.trim() }
}

export const formatUserId = ({ name, comment, email }: UserId): string =>
  [name, comment && `(${comment})`, email && `<${email}>`].filter(Boolean).join(' ')

/** User ids of a key as it names itself, not checked. */
export const userIdsOf = ({ bytes }: KeyBlock): UserId[] =>
  (packetsOf(bytes) ?? [])
    .filter(({ tag }) => tag === tags.userId)
    .map(({ body }) => parseUserId(Buffer.from(body).toString('utf8')))

export async function loadKey({ bytes }: Pick<KeyBlock, 'bytes'>): Promise<Key> {
  return await readKey({ binaryKey: Uint8Array.from(bytes) })
}

/** @throws an error of openpgp for what it cannot read */
export async function loadPublic(block: Pick<KeyBlock, 'bytes'>): Promise<PublicKey> {
  const key = await loadKey(block)
  return key.isPrivate() ? key.toPublic() : (key as PublicKey)
}

function protectionOf(key: Key): Protection | undefined {
  if (!key.isPrivate()) return undefined
  const [primary, ...rest] = [key, ...key.subkeys].map(
    ({ keyPacket }) => 'isDecrypted' in keyPacket && !keyPacket.isDecrypted(),
  )
  if (!primary) return 'none'
  return rest.every(Boolean) ? 'all' : 'primary'
}

type Judged = Pick<KeyFacts, 'expires' | 'state' | 'reason'>

async function judge(key: Key): Promise<Judged> {
  if (await key.isRevoked()) return { state: 'revoked', expires: undefined, reason: undefined }
  const found = await key.getExpirationTime().catch(() => null)
  const expires = found instanceof Date ? found : undefined
  if (expires && expires.getTime() <= Date.now()) return { state: 'expired', expires, reason: undefined }
  try {
    await key.verifyPrimaryKey()
    return { state: 'good', expires, reason: undefined }
  } catch (error) {
    return { state: 'unusable', expires, reason: reasonOf(error) }
  }
}

/** What lists show of a key; one that cannot be used is described as far as its bytes tell. */
export async function describeKey(block: KeyBlock): Promise<KeyFacts> {
  const part = primaryOf(block)
  const facts = {
    fingerprint: block.fingerprint ?? '',
    users: userIdsOf(block),
    created: new Date((part?.created ?? 0) * 1000),
    bits: part?.bits ?? 0,
    protection: undefined,
  }
  try {
    const key = await loadKey(block)
    return { ...facts, protection: protectionOf(key), ...(await judge(key)) }
  } catch (error) {
    return { ...facts, expires: undefined, state: 'unusable', reason: reasonOf(error) }
  }
}

const wrongPassphrase = (fingerprint: string): SingError =>
  new SingError('KEY', `wrong passphrase for the private key ${fingerprint}`, {
    hint: 'Passphrases are told apart by capitals and blanks; sing key list --secret shows whose key it is',
  })

const isSecretPacket = (packet: AnyKeyPacket): packet is AnySecretKeyPacket => 'decrypt' in packet

/** Take the passphrase off a part of a key. */
async function decrypt(packet: AnySecretKeyPacket, passphrase: string, fingerprint: string): Promise<void> {
  try {
    await packet.decrypt(passphrase)
  } catch (error) {
    if (/passphrase/i.test(reasonOf(error))) throw wrongPassphrase(fingerprint)
    throw new SingError('KEY', `cannot unlock the private key ${fingerprint}: ${shown(reasonOf(error))}`, {
      cause: error,
    })
  }
}

async function loadPrivate(block: KeyBlock): Promise<PrivateKey> {
  try {
    return await readPrivateKey({ binaryKey: Uint8Array.from(block.bytes) })
  } catch (cause) {
    throw new SingError(
      'KEY',
      `cannot use the private key ${block.fingerprint ?? ''}: ${shown(reasonOf(cause))}`,
      {
        cause,
      },
    )
  }
}

const needsPassphrase = (fingerprint: string): SingError =>
  new SingError('KEY', `the private key ${fingerprint} needs its passphrase`)

/** Unlock parts of a key; without a passphrase they must have none. */
async function unlock(
  { fingerprint = '' }: KeyBlock,
  parts: readonly { readonly keyPacket: AnyKeyPacket }[],
  passphrase: string | undefined,
): Promise<void> {
  for (const { keyPacket } of parts) {
    if (!isSecretPacket(keyPacket) || keyPacket.isDummy() || keyPacket.isDecrypted()) continue
    if (passphrase === undefined) throw needsPassphrase(fingerprint)
    await decrypt(keyPacket, passphrase, fingerprint)
  }
}

/** The part of a key that signs; whoever signs says why there is none. */
const signingPart = async (key: PrivateKey): Promise<{ readonly keyPacket: AnyKeyPacket }> =>
  await key.getSigningKey().catch(() => key)

/** Whether a passphrase is needed to sign with a key. */
export async function isProtected(block: KeyBlock): Promise<boolean> {
  const { keyPacket } = await signingPart(await loadPrivate(block))
  return isSecretPacket(keyPacket) && !keyPacket.isDummy() && !keyPacket.isDecrypted()
}

/**
 * A private key whose part that signs is unlocked. Without a passphrase it must have none.
 * @throws SingError KEY for a wrong passphrase, and a key that cannot be used
 */
export async function unlockKey(block: KeyBlock, passphrase: string | undefined): Promise<PrivateKey> {
  const key = await loadPrivate(block)
  const part = await signingPart(key)
  if (isSecretPacket(part.keyPacket) && part.keyPacket.isDummy())
    throw new SingError(
      'KEY',
      `the private key ${block.fingerprint} is kept elsewhere, on a card or another machine`,
    )
  await unlock(block, [part], passphrase)
  return key
}

/** A private key with all of its parts unlocked. */
export async function unlockWhole(block: KeyBlock, passphrase: string | undefined): Promise<PrivateKey> {
  const key = await loadPrivate(block)
  await unlock(block, [key, ...key.subkeys], passphrase)
  return key
}
