/** Rings of ours in the hands of a real Apptainer, and its rings in ours. */

import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { besidePeer, peer } from '../helpers/peer.ts'
import { projectRoot } from '../helpers/sing.ts'
import { keyFile, listed, newHome, prints, ringFile } from './keys.ts'

const theirUser = async (): Promise<string> => (await besidePeer(['id', '-u'])).stdout.trim()

/** A folder that both may write to: the peer has a user of its own. */
function share() {
  const base = newHome()
  chmodSync(base.home, 0o777)
  const ring = join(base.home, 'ring')
  /** The ring for the one or the other: it belongs to whoever uses it. */
  const give = async (owner: string): Promise<void> => {
    const { status, stderr } = await besidePeer(['chown', '-R', owner, ring], {
      folders: [base.home],
      root: true,
    })
    if (status !== 0) throw new Error(stderr)
  }
  const theirs = async (args: readonly string[], input?: string) => {
    await give(await theirUser())
    return await peer(args, {
      folders: [base.home],
      cwd: base.home,
      env: { APPTAINER_KEYSDIR: ring },
      ...(input !== undefined && { input }),
    })
  }
  const ours = async (args: readonly string[], input?: string) => {
    const { uid, gid } = statSync(base.home)
    await give(`${uid}:${gid}`)
    return await base.key(args, { env: { SING_KEYSDIR: ring }, ...(input !== undefined && { input }) })
  }
  mkdirSync(ring, { mode: 0o700 })
  return { ...base, ring, theirs, ours, give }
}

const tiny = gunzipSync(readFileSync(join(projectRoot, 'fixtures/signed/tiny-signed.sif.gz')))

describe.skipIf(!can('peer', 'root'))('a ring', () => {
  it('of ours lists the same in Apptainer, byte for byte', async () => {
    const { ours, theirs } = share()
    for (const name of [
      'pgp-public.asc',
      'pgp-private-nopass.asc',
      'pgp-private-ed25519.asc',
      'pgp-public-p256.asc',
    ])
      expect(await ours(['import', keyFile(name)])).toMatchObject({ status: 0 })
    for (const flags of [[], ['--secret']]) {
      const [one, other] = [await ours(['list', ...flags]), await theirs(['key', 'list', ...flags])]
      expect(one.stdout).toBe(other.stdout)
      expect(other.stderr).not.toContain('fixing')
    }
  })

  it('of ours signs in Apptainer, with pairs of all types, passphrase or not', async () => {
    const { home, ours, theirs } = share()
    await ours(['newpair', '-N', 'One', '-b', '2048', '--password-stdin'], 'first pass\n')
    await ours(['newpair', '-N', 'Two', '--type', 'ed25519', '--password-stdin'], 'second pass\n')
    await ours(['newpair', '-N', 'Three', '-b', '2048', '-P', ''])
    await ours(
      ['import', '--new-password', keyFile('pgp-private.asc')],
      'singpass\nfourth pass\nfourth pass\n',
    )
    for (const [index, passphrase] of ['first pass', 'second pass', '', 'fourth pass'].entries()) {
      const path = join(home, `${index}.sif`)
      writeFileSync(path, tiny)
      chmodSync(path, 0o666)
      const unsigned = await peer(['sif', 'del', '4', path], { folders: [home], cwd: home })
      expect(unsigned.stderr).toBe('')
      const signed = await theirs(['sign', '-k', `${index}`, path], `${passphrase}\n`)
      expect(signed).toMatchObject({ status: 0 })
      expect(await theirs(['verify', '--local', path])).toMatchObject({ status: 0 })
    }
  })

  it('of Apptainer is listed, added to and taken from here, and still its own', async () => {
    const { ring, ours, theirs } = share()
    await theirs([
      'key',
      'newpair',
      '-N',
      'Peer',
      '-E',
      'p@example.org',
      '-C',
      '',
      '-P',
      'pw',
      '--push=false',
      '-b',
      '2048',
    ])
    const before = readFileSync(join(ring, 'pgp-secret'))
    const [print = ''] = listed(await ours(['list', '-s']))
    expect(print).toMatch(/^[0-9A-F]{40}$/)
    await ours(['import', keyFile('pgp-public-p256.asc')])
    await ours(['import', keyFile('pgp-private-nopass.asc')])
    expect(readFileSync(join(ring, 'pgp-secret')).subarray(0, before.length)).toEqual(before)
    expect(listed(await theirs(['key', 'list']))).toEqual([print, prints.p256, prints.nopass])
    await ours(['remove', prints.p256])
    // Its --secret would leave only public halves of the others.
    await theirs(['key', 'remove', prints.nopass])
    expect(listed(await ours(['list']))).toEqual([print])
    await ours(['remove', '--secret', prints.nopass])
    expect(readFileSync(join(ring, 'pgp-secret'))).toEqual(before)
  })

  it('travels in exported files both ways', async () => {
    const { home, ring, ours, theirs, key, give } = share()
    await ours(['newpair', '-N', 'Ours', '-b', '2048', '--password-stdin'], 'our pass\n')
    await ours(['export', '--secret', '--armor', join(home, 'ours.asc'), 'Ours'])
    chmodSync(join(home, 'ours.asc'), 0o644)
    await ours(['remove', '--both', listed(await ours(['list']))[0] ?? ''])
    expect(await theirs(['key', 'import', join(home, 'ours.asc')], 'our pass\n')).toMatchObject({ status: 0 })
    // It reads one answer from each piece that arrives.
    const script =
      '(sleep 1; echo 0; sleep 1; echo our pass) | apptainer key export --secret --armor theirs.asc && chmod 644 theirs.asc'
    await give(await theirUser())
    const env = { APPTAINER_KEYSDIR: ring }
    const exported = await besidePeer(['sh', '-c', script], { folders: [home], cwd: home, env })
    expect(exported).toMatchObject({ status: 0 })
    expect(await key(['import', join(home, 'theirs.asc')])).toMatchObject({ status: 0 })
  })
})

describe('a ring that Apptainer wrote', () => {
  it('is read as it is', async () => {
    const { key, home } = newHome()
    cpSync(ringFile('pgp-public'), join(home, 'pgp-public'))
    const { stdout } = await key(['list', '-d', '.'])
    expect(stdout.split('\n').slice(2, 6)).toEqual([
      '0)  User:              Sing Tester (test vector) <sing@example.org>',
      '    Creation time:     2026-11-23 06:44:09 +0000 UTC',
      `    Fingerprint:       ${prints.rsa}`,
      '    Length (in bits):  4096',
    ])
  })
})
