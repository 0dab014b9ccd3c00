/** Keys found in rings: by what signatures name, and by what people write. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKey, type PrivateKey, type PublicKey, readKey, revokeKey } from 'openpgp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Event } from '../../../src/core/events.ts'
import { toBlock } from '../../../src/trust/blocks.ts'
import { packetsOf } from '../../../src/trust/packets.ts'
import { globalPlace, type KeyPlaces, keyDirectory } from '../../../src/trust/places.ts'
import { chooseKey, findInRings, secretKeys } from '../../../src/trust/ring-keys.ts'

let folder: string
let count = 0
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-rings-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function makeKey(name: string): Promise<PrivateKey> {
  const { privateKey } = await generateKey({
    type: 'ecc',
    curve: 'ed25519Legacy',
    userIDs: { name },
    format: 'object',
  })
  return privateKey
}
const ada = await makeKey('Ada Example <ada@example.org>')
const bob = await makeKey('Bob Example <bob@example.org>')
const { publicKey: revoked } = await revokeKey({ key: ada, format: 'object' })
const idOf = (key: PublicKey): string => key.getKeyID().toHex().toUpperCase()
const printOf = (key: PublicKey): string => key.getFingerprint().toUpperCase()

type Fill = { readonly public?: readonly PublicKey[]; readonly secret?: readonly PrivateKey[] }

/** Places with these keys in them. */
function places(fill: {
  readonly own?: Fill
  readonly other?: Fill
  readonly site?: readonly PublicKey[]
}): KeyPlaces {
  const base = join(folder, `${count++}`)
  const write = (path: string, keys: readonly PublicKey[] = []): void => {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
    writeFileSync(path, Buffer.concat(keys.map((key) => key.write())), { mode: 0o600 })
  }
  const own = keyDirectory(join(base, 'own'))
  const other = keyDirectory(join(base, 'other'), 'apptainer')
  const site = globalPlace(join(base, 'site'), 'site')
  for (const [place, { public: open, secret }] of [
    [own, fill.own ?? {}],
    [other, fill.other ?? {}],
  ] as const) {
    write(place.public, open)
    write(place.secret ?? '', secret)
  }
  write(site.public, fill.site)
  return { own, others: [other], global: [site] }
}

const splitPackets = (bytes: Uint8Array): Uint8Array[] =>
  (packetsOf(bytes) ?? []).map(({ start, end }) => bytes.subarray(start, end))
const open = (key: PrivateKey): PublicKey => key.toPublic()
const silent = (): void => {}

describe('the key that a signature names', () => {
  it('is taken from the ring of the site, then from those of the user', async () => {
    const both = places({ own: { public: [open(ada)] }, site: [open(ada)] })
    expect((await findInRings(both, silent)(idOf(ada)))?.origin).toBe('global')
    const local = places({ other: { public: [open(bob), open(ada)] } })
    const found = await findInRings(local, silent)(idOf(ada))
    expect(found).toMatchObject({ origin: 'local' })
    expect(found && printOf(found.key)).toBe(printOf(ada))
    expect(await findInRings(places({}), silent)(idOf(ada))).toBeUndefined()
  })

  it('may be a subkey, in letters of any case', async () => {
    const id = ada.subkeys[0]?.getKeyID().toHex() ?? ''
    const found = await findInRings(places({ own: { public: [open(ada)] } }), silent)(id.toLowerCase())
    expect(found && printOf(found.key)).toBe(printOf(ada))
  })

  it.each([
    ['ours', { own: { public: [revoked] }, site: [open(ada)] }],
    ['the one of a peer', { own: { public: [open(ada)] }, other: { public: [revoked] } }],
    ['the one of the site', { own: { public: [open(ada)] }, site: [revoked] }],
  ])('is revoked when any ring says so: %s', async (_, fill) => {
    const found = await findInRings(places(fill), silent)(idOf(ada))
    expect(await found?.key.isRevoked()).toBe(true)
  })

  it('is not one that somebody put the subkey of another into', async () => {
    const part = ada.subkeys[0]
    const stolen = Buffer.concat([open(bob).write(), ...splitPackets(open(ada).write()).slice(-2)])
    const claims = await readKey({ binaryKey: stolen })
    const both = places({ own: { public: [claims, open(ada)] } })
    const found = await findInRings(both, silent)(part?.getKeyID().toHex() ?? '')
    expect(found && printOf(found.key)).toBe(printOf(ada))
  })

  it('is not private, also where a private key lies among public ones', async () => {
    const found = await findInRings(places({ own: { public: [ada] } }), silent)(idOf(ada))
    expect(found?.key.isPrivate()).toBe(false)
  })

  it('is not looked for where others may have put keys, but for our own ring, which is closed', async () => {
    const events: Event[] = []
    const open777 = places({ own: { public: [open(bob)] }, other: { public: [open(ada)] } })
    chmodSync(open777.others[0]?.directory ?? '', 0o777)
    chmodSync(open777.own.directory, 0o750)
    const find = findInRings(open777, (event) => events.push(event))
    expect(await find(idOf(ada))).toBeUndefined()
    expect(await find(idOf(bob))).toBeDefined()
    expect(events.map((event) => 'text' in event && event.text)).toEqual([
      expect.stringContaining('needs to be 700, fixing that...'),
      expect.stringMatching(/others may change it \(mode 777\); it is left out$/),
    ])
  })
})

describe('the key that somebody means', () => {
  const keys = () => secretKeys(places({ own: { secret: [ada] }, other: { secret: [bob, ada] } }), silent)

  it.each([
    ['its number', '1', () => bob],
    ['its number in the ring of a peer', '2', () => ada],
    ['its fingerprint', printOf(bob), () => bob],
    ['its fingerprint in small letters, behind 0x', `0x${printOf(bob).toLowerCase()}`, () => bob],
    ['the end of its fingerprint', printOf(bob).slice(-8), () => bob],
    ['the id of a subkey', bob.subkeys[0]?.getKeyID().toHex() ?? '', () => bob],
    ['its address', 'BOB@example.org', () => bob],
    ['its name, in two rings', 'Ada', () => ada],
  ])('is named by %s', (_, text, wanted) => {
    expect(chooseKey(keys(), text, 'secret').block.fingerprint).toBe(printOf(wanted()))
  })

  it.each([
    ['nobody', 'there is no private key nobody'],
    ['', 'no private key was named'],
    [' ', 'no private key was named'],
    ['3', 'there is no private key number 3: they go from 0 to 2'],
    ['Example', /Example names 2 keys: /],
  ])('is not guessed: %s', (text, reason) => {
    expect(() => chooseKey(keys(), text, 'secret')).toThrow(reason)
  })

  it('has all ids of its block', () => {
    expect(toBlock(bob.write()).ids).toEqual([idOf(bob), bob.subkeys[0]?.getKeyID().toHex().toUpperCase()])
  })
})
