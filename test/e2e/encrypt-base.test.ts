/** New images of encrypted ones, and encrypted ones of everything that a build takes. */

import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type BuildFolder, base, buildFolder, onTerminal } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { decrypt } from '../helpers/encrypted.ts'
import { peer } from '../helpers/peer.ts'
import { projectRoot, sing } from '../helpers/sing.ts'
import { copyInto, give } from '../helpers/temp.ts'
import { baseLayout } from './dockerfiles.ts'

const secret = 'open sesame'
const withSecret = { SING_ENCRYPTION_PASSPHRASE: secret }
const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
})

describe.skipIf(!can('userns', 'fuse'))('with an encrypted image', () => {
  let folder: BuildFolder
  const run = (args: readonly string[], env: Record<string, string> = withSecret) =>
    sing(args, { cwd: folder.path, env: { ...folder.env, ...env } })
  const hello = async (name: string, ...flags: string[]) =>
    (await run(['exec', ...flags, name, 'cat', '/opt/hello.txt'])).stdout

  beforeAll(async () => {
    folder = buildFolder()
    folder.write('public.pem', publicKey)
    folder.write('private.pem', privateKey)
    expect(await run(['build', '--encrypt', 'base.sif', base])).toMatchObject({ status: 0 })
    expect(await run(['build', '--pem-path', 'public.pem', 'key.sif', base])).toMatchObject({ status: 0 })
  })

  it('a plain one is built', async () => {
    expect(await run(['build', 'plain.sif', 'base.sif'])).toMatchObject({ status: 0 })
    expect((await run(['exec', 'plain.sif', 'cat', '/opt/hello.txt'], {})).stdout).toBe('hello, file\n')
  })

  it('one for a key is built, and one with a passphrase of that', async () => {
    expect(await run(['build', '--pem-path', 'public.pem', 'other.sif', 'base.sif'])).toMatchObject({
      status: 0,
    })
    expect(await hello('other.sif', '--pem-path', 'private.pem')).toBe('hello, file\n')
    const env = { SING_ENCRYPTION_PEM_PATH: 'private.pem' }
    // The public half of a private key is as good as a public one.
    expect(await run(['build', '--encrypt', 'third.sif', 'key.sif'], env)).toMatchObject({ status: 0 })
    expect(await hello('third.sif', '--pem-path', 'private.pem')).toBe('hello, file\n')
  })

  it('the flags are about the new image only', async () => {
    const { status, stderr } = await run(['build', '--pem-path', 'private.pem', 'no.sif', 'key.sif'], {})
    expect(status).toBe(255)
    expect(stderr).toMatch(/cannot open .*key\.sif: it is encrypted/)
    expect(existsSync(join(folder.path, 'no.sif'))).toBe(false)
  })

  it('its passphrase is asked for where the environment has none', async () => {
    const terminal = onTerminal(['build', '--passphrase', 'asked.sif', 'base.sif'], folder)
    await terminal.shows(/Passphrase for asked\.sif: /)
    terminal.type('new one\r')
    await terminal.shows(/again: /)
    terminal.type('new one\r')
    await terminal.shows(/Enter encryption passphrase of .*base\.sif: /)
    terminal.type(`${secret}\r`)
    expect(await terminal.status).toBe(0)
    expect(terminal.text()).not.toContain(secret)
    expect(await hello('base.sif')).toBe('hello, file\n')
    expect((await decrypt(join(folder.path, 'asked.sif'), 'new one')).length).toBeGreaterThan(4096)
  })

  it('a definition begins, and a commit goes on', async () => {
    folder.write('x.def', 'Bootstrap: localimage\nFrom: base.sif\n%post\n  echo made > /made\n')
    expect(await run(['build', '--encrypt', 'made.sif', 'x.def'])).toMatchObject({ status: 0 })
    expect((await run(['exec', 'made.sif', 'cat', '/made'])).stdout).toBe('made\n')
    mkdirSync(join(folder.path, 'changes'))
    give(join(folder.path, 'changes'))
    await run(['exec', '--overlay', 'changes', 'made.sif', 'sh', '-c', 'echo more > /made'])
    expect(await run(['commit', '--encrypt', '--overlay', 'changes', 'new.sif', 'made.sif'])).toMatchObject({
      status: 0,
    })
    expect((await run(['exec', 'new.sif', 'cat', '/made'])).stdout).toBe('more\n')
    expect((await run(['exec', 'new.sif', 'true'], {})).stderr).toContain('it is encrypted')
  })

  it('--check and --sbom see what is in it', async () => {
    const dpkg = 'Package: hello\\nStatus: install ok installed\\nVersion: 1.2\\nArchitecture: amd64\\n'
    folder.write(
      'list.def',
      `Bootstrap: localimage\nFrom: base.sif\n%post\n  mkdir -p /var/lib/dpkg /open; printf '${dpkg}' > /var/lib/dpkg/status; chmod 777 /open; touch /open/x\n`,
    )
    const env = { ...withSecret, SING_ENCRYPTION_PASSPHRASE: secret }
    const flags = ['--encrypt', '--check', '--sbom']
    const { status, stderr } = await run(['build', ...flags, 'list.sif', 'list.def'], env)
    expect(stderr).toMatch(/WARNING: check: \/open/)
    expect(stderr).toContain('Listed 1 package in')
    expect(status).toBe(0)
  })

  it('one is built of a reference', async () => {
    const layout = copyInto(folder.path, await baseLayout(), 'layout')
    expect(await run(['build', '--encrypt', 'oci.sif', `oci:${layout}:base`])).toMatchObject({ status: 0 })
    expect((await run(['exec', 'oci.sif', 'sh', '-c', 'echo $FROM_BASE'])).stdout).toBe('yes\n')
    expect((await run(['exec', 'oci.sif', 'true'], {})).status).toBe(255)
  })

  it('signatures hold, here and there', async () => {
    const key = (name: string) => copyInto(folder.path, join(projectRoot, 'fixtures/keys/pem', name))
    await run(['build', '--encrypt', 'signed.sif', base])
    expect(await run(['sign', '--key', key('ed25519-private.pem'), 'signed.sif'])).toMatchObject({
      status: 0,
    })
    expect(await run(['verify', '--key', key('ed25519-public.pem'), 'signed.sif'], {})).toMatchObject({
      status: 0,
    })
    expect(await hello('signed.sif')).toBe('hello, file\n')
    if (!can('peer')) return
    const options = { folders: [folder.path] }
    const image = join(folder.path, 'signed.sif')
    const verified = await peer(['verify', '--key', join(folder.path, 'ed25519-public.pem'), image], options)
    expect(verified.status).toBe(0)
  })

  it('another one of it is another one', async () => {
    await run(['build', '--encrypt', 'twice.sif', 'base.sif'])
    expect(
      readFileSync(join(folder.path, 'twice.sif')).equals(readFileSync(join(folder.path, 'base.sif'))),
    ).toBe(false)
  })
})
