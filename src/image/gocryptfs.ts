/**
 * The keys of encrypted images in the format of gocryptfs: `gocryptfs.conf` holds a master key, which a passphrase opens, and
 * the key of file contents comes of it. Blocks are sealed and opened by the addon (addon/squashfs/seal.h).
 *
 *     passphrase --scrypt--> kek --HKDF--> opens EncryptedKey --> master key --HKDF--> key of file contents
 */

import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, hkdfSync, scrypt } from 'node:crypto'
import { SingError } from '../core/errors.ts'

export const configurationName = 'gocryptfs.conf'
/** Bytes of such a file; an honest one has 352. */
export const configurationLimit = 16 * 1024

/** What of scrypt takes time and memory: 128 * n * r bytes, p times. */
type ScryptCosts = { readonly n: number; readonly r: number; readonly p: number }

export type Configuration = {
  /** Nonce, 32 bytes, tag. */
  readonly encryptedKey: Buffer
  readonly salt: Buffer
  readonly costs: ScryptCosts
}

/** What Apptainer's images have, and all that is read: names are plain, there is but one. */
const featureFlags = ['HKDF', 'GCMIV128', 'PlaintextNames']
const version = 2
const keyLength = 32
const nonceLength = 16
const tagLength = 16
/** What gocryptfs takes when nobody asks for more. */
export const usualCosts: ScryptCosts = { n: 65_536, r: 8, p: 1 }
/** A stranger's file must not take more memory and time than eight times that. */
const mostMemory = 512 * 1024 * 1024
const mostRounds = 4

/** What is wrong with an image, for who knows which one it is. */
export const damaged = (reason: string): SingError =>
  new SingError('ENCRYPTION', reason, {
    hint: 'It is damaged, or made by something newer than this program',
  })

const unread = (reason: string): SingError => damaged(`its ${configurationName} ${reason}`)

/**
 * Read the text of a `gocryptfs.conf`.
 * @throws SingError ENCRYPTION for what is damaged, or more than we read, or costs more than it may
 */
export function parseConfiguration(text: string): Configuration {
  const conf = parseObject(text)
  if (conf.Version !== version) throw unread(`is of version ${JSON.stringify(conf.Version)}, not ${version}`)
  requireFlags(conf.FeatureFlags)
  const { Salt, N, R, P, KeyLen } = objectOf(conf.ScryptObject, 'has no ScryptObject')
  if (KeyLen !== keyLength) throw unread(`asks for keys of ${JSON.stringify(KeyLen)} bytes, not ${keyLength}`)
  return {
    encryptedKey: bytesOf(conf.EncryptedKey, 'EncryptedKey', nonceLength + keyLength + tagLength),
    salt: bytesOf(Salt, 'Salt', keyLength),
    costs: costsOf(N, R, P),
  }
}

function parseObject(text: string): Record<string, unknown> {
  try {
    return objectOf(JSON.parse(text), 'is no JSON object')
  } catch (cause) {
    throw cause instanceof SingError ? cause : unread('is no JSON')
  }
}

function objectOf(value: unknown, reason: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unread(reason)
  return value as Record<string, unknown>
}

/** Exactly those: one more may mean that everything is different, one less that nothing is checked. */
function requireFlags(value: unknown): void {
  const found = Array.isArray(value) ? value.map(String) : []
  const same = found.length === featureFlags.length && featureFlags.every((flag) => found.includes(flag))
  if (!same) throw unread(`has the features ${JSON.stringify(found)}, not ${featureFlags.join(', ')}`)
}

function bytesOf(value: unknown, name: string, length: number): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.alloc(0)
  if (bytes.length !== length || bytes.toString('base64') !== value)
    throw unread(`has no ${name} of ${length} bytes`)
  return bytes
}

function costsOf(n: unknown, r: unknown, p: unknown): ScryptCosts {
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0
  if (!isCount(n) || !isCount(r) || !isCount(p) || n < 2 || !Number.isInteger(Math.log2(n)))
    throw unread('has numbers for scrypt that cannot be')
  if (128 * n * r > mostMemory || p > mostRounds)
    throw unread(`asks scrypt for more than we give (N ${n}, R ${r}, P ${p})`)
  return { n, r, p }
}

/**
 * The key of file contents, 32 bytes; whoever gets it wipes it. Takes a moment, in which other things go on.
 * @returns undefined when the passphrase does not open the master key
 */
export async function openFileKey(conf: Configuration, passphrase: Buffer): Promise<Buffer | undefined> {
  const master = openMasterKey(await wrappingKey(conf, passphrase), conf.encryptedKey)
  if (!master) return undefined
  try {
    return contentKey(master)
  } finally {
    master.fill(0)
  }
}

/** What seals the master key, of the passphrase. */
export async function wrappingKey(
  { salt, costs }: Pick<Configuration, 'salt' | 'costs'>,
  passphrase: Buffer,
): Promise<Buffer> {
  const { n, r, p } = costs
  // The limit is on what we asked for, and a little more than the formula (scrypt(3)).
  const options = { N: n, r, p, maxmem: 128 * r * (n + p + 2) + 1024 * 1024 }
  const kek = await new Promise<Buffer>((resolve, reject) =>
    scrypt(passphrase, salt, keyLength, options, (error, key) => (error ? reject(error) : resolve(key))),
  )
  try {
    return contentKey(kek)
  } finally {
    kek.fill(0)
  }
}

/** Of a key: the one for AES-GCM. */
export const contentKey = (key: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), 'AES-GCM file content encryption', keyLength))

/** The master key is sealed as if it were block 0 of no file. */
const additionalData = Buffer.alloc(8)

function openMasterKey(key: Buffer, sealed: Buffer): Buffer | undefined {
  const opener = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceLength), {
    authTagLength: tagLength,
  })
  opener.setAAD(additionalData)
  opener.setAuthTag(sealed.subarray(-tagLength))
  try {
    return Buffer.concat([opener.update(sealed.subarray(nonceLength, -tagLength)), opener.final()])
  } catch {
    return undefined
  } finally {
    key.fill(0)
  }
}

/** The other way: what goes into `EncryptedKey`. Wipes `key`. */
export function sealMasterKey(key: Buffer, master: Buffer, nonce: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength })
  cipher.setAAD(additionalData)
  const sealed = [nonce, cipher.update(master), cipher.final(), cipher.getAuthTag()]
  key.fill(0)
  return Buffer.concat(sealed)
}

/** The text of a `gocryptfs.conf`. */
export function configurationText({ encryptedKey, salt, costs: { n, r, p } }: Configuration): string {
  const conf = {
    Creator: 'gocryptfs 2.3',
    EncryptedKey: encryptedKey.toString('base64'),
    ScryptObject: { Salt: salt.toString('base64'), N: n, R: r, P: p, KeyLen: keyLength },
    Version: version,
    FeatureFlags: featureFlags,
  }
  return `${JSON.stringify(conf, null, '\t')}\n`
}
