/** Makes pairs of keys that the peers and gpg read. */

import { config, encryptKey, enums, generateKey, type PrivateKey } from 'openpgp'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type KeyBlock, toBlock } from './blocks.ts'
import { formatUserId, type UserId } from './keys.ts'
import { leastRsaBits } from './pem.ts'
import type { KeyPlace } from './places.ts'
import { type ChangeOptions, changeRings } from './ring-files.ts'

export const keyTypes = ['rsa', 'ed25519'] as const
export type KeyType = (typeof keyTypes)[number]

export type PairRequest = {
  readonly user: UserId
  readonly type: KeyType
  /** Of RSA. */
  readonly bits: number
  /** Empty: the key is kept without one. */
  readonly passphrase: string
}

export type Pair = { readonly public: KeyBlock; readonly secret: KeyBlock }

const status = 2

/** Iterated and salted SHA-256 with the highest count there is (65011712), about a fifth of a second: the peers know nothing stronger. */
export const protection = { s2kIterationCountByte: 255 } as const

/** What is a part of the format cannot be a part of a name. */
function requireUser({ name, comment, email }: UserId): void {
  for (const [what, text] of Object.entries({ name, comment, email })) {
    const found = /[()<>\u0000-\u001f\u007f]/.exec(text)
    if (found)
      throw new SingError('KEY', `the ${what} of a key cannot have the character ${shown(found[0])}`, {
        status,
      })
  }
  if (name === '' && email === '') throw new SingError('KEY', 'a key needs a name or an address', { status })
}

function requireBits(type: KeyType, bits: number): void {
  if (type !== 'rsa' || (bits >= leastRsaBits && bits <= 16384)) return
  const why =
    bits < leastRsaBits
      ? 'shorter keys are broken, and their signatures refused'
      : 'longer ones are only slower'
  throw new SingError('KEY', `cannot make an RSA key of ${bits} bits: ${why}`, {
    hint: '--bit-length 4096, or --type ed25519',
    status,
  })
}

/** @throws SingError KEY for a user or a size that cannot be had */
export function requirePair({ user, type, bits }: Omit<PairRequest, 'passphrase'>): void {
  requireUser(user)
  requireBits(type, bits)
}

/** The library marks its signatures with notes that mean nothing to others. */
const plain = { ...config, nonDeterministicSignaturesViaNotation: false }

async function makeKey(user: UserId, type: KeyType, bits: number): Promise<PrivateKey> {
  const { privateKey } = await generateKey({
    // The whole id as a name: the library takes only addresses that look like some, the peers take any.
    userIDs: { name: formatUserId(user) },
    ...(type === 'rsa'
      ? { type: 'rsa' as const, rsaBits: bits }
      : { type: 'ecc' as const, curve: 'ed25519Legacy' as const }),
    format: 'object',
    config: { nonDeterministicSignaturesViaNotation: false },
  })
  return privateKey
}

/** The library asks for hashes that gpg 2.2 does not have, and warns of: this signature asks for those that all have. */
async function signAgain({ keyPacket, users }: PrivateKey): Promise<void> {
  const [user] = users
  const [certification] = user?.selfCertifications ?? []
  if (!user?.userID || !certification || !('encrypt' in keyPacket)) return
  certification.preferredHashAlgorithms = [enums.hash.sha512, enums.hash.sha384, enums.hash.sha256]
  const data = { userID: user.userID, key: keyPacket } as unknown as Uint8Array
  const { sign } = certification as unknown as { sign: (...args: readonly unknown[]) => Promise<void> }
  await sign.call(certification, keyPacket, data, certification.created ?? new Date(), false, plain)
}

/**
 * A new pair of keys: the primary key signs, a subkey encrypts, and the passphrase protects both.
 * @throws SingError KEY for a user or a size that cannot be had
 */
export async function generatePair({ user, type, bits, passphrase }: PairRequest): Promise<Pair> {
  requirePair({ user, type, bits })
  try {
    const key = await makeKey(user, type, bits)
    await signAgain(key)
    return pairOf(
      passphrase === '' ? key : await encryptKey({ privateKey: key, passphrase, config: protection }),
    )
  } catch (cause) {
    throw new SingError('KEY', `cannot make a pair of keys: ${shown(reasonOf(cause))}`, { cause, status })
  }
}

const pairOf = (key: PrivateKey): Pair => ({
  public: toBlock(key.toPublic().write()),
  secret: toBlock(key.write()),
})

/** Keep a new pair behind the keys that are there. */
export async function addPair(pair: Pair, place: KeyPlace, options: ChangeOptions): Promise<void> {
  await changeRings(place, options, async (rings) => ({
    public: [...rings.public.keys, pair.public],
    secret: [...rings.secret.keys, pair.secret],
    result: undefined,
  }))
}
