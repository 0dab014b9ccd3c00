/** `sing verify` as people run it: words, columns and JSON of the peers, reasons, and what is not covered. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { hasProgram } from '../helpers/can.ts'
import { authority, signer as codeSigner, makeCertificate } from '../helpers/chains.ts'
import { projectRoot, type RunOptions, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { signedSample } from '../unit/sif/signed.ts'

const folder = temporaryFolder()
const keysdir = join(folder, 'keys')
const key = (name: string) => join(projectRoot, 'fixtures/keys/pem', name)

/** An image of `fixtures/signed` as a file of the user. */
async function image(name: string): Promise<string> {
  const path = join(folder, name.replaceAll('/', '-'))
  writeFileSync(path, await signedSample(name))
  give(path)
  return path
}

const verify = (args: readonly string[], options: RunOptions = {}) =>
  sing(['verify', ...args], { ...options, env: { SING_KEYSDIR: keysdir, ...options.env } })

beforeAll(async () => {
  mkdirSync(keysdir, { mode: 0o700 })
  give(keysdir)
  for (const name of ['pgp-private-nopass.asc', 'pgp-public-ed25519.asc', 'pgp-public-revoked.asc']) {
    const imported = await sing(['key', 'import', join(projectRoot, 'fixtures/keys/openpgp', name)], {
      env: { SING_KEYSDIR: keysdir },
    })
    expect(imported.stderr).not.toContain('FATAL')
  }
})

const table = `Objects verified:
ID  |GROUP   |LINK    |TYPE
------------------------------------------------
1   |1       |NONE    |Def.FILE
2   |1       |NONE    |JSON.Generic
3   |1       |NONE    |FS
`
const signer = `[LOCAL]            Signing entity: Nopass Tester <nopass@example.org>
[LOCAL]            Fingerprint: F27B0D831C7680EA12A3275608CD639E798292F7
`

describe('an image that is as it was signed', () => {
  it('is told with its signer and its objects', async () => {
    const path = await image('tiny-signed.sif')
    const { status, stdout, stderr } = await verify(['--local', path])
    expect({ status, stdout }).toEqual({ status: 0, stdout: signer + table })
    expect(stderr).toBe(
      `INFO:    Verifying image with PGP key material\nINFO:    Verified signature(s) from image '${path}'\n`,
    )
  })

  it('is told as JSON', async () => {
    const { status, stdout } = await verify(['-l', '-j', await image('tiny-signed.sif')])
    expect(status).toBe(0)
    const { Signatures, SignerKeys, NotCovered, ...more } = JSON.parse(stdout)
    expect({ Signatures, more }).toEqual({ Signatures: 1, more: {} })
    expect(SignerKeys).toHaveLength(3)
    expect(SignerKeys[2]).toEqual({
      Signer: {
        Partition: 'FS',
        Name: 'Nopass Tester <nopass@example.org>',
        Fingerprint: 'f27b0d831c7680ea12a3275608cd639e798292f7',
        KeyLocal: true,
        KeyCheck: true,
        DataCheck: true,
      },
    })
    expect(NotCovered[0]).toBe('in the header: architecture, times, counts, and where table and data lie')
    expect(stdout).toMatch(/^\{\n {2}"Signatures": 1,\n {2}"SignerKeys": \[\n {4}\{\n {6}"Signer": \{/)
    expect(stdout).toContain('Nopass Tester \\u003cnopass@example.org\\u003e')
  })

  it('is verified with a bare key, of a flag or a variable', async () => {
    const path = await image('variants/dsse-ecdsa.sif')
    const { status, stdout, stderr } = await verify(['--key', key('ecdsa-public.pem'), path])
    expect({ status, stdout }).toEqual({ status: 0, stdout: table })
    expect(stderr).toMatch(/INFO: {4}Signed by the key SHA256:YhC2awqc\/Gl3BoMfSMEMtBbMmlCNKXMA6QQgGTPgzEs\n/)
    for (const prefix of ['SING', 'APPTAINER', 'SINGULARITY'])
      expect(
        (await verify([path], { env: { [`${prefix}_VERIFY_KEY`]: key('ecdsa-public.pem') } })).status,
      ).toBe(0)
    const json = await verify(['--json', '--key', key('ecdsa-public.pem'), path])
    expect(JSON.parse(json.stdout).SignerKeys[0].Signer).toMatchObject({
      Name: 'unknown',
      Fingerprint: '',
      KeyLocal: false,
      KeyCheck: false,
      KeyID: 'SHA256:YhC2awqc/Gl3BoMfSMEMtBbMmlCNKXMA6QQgGTPgzEs',
    })
  })

  it('says with --all what no signature covers, and what of this image is odd', async () => {
    const { status, stderr } = await verify(['--all', '--local', await image('tampered/ok-trailing.sif')])
    expect(status).toBe(0)
    expect(stderr).toContain('Not covered by signatures: 7 bytes at the end of the file, behind object 4')
    expect(stderr).toContain('Not covered by signatures: in descriptors: ')
  })

  it.each([
    [['--sif-id', '3'], [3]],
    [['--id', '3'], [3]],
    [
      ['-i', '2', '-g', '1'],
      [1, 2, 3, 2],
    ],
    [
      ['--groupid', '1'],
      [1, 2, 3],
    ],
  ])('is verified as far as %j says', async (flags, ids) => {
    const { status, stdout } = await verify(['--local', ...flags, await image('tiny-signed.sif')])
    expect(status).toBe(0)
    expect([...stdout.matchAll(/^(\d+) +\|/gm)].map(([, id]) => Number(id))).toEqual(ids)
  })
})

describe('an image that is refused', () => {
  it('is told as far as it holds, with the reason', async () => {
    const path = await image('tampered/t-data.sif')
    const { status, stdout, stderr } = await verify(['--local', path])
    const reason = 'object 3 was changed after it was signed'
    expect(status).toBe(255)
    expect(stdout).toBe(
      `${signer}${table.replace(/3 .*\n/, '')}\nError encountered during signature verification: ${reason}\n`,
    )
    expect(stderr).toContain(`FATAL:   cannot verify ${path}: ${reason}\n         Fetch the image again`)
  })

  it('is told as JSON, too', async () => {
    const { status, stdout } = await verify(['--local', '--json', await image('tampered/t-data.sif')])
    expect(status).toBe(255)
    const { SignerKeys, Problem } = JSON.parse(stdout)
    const checks = SignerKeys.map(({ Signer }: { Signer: { DataCheck: boolean } }) => Signer.DataCheck)
    expect({ checks, Problem }).toEqual({
      checks: [true, true, false],
      Problem: 'object 3 was changed after it was signed',
    })
    const unsigned = await verify(['--local', '--json', await image('tampered/t-sig-deleted.sif')])
    expect(JSON.parse(unsigned.stdout)).toMatchObject({ Signatures: 0, SignerKeys: null })
  })

  const refusals: [what: string, args: (path: string) => string[], reason: string][] = [
    ['by an unknown key', () => [], 'the key 95F961A7A0DBF013 is not known'],
    ['for want of the object', (path) => ['-i', '9', path], 'there is no object 9'],
    ['for want of the group', (path) => ['-g', '7', path], 'there is no group 7'],
    [
      'for a number that none has',
      (path) => ['-g', '0', path],
      '--group-id 0 is no number that a SIF can have',
    ],
    ['with two keys', (path) => ['--key', 'a', '--certificate', 'b', path], 'an image is verified with one'],
    ['without the key file', (path) => ['--key', '/none.pem', path], 'cannot read the public key /none.pem'],
    ['for cosign', (path) => ['--cosign', path], '--cosign cannot be used'],
    ['for old signatures', (path) => ['--legacy-insecure', path], 'object 3 is not signed'],
  ]
  it.each(refusals)('%s', async (what, args, reason) => {
    const unknown = what === 'by an unknown key'
    const path = await image(unknown ? 'variants/gpg-p256.sif' : 'tiny-signed.sif')
    const { status, stderr } = await verify(['--local', ...(unknown ? [path] : args(path))])
    expect(status).toBe(255)
    expect(stderr).toContain(reason)
  })

  it('without an image, a SIF, or a file', async () => {
    expect((await verify([])).status).toBe(1)
    const text = join(folder, 'text')
    writeFileSync(text, 'x'.repeat(200))
    give(text)
    expect((await verify(['--local', text])).stderr).toContain('Signatures lie in SIF images')
    expect((await verify(['--local', join(folder, 'none')])).stderr).toContain('no such file or directory')
    expect((await verify(['--local', folder])).stderr).toMatch(
      /is a directory\n +Signatures lie in SIF images/,
    )
    expect((await verify(['--local', 'docker://a/b'])).stderr).toContain('sing pull IMAGE.sif docker://a/b')
    await run(['mkfifo', join(folder, 'pipe')])
    expect((await verify(['--local', join(folder, 'pipe')])).status).toBe(255)
  })

  it('says what has no effect', async () => {
    const path = await image('tiny-signed.sif')
    const url = await verify(['--local', '--url', 'http://127.0.0.1:1', path])
    expect(url.stderr).toContain('--url has no effect with --local')
    const roots = await verify(['--local', '--certificate-roots', '/none.pem', path])
    expect(roots.stderr).toContain('--certificate-roots has no effect without --certificate')
  })

  it('by a key that a server does not have either', async () => {
    const { status, stderr } = await verify([
      '--url',
      'http://127.0.0.1:1',
      await image('variants/gpg-p256.sif'),
    ])
    expect(status).toBe(255)
    expect(stderr).toMatch(/WARNING: .*key server http:\/\/127\.0\.0\.1:1/)
  })
})

describe.skipIf(!hasProgram('openssl'))('a certificate', () => {
  /** An image, signed with the key of a certificate that an authority between has issued. */
  async function certified() {
    const root = makeCertificate(folder, 'root', { extensions: authority() })
    const between = makeCertificate(folder, 'between', { issuer: root, extensions: authority(0) })
    const leaf = makeCertificate(folder, 'leaf', { issuer: between, extensions: codeSigner })
    const other = makeCertificate(folder, 'other', { extensions: codeSigner })
    for (const { certificate, key: private_ } of [root, between, leaf, other])
      for (const path of [certificate, private_]) give(path)
    const path = await image('tampered/t-sig-deleted.sif')
    const signed = await sing(['sign', '--key', leaf.key, path])
    expect(signed.status).toBe(0)
    return { path, root, between, leaf, other }
  }

  it('vouches for the key when its chain holds, by flags and by variables', { timeout: 60_000 }, async () => {
    const { path, root, between, leaf, other } = await certified()
    const chain = [
      '--certificate-intermediates',
      between.certificate,
      '--certificate-roots',
      root.certificate,
    ]
    const good = await verify(['--certificate', leaf.certificate, ...chain, path])
    expect({ status: good.status, stdout: good.stdout }).toEqual({ status: 0, stdout: table })
    expect(good.stderr).toMatch(/Signed by the key SHA256:\S{43} of .*leaf/)
    const json = await verify(['--json', '--certificate', leaf.certificate, ...chain, path])
    expect(JSON.parse(json.stdout).SignerKeys[0].Signer.Certificate).toContain('leaf')
    const env = {
      SINGULARITY_VERIFY_CERTIFICATE: leaf.certificate,
      APPTAINER_VERIFY_INTERMEDIATES: between.certificate,
      SING_VERIFY_ROOTS: root.certificate,
    }
    expect(await verify([path], { env })).toMatchObject({ status: 0 })
    const lacking = await verify([
      '--certificate',
      leaf.certificate,
      '--certificate-roots',
      root.certificate,
      path,
    ])
    expect(lacking.status).toBe(255)
    const own = ['--certificate', other.certificate, '--certificate-roots', other.certificate]
    const wrong = await verify([...own, path])
    expect(wrong).toMatchObject({ status: 255, stderr: expect.stringContaining('it is by another key') })
  })
})
