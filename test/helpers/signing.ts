/** Signs images in tests, and makes rings of keys. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey, type PrivateKey, readPrivateKey } from 'openpgp'
import { signImage } from '../../src/trust/sign.ts'
import { give } from './temp.ts'

export const fingerprintOf = (key: PrivateKey): string => key.getFingerprint().toUpperCase()

/** A new key without a passphrase. */
export async function newKey(name: string): Promise<PrivateKey> {
  const userIDs = { name, email: `${name}@example.org` }
  const { privateKey } = await generateKey({ type: 'curve25519', userIDs, format: 'armored' })
  return await readPrivateKey({ armoredKey: privateKey })
}

/** Sign all groups of an image. */
export async function signWith(path: string, key: PrivateKey): Promise<void> {
  await signImage(path, { key: { kind: 'openpgp', key } })
}

/** A directory with a ring of the public keys, for SING_KEYSDIR; or that of a site. */
export function makeRing(
  directory: string,
  keys: readonly PrivateKey[],
  name: 'pgp-public' | 'global-pgp-public' = 'pgp-public',
): string {
  mkdirSync(directory, { recursive: true, mode: name === 'pgp-public' ? 0o700 : 0o755 })
  const bytes = Buffer.concat(keys.map((key) => key.toPublic().write()))
  writeFileSync(join(directory, name), bytes, { mode: name === 'pgp-public' ? 0o600 : 0o644 })
  give(directory)
  return directory
}
