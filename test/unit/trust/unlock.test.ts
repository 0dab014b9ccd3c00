/** Private keys and their passphrases. */

import { readFileSync } from 'node:fs'
import { encryptKey, generateKey, type PrivateKey } from 'openpgp'
import { describe, expect, it } from 'vitest'
import { type KeyBlock, toBlock } from '../../../src/trust/blocks.ts'
import { describeKey, isProtected, unlockKey, unlockWhole } from '../../../src/trust/keys.ts'
import { readOffer } from '../../../src/trust/offer.ts'
import { changePassphrase } from '../../../src/trust/passphrase.ts'
import { ringFile } from '../../e2e/keys.ts'

const cheap = { s2kIterationCountByte: 96 }
const { privateKey } = await generateKey({
  type: 'ecc',
  curve: 'ed25519Legacy',
  userIDs: { name: 'Ada' },
  subkeys: [{ sign: true }, {}],
  format: 'object',
})
const locked = toBlock((await encryptKey({ privateKey, passphrase: 'pass', config: cheap })).write())
const bare = toBlock(privateKey.write())
const isOpen = (key: PrivateKey): boolean[] =>
  [key, ...key.subkeys].map(({ keyPacket }) => 'isDecrypted' in keyPacket && keyPacket.isDecrypted())

/** With the primary part on a card, as gpg --export-secret-subkeys leaves it. */
async function elsewhere(isWhole: boolean): Promise<KeyBlock> {
  const key = await unlockWhole(locked, 'pass')
  for (const { keyPacket } of [key, ...(isWhole ? key.subkeys : [])])
    if ('makeDummy' in keyPacket) keyPacket.makeDummy()
  return toBlock(key.write())
}

describe('a private key', () => {
  it('is unlocked as far as it takes to sign', async () => {
    expect(await isProtected(locked)).toBe(true)
    expect(isOpen(await unlockKey(locked, 'pass'))).toEqual([false, true, false])
    expect(isOpen(await unlockWhole(locked, 'pass'))).toEqual([true, true, true])
  })

  it('without a passphrase needs none, and minds none', async () => {
    expect(await isProtected(bare)).toBe(false)
    for (const given of [undefined, 'any'])
      expect(isOpen(await unlockKey(bare, given))).toEqual([true, true, true])
  })

  it('of Apptainer is unlocked, whose subkey is in the open', async () => {
    const [block] = (await readOffer(readFileSync(ringFile('pgp-secret')), 'ring')).keys
    expect(block && isOpen(await unlockKey(block, 'singpass'))).toEqual([true, true])
  })

  it('is not unlocked by a wrong passphrase, or none', async () => {
    await expect(unlockKey(locked, 'Pass')).rejects.toThrow(
      `wrong passphrase for the private key ${locked.fingerprint}`,
    )
    await expect(unlockKey(locked, undefined)).rejects.toThrow('needs its passphrase')
    await expect(unlockWhole(locked, '')).rejects.toThrow('wrong passphrase')
  })

  it('that is on a card cannot be used here, but its subkey can', async () => {
    await expect(unlockKey(await elsewhere(true), 'pass')).rejects.toThrow(
      'is kept elsewhere, on a card or another machine',
    )
    expect((await unlockKey(await elsewhere(false), 'pass')).subkeys[0]?.isDecrypted()).toBe(true)
  })

  it('that is locked in a way that nobody knows cannot be unlocked', async () => {
    const bytes = Buffer.from(locked.bytes)
    for (let at = bytes.indexOf('fe09', 0, 'hex'); at >= 0; at = bytes.indexOf('fe09', at + 1, 'hex'))
      bytes.writeUInt8(99, at + 1)
    await expect(unlockKey(toBlock(bytes), 'pass')).rejects.toThrow(/cannot (unlock|use) the private key/)
  })

  it('that is none is refused', async () => {
    await expect(unlockKey(toBlock(privateKey.toPublic().write()), 'pass')).rejects.toThrow(
      'cannot use the private key',
    )
  })

  it('gets another passphrase, or loses the one it has', async () => {
    const changed = await changePassphrase(locked, 'pass', 'other words')
    expect((await describeKey(changed)).protection).toBe('all')
    expect(isOpen(await unlockWhole(changed, 'other words'))).toEqual([true, true, true])
    expect((await describeKey(await changePassphrase(locked, 'pass', ''))).protection).toBe('none')
    expect(changed.fingerprint).toBe(locked.fingerprint)
  })
})
