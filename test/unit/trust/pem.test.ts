import { createPublicKey } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyIdOf } from '../../../src/trust/dsse.ts'
import { readPrivateKey, readPublicKey } from '../../../src/trust/pem.ts'
import { projectRoot } from '../../helpers/sing.ts'

const keys = join(projectRoot, 'fixtures/keys/pem')
const rsa = 'SHA256:4+U0ONPsOcyKZmWzSiiiUL2THHWwkfnS390fEM9mBZk'
const ecdsa = 'SHA256:YhC2awqc/Gl3BoMfSMEMtBbMmlCNKXMA6QQgGTPgzEs'
const ed25519 = 'SHA256:9J4H6Ejmze+0m4QD6BvtT3mdWDmBM3OL+w71cm114Jk'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-pem-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function make(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const passphrase = async () => 'fortune'
const nobody = async (): Promise<string> => {
  throw new Error('nobody was to be asked')
}
const quiet = { ask: nobody, report: () => {} }

describe('a private key in PEM', () => {
  it.each([
    ['rsa-private.pkcs1.pem', rsa],
    ['rsa-private.pkcs8.pem', rsa],
    ['ecdsa-private.sec1.pem', ecdsa],
    ['ecdsa-private.pkcs8.pem', ecdsa],
    ['ed25519-private.pem', ed25519],
  ])('is read: %s', async (name, id) => {
    const key = await readPrivateKey(join(keys, name), quiet)
    expect(key.type).toBe('private')
    expect(keyIdOf(key)).toBe(id)
  })

  it.each([
    ['rsa-protected.pkcs1.pem', rsa],
    ['rsa-protected.pkcs8.pem', rsa],
    ['ecdsa-protected.sec1.pem', ecdsa],
  ])('is unlocked with the passphrase that is asked for: %s', async (name, id) => {
    const path = join(keys, name)
    const asked: string[] = []
    const ask = async (question: string) => {
      asked.push(question)
      return 'fortune'
    }
    expect(keyIdOf(await readPrivateKey(path, { ...quiet, ask }))).toBe(id)
    expect(asked).toEqual([`Passphrase of ${path}:`])
  })

  it('is refused with a wrong passphrase, which is not repeated', async () => {
    const path = join(keys, 'rsa-protected.pkcs8.pem')
    const found = await readPrivateKey(path, { ...quiet, ask: async () => 'a-wrong-one' }).catch((e) => e)
    expect(found).toMatchObject({ code: 'KEY', message: expect.stringContaining('the passphrase is wrong') })
    expect(JSON.stringify([found.message, found.hint, found.cause, found.stack])).not.toContain('a-wrong-one')
  })

  it.each([
    ['rsa-1024.pkcs1.pem', /RSA with 1024 bits is too weak/],
    ['secp256k1.sec1.pem', /its curve is secp256k1|of a kind that nobody signs/],
    ['id.openssh', /holds an OPENSSH PRIVATE KEY/],
    ['rsa-public.pem', /is no private key: it holds a PUBLIC KEY/],
    ['../openpgp/pgp-private-nopass.asc', /it holds a PGP PRIVATE KEY BLOCK/],
    ['../../fortune.def', /it has no key in PEM/],
    ['missing.pem', /no such file/],
    ['.', /is a directory/],
  ])('is refused when it is none that signs: %s', async (name, message) => {
    const path = join(keys, name)
    await expect(readPrivateKey(path, { ask: passphrase, report: () => {} })).rejects.toMatchObject({
      code: 'KEY',
      message,
    })
  })

  it('is refused when it is damaged or endless', async () => {
    const damaged = make('damaged.pem', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')
    await expect(readPrivateKey(damaged, quiet)).rejects.toMatchObject({
      code: 'KEY',
      message: /it is damaged/,
    })
    await expect(readPrivateKey('/dev/zero', quiet)).rejects.toMatchObject({
      message: /more than 262144 bytes/,
    })
  })

  it('gets a warning when others may read its file', async () => {
    const warnings: unknown[] = []
    const path = join(folder, 'mode.pem')
    copyFileSync(join(keys, 'ed25519-private.pem'), path)
    for (const mode of [0o600, 0o640, 0o400, 0o604]) {
      chmodSync(path, mode)
      await readPrivateKey(path, { ...quiet, report: (event) => warnings.push(event) })
    }
    expect(warnings).toEqual(
      Array(2).fill({
        kind: 'warning',
        text: `the private key ${path} can be read or written by other users: chmod 600 ${path}`,
      }),
    )
  })
})

describe('a public key in PEM', () => {
  it.each([
    ['rsa-public.pem', rsa],
    ['rsa-public.pkcs1.pem', rsa],
    ['ecdsa-public.pem', ecdsa],
    ['ed25519-public.pem', ed25519],
  ])('is read: %s', async (name, id) => {
    const key = await readPublicKey(join(keys, name))
    expect([key.type, keyIdOf(key)]).toEqual(['public', id])
  })

  it('is not the private one', async () => {
    await expect(readPublicKey(join(keys, 'ed25519-private.pem'))).rejects.toMatchObject({
      message: /is no public key: it holds a PRIVATE KEY/,
      hint: /openssl pkey/,
    })
  })

  it('is not one of RSA whose signatures anybody can make', async () => {
    const { n = '' } = createPublicKey(readFileSync(join(keys, 'rsa-public.pem'))).export({ format: 'jwk' })
    const key = createPublicKey({ key: { kty: 'RSA', n, e: 'AQ' }, format: 'jwk' })
    const path = make('one.pem', key.export({ type: 'spki', format: 'pem' }))
    await expect(readPublicKey(path)).rejects.toMatchObject({
      code: 'KEY',
      message: expect.stringContaining('is not accepted: RSA with the exponent 1 signs nothing'),
    })
  })

  it('is not a certificate, whose chain would have to hold', async () => {
    const path = make('leaf.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    await expect(readPublicKey(path)).rejects.toMatchObject({ hint: /--certificate/ })
  })
})

it('names with control characters stay on their line', async () => {
  const odd = join(folder, 'a\u001b[2Jb')
  mkdirSync(odd)
  await expect(readPublicKey(odd)).rejects.toMatchObject({ message: /a\\x1b\[2Jb/ })
})
