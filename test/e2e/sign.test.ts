/** `sing sign`: which key signs, what it signs, and what is said when it cannot. */

import { chmodSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { onTerminal } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { run } from '../helpers/sing.ts'
import { keyFile, prints } from './keys.ts'
import { envelopesIn, newSigner, signaturesIn, signedIds } from './signing.ts'

const [rsa, ed25519] = ['pgp-private-nopass.asc', 'pgp-private-ed25519.asc'] as const

describe('the key that signs', () => {
  it('is the only one there is', async () => {
    const { sign, image } = await newSigner(rsa)
    const path = image()
    expect(await sign([path])).toEqual({
      status: 0,
      stdout: '',
      stderr:
        `INFO:    Signing image with the key ${prints.nopass} (Nopass Tester <nopass@example.org>)\n` +
        `INFO:    Signature created and applied to image '${path}'\n`,
    })
    const [signature, ...more] = await signaturesIn(path)
    expect(more).toEqual([])
    expect(signature).toMatchObject({ id: 4, group: 0, link: { kind: 'group', id: 1 }, name: '' })
    expect(Buffer.from(signature?.extra ?? []).toString('hex', 0, 24)).toBe(
      `01000000${prints.nopass.toLowerCase()}`,
    )
  })

  it('is missing at first', async () => {
    const { sign, image, keys } = await newSigner()
    expect(await sign([image()])).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(
        `there is no private key in ${keys} to sign with\n +Make one: sing key newpair`,
      ),
    })
  })

  it('must be named when there are several', async () => {
    const { sign, image } = await newSigner(rsa, ed25519)
    const path = image()
    const { status, stderr } = await sign([path])
    expect(status).toBe(255)
    expect(stderr).toContain('you have 2 private keys, and none was chosen')
    expect(stderr).toContain(`0) Nopass Tester <nopass@example.org>  ${prints.nopass}`)
    expect(stderr).toContain(`1) Ed Tester <ed@example.org>  ${prints.ed25519}`)
    expect(await signaturesIn(path)).toEqual([])
  })

  it.each([
    ['its number', '1'],
    ['its fingerprint', prints.ed25519],
    ['its fingerprint in another form', `0x${prints.ed25519.toLowerCase()}`],
    ['the end of that', prints.ed25519.slice(-16)],
    ['its name', 'Ed Tester'],
    ['an address', 'ed@example.org'],
  ])('is named by %s', async (_, name) => {
    const { sign, image } = await newSigner(rsa, ed25519)
    expect((await sign(['-k', name, image()])).stderr).toContain(prints.ed25519)
  })

  it.each([
    ['7', 'there is no private key number 7: they go from 0 to 1'],
    ['nobody', 'there is no private key nobody'],
    ['Tester', 'Tester names 2 keys'],
  ])('is not there by the name %s', async (name, message) => {
    const { sign, image } = await newSigner(rsa, ed25519)
    expect(await sign(['--keyidx', name, image()])).toMatchObject({
      status: 255,
      stderr: expect.stringContaining(message),
    })
  })

  it('is asked for on a terminal', async () => {
    const { home, image } = await newSigner(rsa, ed25519)
    const path = image()
    const terminal = onTerminal(['sign', path], { path: home, env: { HOME: home } } as never)
    await terminal.shows(/Enter # of private key to use :/)
    expect(terminal.text()).toContain(`1) Ed Tester <ed@example.org>  ${prints.ed25519}`)
    terminal.type('1\r')
    expect(await terminal.status).toBe(0)
    expect((await envelopesIn(path)).join()).toContain('BEGIN PGP SIGNATURE')
  })

  it('is one of the rings of Apptainer and Singularity, too', async () => {
    const { sign, image, write } = await newSigner()
    write(
      '.apptainer/keys/pgp-secret',
      readFileSync(join(import.meta.dirname, '../../fixtures/keys/ring/pgp-secret')),
    )
    expect(await sign(['-k', prints.nopass, image()])).toMatchObject({ status: 0 })
  })

  it.skipIf(!can('gpg'))('does not sign any more when its public key says that it was revoked', async () => {
    const signer = await newSigner()
    const gpg = (args: readonly string[], input?: string) =>
      run(
        ['gpg', '--batch', '--yes', '--no-tty', '--pinentry-mode', 'loopback', '--passphrase', '', ...args],
        {
          env: { GNUPGHOME: signer.home },
          cwd: signer.home,
          ...(input !== undefined && { input }),
        },
      )
    chmodSync(signer.home, 0o700)
    await gpg(['--quick-gen-key', 'Gone <gone@example.org>', 'rsa2048', 'sign', 'never'])
    const secret = await gpg(['--armor', '--export-secret-keys'])
    await signer.key(['import', signer.write('secret.asc', secret.stdout)])
    const path = signer.image()
    expect(await signer.sign([path])).toMatchObject({ status: 0 })
    const revocation = await run(['sh', '-c', 'sed "s/^:---/---/" openpgp-revocs.d/*.rev'], {
      cwd: signer.home,
    })
    await signer.key([
      'import',
      signer.write('revoked.asc', revocation.stdout.slice(revocation.stdout.indexOf('-----BEGIN'))),
    ])
    expect(await signer.sign([path])).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(/cannot sign: .*revoked/),
    })
    await run(['gpgconf', '--kill', 'all'], { env: { GNUPGHOME: signer.home } })
  })
})

describe('a passphrase', () => {
  it('comes through a pipe', async () => {
    const { sign, image, pem } = await newSigner('pgp-private.asc')
    const path = image()
    expect(await sign([path], { input: 'singpass\n' })).toMatchObject({ status: 0 })
    expect(await sign(['--key', pem('rsa-protected.pkcs8.pem'), path], { input: 'fortune' })).toMatchObject({
      status: 0,
    })
    expect(await signaturesIn(path)).toHaveLength(2)
  })

  it.each(['SING', 'APPTAINER', 'SINGULARITY'])('comes from the environment: %s', async (prefix) => {
    const { sign, image, pem } = await newSigner('pgp-private.asc')
    const path = image()
    const env = (words: string) => ({ env: { [`${prefix}_KEY_PASSPHRASE`]: words } })
    expect(await sign([path], env('singpass'))).toMatchObject({ status: 0 })
    expect(await sign(['--key', pem('rsa-protected.pkcs8.pem'), path], env('fortune'))).toMatchObject({
      status: 0,
    })
    const { stderr } = await sign([path], env('fortune'))
    expect(stderr).toContain('wrong passphrase')
    expect(stderr).toContain(`The passphrase is that of ${prefix}_KEY_PASSPHRASE`)
    expect(await signaturesIn(path)).toHaveLength(2)
  })

  it('is asked for on the terminal, and not shown', async () => {
    const { home, image } = await newSigner('pgp-private.asc')
    const path = image()
    const terminal = onTerminal(['sign', path], { path: home, env: { HOME: home } } as never)
    await terminal.shows(/Passphrase of the key 424D327F\w+ \(Sing Tester/)
    terminal.type('singpass\r')
    expect(await terminal.status).toBe(0)
    expect(terminal.text()).not.toContain('singpass')
  })

  it.each([
    ['wrong', 'not this one\n', /wrong passphrase for the private key 424D327F/],
    ['missing', undefined, /nobody answers "Passphrase of the key 424D327F/],
  ])('that is %s signs nothing', async (_, input, message) => {
    const { sign, image } = await newSigner('pgp-private.asc')
    const path = image()
    const found = await sign([path], input === undefined ? {} : { input })
    expect(found).toMatchObject({ status: 255, stderr: expect.stringMatching(message) })
    expect(found.stderr).not.toContain('not this one')
    expect(await signaturesIn(path)).toEqual([])
  })
})

describe('a key in a PEM file', () => {
  it.each([
    'rsa-private.pkcs1.pem',
    'rsa-private.pkcs8.pem',
    'ecdsa-private.sec1.pem',
    'ecdsa-private.pkcs8.pem',
    'ed25519-private.pem',
  ])('signs: %s', async (name) => {
    const { sign, image, pem } = await newSigner()
    const path = image()
    expect(await sign(['--key', pem(name), path])).toMatchObject({
      status: 0,
      stderr: expect.not.stringContaining('WARNING'),
    })
    const [signature] = await signaturesIn(path)
    expect(Buffer.from(signature?.extra ?? []).toString('hex', 0, 24)).toBe(`01000000${'0'.repeat(40)}`)
    expect((await envelopesIn(path))[0]).toMatch(
      /^\{"payloadType":"application\/vnd.sylabs.sif-metadata\+json","payload":/,
    )
  })

  it.each(['SING_SIGN_KEY', 'APPTAINER_SIGN_KEY', 'SINGULARITY_SIGN_KEY'])(
    'may be named by %s',
    async (name) => {
      const { sign, image, pem } = await newSigner(rsa)
      const path = image()
      const env = { [name]: pem('ed25519-private.pem') }
      expect((await sign([path], { env })).stderr).toContain(
        'the key SHA256:9J4H6Ejmze+0m4QD6BvtT3mdWDmBM3OL+w71cm114Jk',
      )
      expect((await sign(['-k', '0', path], { env })).stderr).toContain(prints.nopass)
    },
  )

  it('gets a warning when others may read it', async () => {
    const { sign, image, pem } = await newSigner()
    const key = pem('ed25519-private.pem')
    chmodSync(key, 0o644)
    const { status, stderr } = await sign(['--key', key, image()])
    expect(status).toBe(0)
    expect(stderr).toContain(
      `WARNING: the private key ${key} can be read or written by other users: chmod 600 ${key}`,
    )
  })

  it.each([
    ['a public key', 'rsa-public.pem', /is no private key: it holds a PUBLIC KEY/],
    ['a weak one', 'rsa-1024.pkcs1.pem', /RSA with 1024 bits is too weak/],
    ['one of OpenSSH', 'id.openssh', /holds an OPENSSH PRIVATE KEY\n +Write a copy of it as PKCS#8/],
  ])('is not %s', async (_, name, message) => {
    const { sign, image, pem } = await newSigner()
    const path = image()
    expect(await sign(['--key', pem(name), path])).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(message),
    })
    expect(await signaturesIn(path)).toEqual([])
  })
})

describe('what is signed', () => {
  it('is every group, each by a signature of its own', async () => {
    const { sign, sing, image, write } = await newSigner(rsa)
    const path = image()
    for (const group of ['2', '3'])
      await sing(['sif', 'add', '--datatype', '7', '--groupid', group, path, write(`more-${group}`, group)])
    expect(await sign(['--all', path])).toMatchObject({ status: 0 })
    const signatures = await signaturesIn(path)
    expect(signatures.map(({ link }) => link)).toEqual([1, 2, 3].map((id) => ({ kind: 'group', id })))
    expect((await envelopesIn(path)).map(signedIds)).toEqual([[0, 1, 2], [0], [0]])
  })

  it.each(['-g', '--group-id', '--groupid'])('is one group with %s', async (flag) => {
    const { sign, sing, image, write } = await newSigner(rsa)
    const path = image()
    await sing(['sif', 'add', '--datatype', '7', '--groupid', '2', path, write('more', 'x')])
    expect(await sign([flag, '2', path])).toMatchObject({ status: 0 })
    expect((await signaturesIn(path)).map(({ link }) => link)).toEqual([{ kind: 'group', id: 2 }])
  })

  it.each(['-i', '--sif-id', '--id'])('is one object with %s', async (flag) => {
    const { sign, image } = await newSigner(rsa)
    const path = image()
    expect(await sign([flag, '3', path])).toMatchObject({ status: 0 })
    expect((await signaturesIn(path)).map(({ link }) => link)).toEqual([{ kind: 'group', id: 1 }])
    expect((await envelopesIn(path)).map(signedIds)).toEqual([[2]])
  })

  it('keeps the signatures that are there', async () => {
    const { sign, image, pem } = await newSigner(rsa, ed25519)
    const path = image()
    await sign(['-k', '0', path])
    const [first] = await envelopesIn(path)
    await sign(['-k', '1', path])
    await sign(['--key', pem('ecdsa-private.sec1.pem'), path])
    const all = await envelopesIn(path)
    expect(all).toHaveLength(3)
    expect(all[0]).toBe(first)
  })

  it('is told of what no signature can be about', async () => {
    const { sign, sing, image, write } = await newSigner(rsa)
    const path = image()
    await sing(['sif', 'add', '--datatype', '7', '--groupid', '0', path, write('more', 'x')])
    const { status, stderr } = await sign([path])
    expect(status).toBe(0)
    expect(stderr).toContain(
      `WARNING: no signature is about object 4 of ${path}, which is in no group: verify refuses the image`,
    )
  })

  it('stays the same file, also behind a link', async () => {
    const { sign, image, home } = await newSigner(rsa)
    const path = image()
    chmodSync(path, 0o640)
    const before = statSync(path)
    symlinkSync(path, join(home, 'link.sif'))
    expect(await sign(['link.sif'])).toMatchObject({ status: 0 })
    expect(statSync(path)).toMatchObject({ ino: before.ino, mode: before.mode })
  })
})

describe('nothing is signed', () => {
  const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ['without an image', [], 1, /sing sign \[options\] <image>/],
    ['of an object that is not there', ['-i', '9', 'a.sif'], 255, /a\.sif has no object 9/],
    ['of a group that is not there', ['-g', '5', 'a.sif'], 255, /a\.sif has no group 5\n +It has: 1/],
    [
      'for two answers to one question',
      ['-g', '1', '-i', '1', 'a.sif'],
      1,
      /--group-id and --sif-id exclude each other/,
    ],
    ['for a group of no number', ['-g', '-1', 'a.sif'], 1, /--group-id -1: expected a number from 1 on/],
    ['of an image that is missing', ['b.sif'], 255, /cannot open b\.sif: no such file/],
    ['of something else', ['tree'], 255, /cannot read tree: is a directory\n +Signatures lie in SIF images/],
    [
      'of a reference',
      ['oras://a/b'],
      255,
      /no such file.*\n +Fetch it .*: sing pull IMAGE.sif oras:\/\/a\/b/,
    ],
    [
      'as cosign does',
      ['--cosign', 'a.sif'],
      255,
      /--cosign cannot be used\n +Signatures of cosign are kept in registries/,
    ],
    [
      'by two keys at once',
      ['-k', '0', '--key', 'x.pem', 'a.sif'],
      1,
      /--key and --keyidx exclude each other/,
    ],
    [
      'by a file of no ring',
      ['-d', 'tree', '--key', 'x.pem', 'a.sif'],
      1,
      /--key and --keysdir exclude each other/,
    ],
  ]
  it.each(cases)('%s', async (_, args, status, message) => {
    const { sign, image, write } = await newSigner(rsa)
    const path = image()
    write('tree/file', '')
    const before = readFileSync(path)
    expect(await sign(args)).toMatchObject({ status, stderr: expect.stringMatching(message) })
    expect(readFileSync(path)).toEqual(before)
  })

  it('of a signature itself', async () => {
    const { sign, image } = await newSigner(rsa)
    const path = image()
    await sign([path])
    expect((await sign(['-i', '4', path])).stderr).toContain(
      `object 4 of ${path} cannot be signed: it is a signature itself`,
    )
  })

  it('of an empty image', async () => {
    const { sign, sing } = await newSigner(rsa)
    await sing(['sif', 'new', 'new.sif'])
    expect((await sign(['new.sif'])).stderr).toContain(
      'new.sif has no group of objects, so there is nothing to sign',
    )
  })

  it('of an image in which two objects have one number', async () => {
    const { sign, image, write } = await newSigner(rsa)
    const bytes = readFileSync(image())
    bytes.writeUInt32LE(1, 4096 + 585 + 5)
    expect((await sign([write('twice.sif', bytes, 0o644)])).stderr).toMatch(
      /cannot sign \S+: two objects have the number 1/,
    )
  })

  it('of an image that may not be written', async () => {
    const { sign, image } = await newSigner(rsa)
    const path = image()
    chmodSync(path, 0o444)
    expect(await sign([path])).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(
        /^FATAL: +cannot write to \S+: permission denied\n.*sign a copy of your own/,
      ),
    })
  })

  it('when the table of the image has no room for all of it', async () => {
    const { sign, sing, image, write } = await newSigner(rsa)
    const path = image()
    const more = write('more', 'x')
    await sing(['sif', 'add', '--datatype', '7', '--groupid', '2', path, more])
    for (let count = 4; count < 47; count += 1)
      await sing(['sif', 'add', '--datatype', '7', '--groupid', '1', path, more])
    const before = readFileSync(path)
    expect((await sign([path])).stderr).toContain(
      `${path} takes no more objects: all 48 descriptors are in use`,
    )
    expect(readFileSync(path)).toEqual(before)
    expect(await sign(['-g', '1', path])).toMatchObject({ status: 0 })
  })
})

describe.skipIf(!can('gpg'))('GnuPG', () => {
  it.each([rsa, ed25519])('finds the signature good: %s', async (name) => {
    const { sign, image, home, write } = await newSigner(name)
    const path = image()
    await sign([path])
    const [envelope = ''] = await envelopesIn(path)
    chmodSync(home, 0o700)
    const gpg = (args: readonly string[]) =>
      run(['gpg', '--batch', '--no-tty', ...args], { env: { GNUPGHOME: home }, cwd: home })
    await gpg(['--import', keyFile(name)])
    expect(await gpg(['--verify', write('envelope.asc', envelope)])).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/Good signature from "(Nopass|Ed) Tester/),
    })
    expect(
      await gpg([
        '--verify',
        write('envelope.asc', envelope.replace('sha256:a', 'sha256:b').replace('"version"', '"Version"')),
      ]),
    ).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('BAD signature'),
    })
    await run(['gpgconf', '--kill', 'all'], { env: { GNUPGHOME: home } })
  })
})

describe.skipIf(!can('userns'))('on a full disk', () => {
  it('the image is the old one', async () => {
    const { sign, image, home } = await newSigner(rsa)
    const path = image()
    // Room for the image, and for less than a copy of its table.
    const script =
      'mount -t tmpfs -o size=48k none disk && cp a.sif disk/ && shift && "$@"; echo $?; cmp a.sif disk/a.sif && echo same'
    await run(['mkdir', 'disk'], { cwd: home })
    const { program } = await import('../helpers/sing.ts')
    const words = ['sh', path, program, 'sign', 'disk/a.sif']
    const found = await run(['unshare', '-Urm', 'sh', '-c', script, ...words], {
      cwd: home,
      env: { HOME: home },
    })
    expect(found.stdout).toBe('255\nsame\n')
    expect(found.stderr).toContain('cannot write disk/a.sif: no space left on device')
    expect(await sign([path])).toMatchObject({ status: 0 })
  })
})
