/** Keys of GnuPG in our rings, and ours in its. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { newGpg } from '../helpers/gpg.ts'
import { listed, newHome } from './keys.ts'

/** The certificate that gpg makes with each key, without the colon that keeps people from using it. */
const revocationOf = (home: string, print: string): string =>
  readFileSync(join(home, 'openpgp-revocs.d', `${print}.rev`), 'utf8').replace(/^:-----/m, '-----')

describe.skipIf(!can('gpg'))('a key of gpg', () => {
  it('is brought up to date by importing it again: its new date, then its revocation', async () => {
    await using other = newGpg()
    const { key, write } = newHome()
    const print = await other.makeKey('Gee <gee@example.org>')
    const exported = async () => write('key.asc', (await other.gpg(['--armor', '--export', print])).stdout)
    expect((await key(['import', await exported()])).stdout).toContain('added to the public keyring')
    expect((await key(['import', await exported()])).status).toBe(2)
    await other.gpg(['--quick-set-expire', print, '2049-12-31'])
    expect((await key(['import', await exported()])).stdout).toContain('updated in the public keyring')
    expect((await key(['list'])).stdout).toContain('    Expires:           2049-12-31 12:00:00 +0000 UTC\n')
    await other.gpg(['--import'], { input: revocationOf(other.home, print) })
    expect((await key(['import', await exported()])).stdout).toContain('updated in the public keyring')
    expect((await key(['list'])).stdout).toContain('    Status:            [revoked]\n')
    expect(listed(await key(['list']))).toEqual([print])
  })

  it('is revoked by its certificate alone, in both rings', async () => {
    await using other = newGpg()
    const { key, write } = newHome()
    const print = await other.makeKey('Gee <gee@example.org>')
    const certificate = write('key.rev', revocationOf(other.home, print))
    const early = await key(['import', certificate])
    expect(early).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(`${print.slice(-16)} that is to be revoked is in no ring`),
    })
    write('secret.asc', (await other.gpg(['--armor', '--export-secret-keys', print])).stdout)
    await key(['import', 'secret.asc'])
    const done = await key(['import', certificate])
    expect(done.stdout).toBe(
      `Key with fingerprint ${print} successfully revoked in the public keyring\n` +
        `Key with fingerprint ${print} successfully revoked in the private keyring\n`,
    )
    expect((await key(['list', '-s'])).stdout).toContain('[revoked]')
    expect(await key(['import', certificate])).toMatchObject({ status: 2 })
    // A private key that comes later is revoked, too.
    await key(['remove', '--secret', print])
    await key(['import', 'secret.asc'])
    expect((await key(['list', '-s'])).stdout).toContain('[revoked]')
  })

  it('in a ring of the peers is revoked in ours, which is believed', async () => {
    await using other = newGpg()
    const { key, keys, write } = newHome()
    const print = await other.makeKey('Gee <gee@example.org>')
    write('key', (await other.gpg(['--armor', '--export', print])).stdout)
    await key(['import', '--keysdir', '.apptainer/keys', 'key'])
    const done = await key(['import', write('key.rev', revocationOf(other.home, print))])
    expect(done).toMatchObject({ status: 0, stdout: expect.stringContaining('successfully revoked') })
    const { stdout } = await key(['list'])
    expect(stdout).toContain(`Public key listing (${keys}/pgp-public):\n\n0)  User:              Gee`)
    expect(stdout.match(/\[revoked\]/g)).toHaveLength(1)
  })

  it('is not revoked by a certificate that somebody changed', async () => {
    await using other = newGpg()
    const { key, write } = newHome()
    const print = await other.makeKey('Gee <gee@example.org>')
    const { stdout: text } = await other.gpg(['--armor', '--export', print])
    await key(['import', write('key', text)])
    const bytes = Buffer.from(
      /BEGIN[\s\S]*?\n\n([\s\S]*?)\n=/.exec(revocationOf(other.home, print))?.[1] ?? '',
      'base64',
    )
    bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1)
    expect(await key(['import', write('key.rev', bytes)])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(`the revocation of the key ${print} is not valid`),
    })
    expect((await key(['list'])).stdout).not.toContain('[revoked]')
  })
})

describe.skipIf(!can('gpg')).each([
  ['rsa', '2048'],
  ['ed25519', '4096'],
])('our key of %s', (type, bits) => {
  it('signs and decrypts in gpg, which has no complaint', async () => {
    await using theirs = newGpg('pass word')
    await using friend = newGpg()
    const { key } = newHome()
    await key(
      ['newpair', '-N', 'Ours', '-E', 'ours@example.org', '--type', type, '-b', bits, '--password-stdin'],
      {
        input: 'pass word\n',
      },
    )
    const secret = await key(['export', '--secret', '--armor', '-', 'ours'])
    const open = await key(['export', '--armor', '-', 'ours'])
    expect(await theirs.gpg(['--import'], { input: secret.stdout })).toMatchObject({ status: 0, stderr: '' })
    expect(await friend.gpg(['--import'], { input: open.stdout })).toMatchObject({ status: 0, stderr: '' })
    const signed = await theirs.gpg(['--clearsign'], { input: 'hello\n' })
    const verified = await friend.gpg(['--verify'], { input: signed.stdout })
    expect(verified.stderr).toContain('Good signature from "Ours <ours@example.org>"')
    const sealed = await friend.gpg(['--armor', '--trust-model', 'always', '-r', 'ours@example.org', '-e'], {
      input: 'for you\n',
    })
    expect((await theirs.gpg(['--decrypt'], { input: sealed.stdout })).stdout).toBe('for you\n')
    const facts = await theirs.gpg(['--list-packets', '--verbose'], { input: secret.stdout })
    expect(facts.stdout.match(/iter\+salt S2K, algo: 9, SHA1 protection, hash: 8/g)).toHaveLength(2)
    expect(facts.stdout.match(/protect count: 65011712/g)).toHaveLength(2)
    expect(facts.stdout).not.toContain('notation')
  })
})
