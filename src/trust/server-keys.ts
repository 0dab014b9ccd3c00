/** Keys as servers send them: exactly the one that was asked for, and nothing else. */

import { type PublicKey, readKeys } from 'openpgp'
import { shown } from '../core/errors.ts'
import type { KeyServer } from '../endpoints/keyservers.ts'
import { type AskOptions, fetchKey, refuse } from './keyserver.ts'

/** Whether a key or one of its subkeys has the fingerprint, the key id or, of old servers, its last eight digits. */
function hasId(key: PublicKey, id: string): boolean {
  const wanted = id.toUpperCase()
  return key.getKeys().some((part) => {
    const keyId = part.getKeyID().toHex().toUpperCase()
    return [part.getFingerprint().toUpperCase(), keyId, keyId.slice(-8)].includes(wanted)
  })
}

/**
 * The one key with an id or fingerprint on a server. That it has this id is checked; that a subkey belongs to it is not: who uses
 * the subkey has to. Undefined when the server has none.
 * @throws SingError KEYSERVER when it gives no answer, or another key
 */
export async function findKeyAt(
  server: KeyServer,
  id: string,
  options: AskOptions,
): Promise<PublicKey | undefined> {
  const bytes = await fetchKey(server, id, options)
  if (!bytes) return undefined
  const keys = await readKeysOf(server, bytes)
  const [key] = keys
  if (!key) throw refuse(server, `sends something else than a key for ${id}`)
  if (keys.length > 1) {
    const all = keys.map((one) => one.getFingerprint().toUpperCase())
    throw refuse(
      server,
      `has several keys for ${id}`,
      `Name one by its fingerprint: ${all.slice(0, 8).join(', ')}`,
    )
  }
  if (key.isPrivate()) throw refuse(server, `sends a secret key for ${id}`)
  if (!hasId(key, id))
    throw refuse(server, `sends another key for ${id}: ${key.getFingerprint().toUpperCase()}`)
  return key
}

async function readKeysOf(server: KeyServer, bytes: Buffer): Promise<PublicKey[]> {
  const isBinary = ((bytes[0] ?? 0) & 0x80) !== 0
  try {
    if (isBinary) return await readKeys({ binaryKeys: bytes })
    const text = bytes.toString('latin1')
    // Only the first block would be read.
    if (text.split('-----BEGIN PGP').length > 2) throw new Error('more than one block')
    return await readKeys({ armoredKeys: text })
  } catch (cause) {
    throw refuse(
      server,
      `sends something else than a key: ${shown((cause as Error).message)}`,
      undefined,
      cause,
    )
  }
}
