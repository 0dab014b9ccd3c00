/** A file that somebody offers for import: keys and revocation certificates, armored or not. */

import { closeSync, openSync, readSync } from 'node:fs'
import { armor, enums, unarmor } from 'openpgp'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { type KeyBlock, toBlock } from './blocks.ts'
import { describeKey, loadKey } from './keys.ts'
import { type Packet, packetsOf, splitKeys, tags } from './packets.ts'

const sizeLimit = 16 * 1024 * 1024
/** Exit status of the peers for an import that fails. */
const status = 2

export type Offer = {
  readonly keys: readonly KeyBlock[]
  /** Certificates, armored as openpgp wants them. */
  readonly revocations: readonly string[]
}

const refuse = (sentence: string, hint?: string, cause?: unknown): SingError =>
  new SingError('KEY', sentence, { hint, cause, status })

/** Devices and pipes do not say how much they have. */
function readAll(fd: number, name: string): Uint8Array {
  const chunks: Buffer[] = []
  for (let length = 0; ; ) {
    const chunk = Buffer.alloc(64 * 1024)
    const count = readSync(fd, chunk)
    if (count === 0) return Buffer.concat(chunks)
    length += count
    if (length > sizeLimit) throw refuse(`${shown(name)} is no file of keys: it is larger than 16 MiB`)
    chunks.push(chunk.subarray(0, count))
  }
}

/**
 * The bytes of a file, or of standard input for `-`.
 * @throws SingError KEY
 */
export function readOffered(path: string): Uint8Array {
  try {
    if (path === '-') return readAll(0, 'standard input')
    const fd = openSync(path, 'r')
    try {
      return readAll(fd, path)
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    const hint =
      errnoOf(cause) === 'ENOENT' ? 'Keys of a key server are fetched with: sing key pull' : undefined
    throw refuse(`cannot read keys from ${shown(path)}: ${reasonOf(cause)}`, hint, cause)
  }
}

const blockPattern =
  /-----BEGIN PGP (?:PUBLIC|PRIVATE) KEY BLOCK-----[\s\S]*?-----END PGP \w+ KEY BLOCK-----/g

/** The packets of the armored blocks in a text. */
async function dearmor(text: string, name: string): Promise<Uint8Array[]> {
  const blocks = text.match(blockPattern) ?? []
  const pieces: Uint8Array[] = []
  for (const block of blocks) {
    try {
      const { data } = await unarmor(block)
      pieces.push(data as unknown as Uint8Array)
    } catch (cause) {
      throw refuse(`${shown(name)} is damaged: ${shown(reasonOf(cause))}`, undefined, cause)
    }
  }
  return pieces
}

/** A signature that takes a key back (type 0x20). */
const isRevocation = ({ tag, body }: Packet): boolean =>
  tag === tags.signature && (body[0] ?? 0) >= 4 && body[1] === 0x20

const isRevocations = (packets: readonly Packet[]): boolean =>
  packets.length > 0 && packets.every(isRevocation)

function readPiece(bytes: Uint8Array, name: string, isArmored: boolean): Offer {
  const packets = packetsOf(bytes)
  if (packets && isRevocations(packets)) {
    const texts = packets.map(({ start, end }) => armor(enums.armor.publicKey, bytes.subarray(start, end)))
    return { keys: [], revocations: texts }
  }
  const { keys, damage } = splitKeys(bytes)
  if (damage.length > 0 && (keys.length > 0 || isArmored))
    throw refuse(
      `${shown(name)} is damaged: ${damage.length} part(s) of it are no keys`,
      'Fetch or export it again',
    )
  return { keys: keys.map(toBlock), revocations: [] }
}

/** Refuse what nobody could use, before anything is written. */
async function requireReadable(block: KeyBlock, name: string): Promise<void> {
  const called = block.fingerprint ?? 'of a kind that nobody uses any more'
  try {
    if (block.fingerprint === undefined) throw new Error('it has no fingerprint of version 4 or newer')
    await loadKey(block)
  } catch (cause) {
    throw refuse(
      `the key ${called} in ${shown(name)} cannot be used: ${shown(reasonOf(cause))}`,
      undefined,
      cause,
    )
  }
}

/**
 * Keys and revocations in bytes that somebody calls `name`.
 * @throws SingError KEY when there are none, or a part is damaged
 */
export async function readOffer(bytes: Uint8Array, name: string): Promise<Offer> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const isArmored = text.includes('-----BEGIN PGP')
  const pieces = isArmored ? await dearmor(text, name) : [bytes]
  const offers = pieces.map((piece) => readPiece(piece, name, isArmored))
  const offer = {
    keys: offers.flatMap(({ keys }) => keys),
    revocations: offers.flatMap(({ revocations }) => revocations),
  }
  if (offer.keys.length + offer.revocations.length === 0)
    throw refuse(
      `${shown(name)} has no OpenPGP key`,
      'A file of keys begins with -----BEGIN PGP PUBLIC KEY BLOCK-----, or is what gpg --export wrote',
    )
  for (const block of offer.keys) await requireReadable(block, name)
  return offer
}

/** What somebody should know about keys that come in: a sentence each. */
export async function warningsAbout({ keys }: Offer): Promise<string[]> {
  const warnings: string[] = []
  for (const block of keys) {
    const { fingerprint, state, reason, protection } = await describeKey(block)
    if (state !== 'good')
      warnings.push(`the key ${fingerprint} is ${state}${reason ? `: ${shown(reason)}` : ''}`)
    if (protection === 'none')
      warnings.push(
        `the private key ${fingerprint} has no passphrase: who reads the file can sign with it (--new-password sets one)`,
      )
    if (protection === 'primary')
      warnings.push(`subkeys of the private key ${fingerprint} have no passphrase (--new-password sets one)`)
  }
  return warnings
}
