/** The keys of `fixtures/keys`, as what verifies. */

import { createPublicKey } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { type PublicKey, readKeys } from 'openpgp'
import type { FindKey, Material } from '../../../src/trust/types.ts'

const fixtures = new URL('../../../fixtures/keys/', import.meta.url)

export const keyFile = (name: string): string => readFileSync(new URL(name, fixtures), 'utf8')

/** Every key of OpenPGP there is. */
async function ring(): Promise<PublicKey[]> {
  const names = readdirSync(new URL('openpgp', fixtures)).filter((name) => name.endsWith('.asc'))
  const read = names.map((name) => readKeys({ armoredKeys: keyFile(`openpgp/${name}`) }))
  return (await Promise.all(read)).flat().map((key) => key.toPublic())
}

const keys = await ring()

export const findKey: FindKey = async (keyId) => {
  const key = keys.find((one) => one.getKeyIDs().some((id) => id.toHex().toUpperCase() === keyId))
  return key && { key, origin: 'local' }
}

/** All keys of OpenPGP. */
export const people: Material = { kind: 'openpgp', find: findKey }

/** One of the bare keys: `rsa`, `ecdsa`, `ed25519`. */
export const bare = (name: string): Extract<Material, { kind: 'pem' }> => ({
  kind: 'pem',
  key: createPublicKey(keyFile(`pem/${name}-public.pem`)),
})
