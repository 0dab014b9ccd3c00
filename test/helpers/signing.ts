/** Signs images in tests, and makes rings of keys. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { generateKey, type PrivateKey, readPrivateKey } from 'openpgp'
import { signatureExtra } from '../../src/sif/details.ts'
import { addObject } from '../../src/sif/edit.ts'
import { dataTypes } from '../../src/sif/format.ts'
import { firstIdOf, groupsOf, membersOf, writeStatement } from '../../src/sif/integrity.ts'
import { parseSif } from '../../src/sif/read.ts'
import { digestsOf } from '../../src/trust/digests.ts'
import { sealOpenPgp } from '../../src/trust/openpgp-envelope.ts'
import { give } from './temp.ts'

export const fingerprintOf = (key: PrivateKey): string => key.getFingerprint().toUpperCase()

/** A new key without a passphrase. */
export async function newKey(name: string): Promise<PrivateKey> {
  const userIDs = { name, email: `${name}@example.org` }
  const { privateKey } = await generateKey({ type: 'curve25519', userIDs, format: 'armored' })
  return await readPrivateKey({ armoredKey: privateKey })
}

async function statementOf(path: string, group: number): Promise<string> {
  await using file = await open(path)
  const sif = parseSif(file.fd, path)
  const digests = digestsOf({ fd: file.fd, sif })
  const members = membersOf(sif.objects, group)
  const first = firstIdOf(members)
  const objects = members.map(async (object) => ({
    relativeId: object.id - first,
    descriptorDigest: digests.descriptor(object, object.id - first, 'sha256'),
    objectDigest: await digests.data(object, 'sha256'),
  }))
  return writeStatement({ header: digests.header('sha256'), objects: await Promise.all(objects) })
}

/** Sign all groups of an image. */
export async function signWith(path: string, key: PrivateKey): Promise<void> {
  await using file = await open(path)
  for (const group of groupsOf(parseSif(file.fd, path).objects)) {
    await addObject(path, {
      dataType: dataTypes.signature,
      group: 0,
      link: { kind: 'group', id: group },
      extra: signatureExtra(1, Buffer.from(fingerprintOf(key), 'hex')),
      data: await sealOpenPgp(await statementOf(path, group), key),
    })
  }
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
