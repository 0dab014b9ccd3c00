/** Passphrases and private keys are where they belong and nowhere else, while they are used and afterwards. */

import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { base } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { give } from '../helpers/temp.ts'
import { filesWith, hasOne, type WatchOptions, watchSecrets } from '../helpers/watch-secrets.ts'
import { keyFile } from './keys.ts'
import { newSigner, pemFile } from './signing.ts'

/** What can be recognized of the passphrase, in any of the forms that programs write. */
const formsOf = (passphrase: string): string[] => [
  passphrase,
  Buffer.from(passphrase).toString('base64').replace(/=+$/, ''),
  Buffer.from(passphrase).toString('hex'),
]

/** Lines of a key in PEM or armor. */
const linesOf = (text: string): string[] =>
  text.split('\n').filter((line) => /^[A-Za-z0-9+/]{60,}$/.test(line))

const fresh = 'a very secret phrase 4711'

async function workplace(...keys: readonly string[]) {
  const signer = await newSigner(...keys)
  const temporary = join(signer.home, 'tmp')
  mkdirSync(temporary)
  give(temporary)
  const env = { HOME: signer.home, TMPDIR: temporary, SING_CACHEDIR: join(signer.home, 'cache') }
  const watch = (args: readonly string[], options: Pick<WatchOptions, 'secrets' | 'answers' | 'env'>) =>
    watchSecrets(['--debug', ...args], { ...options, env: { ...env, ...options.env }, cwd: signer.home })
  return { ...signer, watch }
}

describe('no secret is to be seen', () => {
  it('while an image is signed with a key of the ring', async () => {
    const { watch, image, home, write } = await workplace()
    // A key that was read from a file is not left in one by what comes next.
    const secrets = formsOf('singpass')
    write(
      '.local/share/sing/keys/pgp-secret',
      readFileSync(join(import.meta.dirname, '../../fixtures/keys/ring/pgp-secret')),
    )
    const found = await watch(['sign', '-k', '0', image()], { secrets, answers: ['singpass'] })
    expect(found).toMatchObject({ status: 0, seen: [], wasGuarded: true })
    expect(hasOne(found.output, secrets)).toBe(false)
    expect(filesWith(home, secrets)).toEqual([])
  })

  it('while an image is signed with a key of a PEM file', async () => {
    const { watch, image, home, pem } = await workplace()
    const secrets = [
      ...formsOf('fortune'),
      ...linesOf(readFileSync(pemFile('rsa-private.pkcs8.pem'), 'utf8')),
    ]
    const key = pem('rsa-protected.pkcs8.pem')
    const found = await watch(['sign', '--key', key, image()], { secrets, answers: ['fortune'] })
    expect(found).toMatchObject({ status: 0, seen: [], wasGuarded: true })
    expect(hasOne(found.output, secrets)).toBe(false)
    expect(filesWith(home, secrets)).toEqual([])
  })

  it('while a pair of keys is made', async () => {
    const { watch, home, keys } = await workplace()
    const secrets = formsOf(fresh)
    const args = ['key', 'newpair', '--name', 'A', '--email', 'a@example.org', '--comment', '', '-b', '2048']
    const found = await watch(args, { secrets, answers: [fresh, fresh] })
    expect(found).toMatchObject({ status: 0, seen: [], wasGuarded: true })
    expect(hasOne(found.output, secrets)).toBe(false)
    expect(filesWith(home, secrets)).toEqual([])
    expect(statSync(join(keys, 'pgp-secret')).mode & 0o077).toBe(0)
  })

  it('while keys are imported and get another passphrase', async () => {
    const { watch, home, keys } = await workplace()
    const secrets = [...formsOf(fresh), ...formsOf('singpass')]
    const found = await watch(['key', 'import', '--new-password', keyFile('pgp-private.asc')], {
      secrets,
      answers: ['singpass', fresh, fresh],
    })
    expect(found).toMatchObject({ status: 0, seen: [], wasGuarded: true })
    expect(hasOne(found.output, secrets)).toBe(false)
    expect(filesWith(home, secrets)).toEqual([])
    expect(statSync(join(keys, 'pgp-secret')).mode & 0o077).toBe(0)
  })

  it.skipIf(!can('userns', 'fuse'))('while an encrypted image is built and run', async () => {
    const { watch, home } = await workplace()
    const secrets = formsOf(fresh)
    const env = { SING_ENCRYPTION_PASSPHRASE: fresh }
    const built = await watch(['build', '--encrypt', 'a.sif', base], { secrets, env })
    expect(built).toMatchObject({ status: 0, seen: [] })
    expect(hasOne(built.output, secrets)).toBe(false)
    const ran = await watch(['exec', 'a.sif', 'sh', '-c', 'env; cat /proc/self/environ'], { secrets, env })
    expect(ran).toMatchObject({ status: 0, seen: [] })
    expect(hasOne(ran.output, secrets)).toBe(false)
    expect(filesWith(home, secrets)).toEqual([])
  })
})

it.skipIf(!can('userns', 'fuse'))('what nobody can hand over is refused', async () => {
  const { sing } = await newSigner()
  const env = { SING_ENCRYPTION_PEM_DATA: 'x'.repeat(70_000) }
  expect(await sing(['build', '--encrypt', 'a.sif', base], { env })).toMatchObject({
    status: 255,
    stderr: expect.stringContaining('SING_ENCRYPTION_PEM_DATA: more than 65536 bytes'),
  })
})

it('what watches finds a secret that is to be seen', async () => {
  const { watch, write } = await workplace()
  write('left', fresh)
  const found = await watch(['key', 'newpair', '-N', 'A', '-P', fresh, '-b', '2048'], { secrets: [fresh] })
  expect(found.seen[0]).toMatch(/^\/proc\/\d+\/cmdline/)
  expect(filesWith(write('x', '').replace(/\/x$/, ''), [fresh])).toEqual(['left'])
})
