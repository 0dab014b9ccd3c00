/** `sing key`: rings of keys, made, filled, listed, exported and emptied. */

import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { program, run, sing } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { keyFile, listed, newHome, prints, ringFile } from './keys.ts'

const modeOf = (path: string): number => statSync(path).mode & 0o777

describe('a list of keys', () => {
  it('says which file it is of, and is empty at first', async () => {
    const { key, keys } = newHome()
    expect(await key(['list'])).toEqual({
      status: 0,
      stdout: `Public key listing (${keys}/pgp-public):\n\n`,
      stderr: '',
    })
    expect((await key(['list', '--private'])).stdout).toBe(`Private key listing (${keys}/pgp-secret):\n\n`)
    expect(existsSync(keys)).toBe(false)
  })

  it('has the keys of Apptainer and Singularity behind our own, with numbers that go on', async () => {
    const { home, key, write } = newHome()
    await key(['import', keyFile('pgp-public-p256.asc')])
    const apptainer = write('.apptainer/keys/pgp-public', readFileSync(ringFile('pgp-public')))
    chmodSync(write('.singularity/sypgp/pgp-secret', readFileSync(ringFile('pgp-secret'))), 0o644)
    const { stdout } = await key(['list'])
    expect(listed({ status: 0, stdout, stderr: '' })).toEqual([prints.p256, prints.rsa, prints.nopass])
    expect(stdout).toContain(`Public key listing (${apptainer}):\n\n1)  User:              Sing Tester`)
    expect(stdout).not.toContain('.singularity')
    const secret = await key(['list', '-s'])
    expect(secret.stderr).toContain('Other users can read the private keys in')
    expect(secret.stdout).toContain(
      `Private key listing (${home}/.singularity/sypgp/pgp-secret):\n\n0)  User:`,
    )
  })

  it('is of the directory that was named alone', async () => {
    const { home, key, write } = newHome()
    write('.apptainer/keys/pgp-public', readFileSync(ringFile('pgp-public')))
    write('mine/pgp-public', readFileSync(ringFile('pgp-public')))
    await key(['import', '-d', 'mine', keyFile('pgp-public-p256.asc')])
    for (const options of [
      { args: ['--keysdir', 'mine'], env: {} },
      { args: [], env: { SINGULARITY_KEYSDIR: join(home, 'mine') } },
      { args: [], env: { SINGULARITY_SYPGPDIR: 'mine' } },
    ]) {
      const found = await key(['list', ...options.args], { env: options.env })
      expect(listed(found)).toEqual([prints.rsa, prints.nopass, prints.p256])
      expect(found.stdout).toContain(`(${home}/mine/pgp-public)`)
    }
  })

  it('is JSON for programs', async () => {
    const { key, keys } = newHome()
    await key(['import', keyFile('pgp-public-expired.asc')])
    const { stdout } = await key(['list', '--json'])
    expect(JSON.parse(stdout)).toMatchObject([
      { ring: `${keys}/pgp-public`, keys: [{ fingerprint: prints.expired, state: 'expired' }] },
    ])
  })

  it('is also had by keys list', async () => {
    const { home, keys } = newHome()
    const { stdout } = await sing(['keys', 'list'], { env: { HOME: home } })
    expect(stdout).toBe(`Public key listing (${keys}/pgp-public):\n\n`)
  })

  it('knows no private keys of the site', async () => {
    const { key } = newHome()
    expect(await key(['list', '-g', '-s'])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('--global and --secret exclude each other'),
    })
    expect((await key(['list', '-g'])).stdout).toContain('global-pgp-public):\n')
  })
})

describe('importing', () => {
  it('takes armored and binary keys, several at once, into a directory that is private', async () => {
    const { key, keys } = newHome()
    const first = await key(['import', keyFile('pgp-public.asc')])
    expect(first).toEqual({
      status: 0,
      stdout: `Key with fingerprint ${prints.rsa} successfully added to the public keyring\n`,
      stderr: '',
    })
    const second = await key(['import', ringFile('pgp-public')])
    expect(second.stdout).toBe(
      `Key with fingerprint ${prints.rsa} already belongs to the public keyring\n` +
        `Key with fingerprint ${prints.nopass} successfully added to the public keyring\n`,
    )
    expect(listed(await key(['list']))).toEqual([prints.rsa, prints.nopass])
    expect([modeOf(keys), modeOf(join(keys, 'pgp-public'))]).toEqual([0o700, 0o600])
  })

  it('takes a private key and its public half, and says what nothing protects', async () => {
    const { key, keys } = newHome()
    const { status, stdout, stderr } = await key(['import', '-'], {
      input: readFileSync(keyFile('pgp-private-nopass.asc')),
    })
    expect([status, stdout]).toEqual([
      0,
      `Key with fingerprint ${prints.nopass} successfully added to the private keyring\n` +
        `Key with fingerprint ${prints.nopass} successfully added to the public keyring\n`,
    ])
    expect(stderr).toContain(`the private key ${prints.nopass} has no passphrase`)
    expect(modeOf(join(keys, 'pgp-secret'))).toBe(0o600)
    expect(listed(await key(['list', '-s']))).toEqual([prints.nopass])
    const other = await key(['import', keyFile('pgp-private.asc')])
    expect(other.stderr).toContain(`subkeys of the private key ${prints.rsa} have no passphrase`)
  })

  it('says that a key is expired or revoked', async () => {
    const { key } = newHome()
    expect((await key(['import', keyFile('pgp-public-expired.asc')])).stderr).toContain('is expired')
    expect((await key(['import', keyFile('pgp-public-revoked.asc')])).stderr).toContain('is revoked')
    const { stdout } = await key(['list'])
    expect(stdout).toContain('    Expires:           2026-11-23 06:59:06 +0000 UTC [expired]\n')
    expect(stdout).toContain('    Status:            [revoked]\n')
  })

  it('refuses what is no key, and what is there already, as the peers do', async () => {
    const { key, write } = newHome()
    write('text', 'text')
    write('broken.asc', readFileSync(keyFile('pgp-public.asc'), 'utf8').replace(/\n.{64}\n/, '\n?\n'))
    write('cut', readFileSync(ringFile('pgp-public')).subarray(0, -20))
    write('old', Buffer.from([0xc6, 10, 3, 1, 2, 3, 4, 1, 0, 8, 0xff, 0]))
    const refused = async (path: string, reason: string, input?: string) =>
      expect(await key(['import', path], input === undefined ? {} : { input })).toMatchObject({
        status: 2,
        stdout: '',
        stderr: expect.stringContaining(reason),
      })
    await refused('text', 'text has no OpenPGP key')
    await refused('-', 'standard input has no OpenPGP key', '')
    await refused('broken.asc', 'broken.asc is damaged')
    await refused('cut', 'cut is damaged: 1 part(s) of it are no keys')
    await refused('old', 'the key of a kind that nobody uses any more in old cannot be used')
    await refused('none', 'cannot read keys from none: no such file')
    await key(['import', keyFile('pgp-public.asc')])
    await refused(keyFile('pgp-public.asc'), `the key ${prints.rsa} is in`)
    await key(['import', ringFile('pgp-public')])
    await refused(ringFile('pgp-public'), 'all 2 keys are in')
  })

  it('gives a private key another passphrase, which protects all of it', async () => {
    const { key } = newHome()
    const path = keyFile('pgp-private.asc')
    expect(await key(['import', '--new-password', path], { input: 'wrong\nnew\nnew\n' })).toMatchObject({
      status: 255,
      stderr: expect.stringContaining(`wrong passphrase for the private key ${prints.rsa}`),
    })
    const differs = await key(['import', '--new-password', path], { input: 'singpass\nnew\nnow\n' })
    expect(differs).toMatchObject({ status: 2, stderr: expect.stringContaining('not the same') })
    const nobody = await key(['import', '--new-password', path])
    expect(nobody).toMatchObject({ status: 255, stderr: expect.stringContaining('nobody answers') })
    expect(await key(['list', '-s'])).toMatchObject({ stdout: expect.not.stringContaining('User') })
    const done = await key(['import', '--new-password', path], { input: 'singpass\nnew one\nnew one\n' })
    expect(done).toMatchObject({ status: 0, stderr: expect.not.stringContaining('WARNING') })
    const { stdout } = await key(['list', '-s', '--json'])
    expect(JSON.parse(stdout)).toMatchObject([{ keys: [{ protection: 'all' }] }])
    const again = await key(['import', path])
    expect(again).toMatchObject({ status: 2, stderr: expect.stringContaining('with other secret parts') })
  })

  it.skipIf(!can('root'))('into the ring of the site is for its administrator', async () => {
    const { key } = newHome()
    const refused = await key(['import', '-g', keyFile('pgp-public.asc')])
    expect(refused.status).toBe(255)
    expect(refused.stderr).toMatch(
      /cannot write keys to the ring of the site .*\n +The ring of the site is changed by/,
    )
    const script =
      'mount -t tmpfs none /etc && cd / && "$1" key import -g "$2" && "$1" key list --global && stat -c %a /etc/sing/global-pgp-public' +
      ' && "$1" key import -g "$3"; echo "$?"; "$1" key remove -g "$4" && "$1" key list -g'
    const site = await run(
      [
        'unshare',
        '-m',
        'sh',
        '-c',
        script,
        'sh',
        program,
        keyFile('pgp-public.asc'),
        keyFile('pgp-private.asc'),
        prints.rsa,
      ],
      { as: 'self' },
    )
    expect(site.stdout).toContain(`Fingerprint:       ${prints.rsa}\n`)
    expect(site.stdout).toContain('\n644\n2\n')
    expect(site.stderr).toContain('is not for the ring of the site in /etc/sing: everybody reads that')
    expect(site.stdout).toMatch(/global-pgp-public\):\n\n$/)
  })
})

describe('exporting', () => {
  it('writes the key that a line of standard input numbers, after showing all', async () => {
    const { home, key } = newHome()
    await key(['import', ringFile('pgp-public')])
    const { status, stdout } = await key(['export', '--armor', 'out.asc'], { input: '1\n' })
    expect(status).toBe(0)
    expect(stdout).toContain('0)  User:              Sing Tester (test vector) <sing@example.org>')
    expect(stdout).toContain(
      `Public key with fingerprint ${prints.nopass} correctly exported to file: out.asc\n`,
    )
    expect(readFileSync(join(home, 'out.asc'), 'utf8')).toMatch(/^-----BEGIN PGP PUBLIC KEY BLOCK-----/)
    expect(modeOf(join(home, 'out.asc'))).toBe(0o644)
  })

  it('names keys by fingerprint, id and name, and writes byte for byte what the ring has', async () => {
    const { home, key } = newHome()
    await key(['import', ringFile('pgp-public')])
    const ring = readFileSync(ringFile('pgp-public'))
    for (const name of [prints.rsa, `0x${prints.rsa.slice(-16)}`, 'sing@EXAMPLE.org', '0']) {
      expect(await key(['export', 'out', name])).toMatchObject({ status: 0 })
      const bytes = readFileSync(join(home, 'out'))
      expect(ring.subarray(0, bytes.length).equals(bytes)).toBe(true)
    }
    expect(await key(['export', 'out', 'tester'])).toMatchObject({
      stderr: expect.stringContaining('names 2 keys'),
    })
    expect(await key(['export', 'out', 'nobody'])).toMatchObject({
      stderr: expect.stringContaining('there is no public key nobody'),
    })
    expect(await key(['export', 'out', '7'])).toMatchObject({
      stderr: expect.stringContaining('there is no public key number 7: they go from 0 to 1'),
    })
  })

  it('keeps a private key to its owner, also in a file that others could read', async () => {
    const { home, key, write } = newHome()
    write('out', 'old', 0o644)
    await key(['import', ringFile('pgp-secret')])
    expect(await key(['export', '--secret', 'out', prints.rsa])).toMatchObject({ status: 0 })
    expect(modeOf(join(home, 'out'))).toBe(0o600)
    const stream = await key(['export', '--secret', '--armor', '-', prints.rsa])
    expect(stream.stdout).toMatch(/^-----BEGIN PGP PRIVATE KEY BLOCK-----\r?\n/)
  })

  it('says what it needs', async () => {
    const { key } = newHome()
    expect(await key(['export', 'out'])).toMatchObject({
      status: 10,
      stderr: expect.stringContaining('there is no public key'),
    })
    await key(['import', ringFile('pgp-public')])
    expect(await key(['export', '-'])).toMatchObject({
      stderr: expect.stringContaining('there are 2 public keys'),
    })
    expect(await key(['export', 'out'])).toMatchObject({ stderr: expect.stringContaining('nobody answers') })
    expect(await key(['export', 'out'], { input: '\n' })).toMatchObject({
      status: 10,
      stderr: expect.stringContaining('none was named'),
    })
    expect(await key(['export', '.', '0'])).toMatchObject({
      status: 10,
      stderr: expect.stringContaining('is a directory'),
    })
    expect(await key(['export', 'no/out', '0'])).toMatchObject({
      status: 10,
      stderr: expect.stringContaining('no such file'),
    })
  })
})

describe('removing', () => {
  it('takes out the public key, the private one, or both, and nothing else', async () => {
    const { key } = newHome()
    await key(['import', ringFile('pgp-secret')])
    expect(await key(['remove', `0x${prints.rsa}`])).toMatchObject({ status: 0 })
    expect(listed(await key(['list']))).toEqual([prints.nopass])
    expect(listed(await key(['list', '-s']))).toEqual([prints.rsa, prints.nopass])
    expect(await key(['remove', '-b', prints.rsa.toLowerCase()])).toMatchObject({ status: 0 })
    expect(await key(['remove', '--private', prints.nopass])).toMatchObject({ status: 0 })
    expect(listed(await key(['list', '-s']))).toEqual([])
    expect(listed(await key(['list']))).toEqual([prints.nopass])
  })

  it('refuses what is no whole fingerprint, what is not there, and two kinds at once', async () => {
    const { key } = newHome()
    const refused = async (args: string[], reason: string) =>
      expect(await key(['remove', ...args])).toMatchObject({
        status: 255,
        stderr: expect.stringContaining(reason),
      })
    await refused(['424D'], '424D is no fingerprint')
    await refused([prints.rsa], `there is no public key ${prints.rsa}`)
    await refused(['-s', prints.rsa], 'there is no private key')
    await refused(['-b', prints.rsa], 'there is no key')
    await refused(['-b', '-s', prints.rsa], '--secret and --both exclude each other')
    await refused(['-g', '-s', prints.rsa], '--global and --secret exclude each other')
  })

  it('leaves the rings of the peers alone until one is named', async () => {
    const { key, write } = newHome()
    const ring = write('.apptainer/keys/pgp-public', readFileSync(ringFile('pgp-public')))
    expect(await key(['remove', prints.rsa])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('add --keysdir'),
    })
    expect(readFileSync(ring)).toEqual(readFileSync(ringFile('pgp-public')))
    expect(await key(['remove', '--keysdir', '.apptainer/keys', prints.rsa])).toMatchObject({ status: 0 })
    expect(listed(await key(['list']))).toEqual([prints.nopass])
  })
})

describe('a pair of keys', () => {
  it('is made of flags, without a question', async () => {
    const { key } = newHome()
    const args = ['newpair', '--name', 'New Person', '--email', 'new@example.org', '--comment', 'none']
    const made = await key([...args, '--password', '', '--push=false', '--bit-length', '2048'])
    expect(made).toMatchObject({ status: 0, stdout: 'Generating Entity and OpenPGP Key Pair... done\n' })
    const [{ keys } = { keys: [] }] = JSON.parse((await key(['list', '-s', '--json'])).stdout)
    expect(keys).toMatchObject([
      {
        users: [{ name: 'New Person', comment: 'none', email: 'new@example.org' }],
        bits: 2048,
        state: 'good',
        protection: 'none',
      },
    ])
    expect(listed(await key(['list']))).toEqual(listed(await key(['list', '-s'])))
  })

  it('is protected by the passphrase of standard input, subkeys as well', async () => {
    const { key } = newHome()
    const made = await key(['newpair', '-N', 'Ada', '--type', 'ed25519', '--password-stdin'], {
      input: 'pass\n',
    })
    expect(made.status).toBe(0)
    expect((await key(['list', '-s', '--json'])).stdout).toContain('"protection": "all"')
    expect((await key(['list', '-s'])).stdout).toContain('Length (in bits):  263\n')
  })

  it('is protected by the passphrase of the environment', async () => {
    const { key } = newHome()
    const env = { SING_KEY_PASSPHRASE: 'pass' }
    expect((await key(['newpair', '-N', 'Ada', '--type', 'ed25519'], { env })).status).toBe(0)
    expect((await key(['list', '-s', '--json'])).stdout).toContain('"protection": "all"')
  })

  it('asks on standard input for what is not said, in the order of the peers', async () => {
    const { key } = newHome()
    const made = await key(['newpair', '--type', 'ed25519'], {
      input: 'Ada\nada@example.org\n\npass\npass\n',
    })
    expect(made.status).toBe(0)
    expect((await key(['list'])).stdout).toContain('0)  User:              Ada () <ada@example.org>')
    expect(await key(['newpair', '--type', 'ed25519'])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('nobody answers "Enter your name (e.g., John Doe)"'),
    })
  })

  it('warns of a passphrase that others can see', async () => {
    const { key } = newHome()
    const { stderr } = await key(['newpair', '-N', 'Ada', '--type', 'ed25519', '-P', 'pass'])
    expect(stderr).toContain('Others can see a passphrase on the command line')
  })

  it('is refused for names and sizes that cannot be', async () => {
    const { key, keys } = newHome()
    const refused = async (args: string[], status: number, reason: string) =>
      expect(await key(['newpair', '-P', '', ...args])).toMatchObject({
        status,
        stderr: expect.stringContaining(reason),
      })
    await refused(['-N', 'A <b>'], 2, 'the name of a key cannot have the character <')
    await refused(['-N', ''], 2, 'a key needs a name or an address')
    await refused(['-N', 'A', '-b', '1024'], 2, 'cannot make an RSA key of 1024 bits')
    await refused(['-N', 'A', '-b', '99999'], 2, 'longer ones are only slower')
    await refused(['-N', 'A', '--type', 'dsa'], 255, '--type dsa: expected rsa or ed25519')
    await refused(['-N', 'A', '--password-stdin'], 255, '--password and --password-stdin exclude each other')
    const long = await key(['newpair', '-N', 'A', '--password-stdin'], { input: 'x'.repeat(70_000) })
    expect(long).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('the line on standard input is too long'),
    })
    const none = await key(['newpair', '-N', 'A', '--password-stdin'], { input: '' })
    expect(none).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('there is no passphrase on standard input'),
    })
    expect(existsSync(keys)).toBe(false)
  })

  it('is not kept in a file, and the reason has a line of its own', async () => {
    const { key, write } = newHome()
    const file = write('file', '')
    const { stderr } = await key(['newpair', '-N', 'A', '--type', 'ed25519', '-P', '', '--keysdir', file])
    expect(stderr).toMatch(/^FATAL: .*file is no directory of keys: it is a file$/m)
  })

  it('is kept when no server takes it', async () => {
    const { key } = newHome()
    const args = ['-N', 'A', '--type', 'ed25519', '-P', '', '--push', '--url', 'http://127.0.0.1:1']
    const { status, stderr } = await key(['newpair', ...args])
    expect(status).toBe(2)
    const [print] = listed(await key(['list']))
    expect(stderr).toContain(`The key is kept; send it later: sing key push ${print}`)
  })

  it('for cosign is made by others', async () => {
    const { key } = newHome()
    expect(await key(['generate-cosign-key-pair'])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('pairs of keys for cosign cannot be made'),
    })
  })
})

describe('a directory of keys', () => {
  it('that others may look into is closed to them, with a word', async () => {
    const { key, keys } = newHome()
    await key(['import', keyFile('pgp-private-nopass.asc')])
    chmodSync(keys, 0o755)
    chmodSync(join(keys, 'pgp-secret'), 0o644)
    const { stderr } = await key(['list', '-s'])
    expect(stderr).toContain(`Directory mode (755) on ${keys} needs to be 700, fixing that...`)
    expect(stderr).toContain(`File mode (644) on ${keys}/pgp-secret needs to be 600, fixing that...`)
    expect([modeOf(keys), modeOf(join(keys, 'pgp-secret'))]).toEqual([0o700, 0o600])
  })

  it('is not left through links', async () => {
    const { home, key, keys, write } = newHome()
    const victim = write('victim', readFileSync(ringFile('pgp-public')))
    mkdirSync(keys, { recursive: true, mode: 0o700 })
    symlinkSync(victim, join(keys, 'pgp-public'))
    give(home)
    expect(await key(['list'])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('it is a symbolic link'),
    })
    expect(await key(['import', keyFile('pgp-public-p256.asc')])).toMatchObject({ status: 255 })
    expect(lstatSync(join(keys, 'pgp-public')).isSymbolicLink()).toBe(true)
    expect(readFileSync(victim)).toEqual(readFileSync(ringFile('pgp-public')))
  })

  it.skipIf(!can('root'))('of another user that anybody may write to is refused', async () => {
    const { key, home } = newHome()
    const foreign = join(home, 'foreign')
    mkdirSync(foreign)
    chmodSync(foreign, 0o777)
    expect(await key(['list', '-d', 'foreign'])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('others may change it (mode 777)'),
    })
    const ring = join(home, '.apptainer/keys')
    mkdirSync(ring, { recursive: true })
    chmodSync(ring, 0o777)
    expect(await key(['list'])).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('it is left out'),
    })
  })

  it('that is a file, or no place to write, is said to be so', async () => {
    const { key, write } = newHome()
    write('file', 'text')
    expect(await key(['list', '-d', 'file'])).toMatchObject({
      stderr: expect.stringContaining('is no directory of keys'),
    })
    write('closed/pgp-public', '', 0)
    expect(await key(['list', '-d', 'closed'])).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(/cannot read keys from .*closed\/pgp-public: permission denied/),
    })
    write('dir/pgp-public/x', '')
    expect(await key(['list', '-d', 'dir'])).toMatchObject({
      stderr: expect.stringContaining('it is no regular file'),
    })
    expect(await key(['import', '-d', '/proc/keys', keyFile('pgp-public.asc')])).toMatchObject({
      status: 255,
    })
  })

  it('with damage loses nothing: sound keys are listed, the rest is put aside when the ring is written', async () => {
    const { home, key, keys, write } = newHome()
    const ring = readFileSync(ringFile('pgp-public'))
    write('.local/share/sing/keys/pgp-public', Buffer.concat([Buffer.from('junk'), ring]))
    const before = await key(['list'])
    expect(listed(before)).toEqual([prints.rsa, prints.nopass])
    expect(before.stderr).toContain(
      'pgp-public is damaged: 4 bytes in 1 place(s) are no keys and are skipped',
    )
    expect(readFileSync(join(keys, 'pgp-public'))).toHaveLength(ring.length + 4)
    const added = await key(['import', keyFile('pgp-public-p256.asc')])
    expect(added.stderr).toContain(`is kept in ${keys}/pgp-public.damaged`)
    expect(readFileSync(join(keys, 'pgp-public.damaged'), 'utf8')).toBe('junk')
    expect(readFileSync(join(keys, 'pgp-public')).subarray(0, ring.length)).toEqual(ring)
    expect(await key(['list'])).toMatchObject({ stderr: '' })
    expect(home).toBeTruthy()
  })
})
