/**
 * Opens encrypted images: finds the encrypted file in the image around it, gets its key by a passphrase or a private key, and
 * keeps both in memory for whoever reads the image (addon/squashfs/plain.h).
 */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { SquashfsImage } from '../native/addon.ts'
import { hideProcess, keepSecret } from '../native/secret.ts'
import {
  type Configuration,
  configurationLimit,
  configurationName,
  damaged,
  openFileKey,
  parseConfiguration,
} from './gocryptfs.ts'
import { howToUnlock, type Locked, type Secret } from './locked.ts'
import { openSealedPassphrase } from './sealed-passphrase.ts'

/** The words of an image that it cannot be opened, whatever its path is. */
const refuse = ({ path }: Locked, reason: string, hint?: string, cause?: unknown): SingError =>
  new SingError('ENCRYPTION', `cannot open ${shown(path)}: ${reason}`, { hint, cause })

/**
 * The descriptor of what opens the image, for as long as this process lives; nobody but root can look into the process from
 * here on.
 * @throws SingError ENCRYPTION for a secret that does not open it, and for what is damaged
 */
export async function unlock(locked: Locked, secret: Secret): Promise<number> {
  hideProcess()
  const { configuration, pieces } = await saying(locked, () => findEncrypted(locked))
  const passphrase = passphraseOf(locked, secret)
  try {
    const key = await openFileKey(configuration, passphrase)
    if (!key) throw refuse(locked, wrongSecret(secret), whatElse(locked, secret))
    const fd = keepSecret(recordOf(key, pieces))
    await saying(locked, () => requireSound(locked, fd))
    return fd
  } finally {
    passphrase.fill(0)
  }
}

/** The same for who has the key itself, because the image was just encrypted with it. */
export async function unlockBy(locked: Locked, key: Uint8Array): Promise<number> {
  const { pieces } = await saying(locked, () => findEncrypted(locked))
  return keepSecret(recordOf(Buffer.from(key), pieces))
}

function whatElse(locked: Locked, secret: Secret): string | undefined {
  if (locked.sealed) return howToUnlock(locked)
  const variable = secret.kind === 'passphrase' ? secret.variable : undefined
  return variable === undefined ? undefined : `It is that of ${variable}; --passphrase asks for another one`
}

const wrongSecret = ({ kind }: Secret): string =>
  kind === 'pem'
    ? 'the passphrase that was sealed for the key does not open it'
    : 'the passphrase is not the right one'

/** Do something with the file; what goes wrong has the image as its subject. */
async function saying<T>(locked: Locked, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof SingError)) throw cause
    throw refuse(locked, cause.message.replace(/^cannot [^:]*: /s, ''), cause.hint, cause)
  }
}

type Encrypted = { readonly configuration: Configuration; readonly pieces: readonly number[] }

/** The one encrypted file beside the configuration, and where its bytes lie in the image file. */
async function findEncrypted({ path, offset, size }: Locked): Promise<Encrypted> {
  await using around = await SquashfsImage.open(path, offset, size)
  const names = (await around.list('/')) ?? []
  const name = names.find((other) => other !== configurationName)
  if (name === undefined || names.length !== 2)
    throw damaged(`it does not hold ${configurationName} and one encrypted file, but ${names.length} names`)
  const text = await around.read(`/${configurationName}`, configurationLimit)
  const pieces = await around.stored(`/${name}`)
  if (!text || !pieces) throw damaged('what should be a file in it is something else')
  return { configuration: parseConfiguration(text.toString()), pieces }
}

function passphraseOf(locked: Locked, secret: Secret): Buffer {
  if (secret.kind === 'passphrase') return Buffer.from(secret.passphrase)
  if (!locked.sealed)
    throw refuse(locked, 'it was encrypted with a passphrase, not for a key', howToUnlock(locked))
  return openSealedPassphrase(locked.sealed, secret, locked.path)
}

const recordMagic = 'SINGKEY1'

/** What the readers get (addon/squashfs/plain.h). Wipes the key. */
function recordOf(key: Buffer, pieces: readonly number[]): Buffer {
  const record = Buffer.alloc(48 + pieces.length * 8)
  record.write(recordMagic, 'latin1')
  key.copy(record, 8)
  key.fill(0)
  record.writeUInt32LE(pieces.length / 2, 40)
  for (const [index, number] of pieces.entries()) record.writeBigUInt64LE(BigInt(number), 48 + index * 8)
  return record
}

/** Before anything is started: the image inside begins as one. */
async function requireSound({ path, offset, size }: Locked, key: number): Promise<void> {
  await using _ = await SquashfsImage.open(path, offset, size, key)
}
