/** Bases that have to be signed, and images that are fetched: what signatures are asked for, and what is said of them. */

import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PrivateKey } from 'openpgp'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSif } from '../../src/sif/read.ts'
import { type BuildFolder, base, buildFolder, leftBy } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { encryptSif } from '../helpers/encrypted-sif.ts'
import { serveFiles } from '../helpers/files-server.ts'
import { fingerprintOf, makeRing, newKey, signWith } from '../helpers/signing.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const images = new Map<string, string>()
const keys = new Map<string, PrivateKey>()
let folder: string
let ring: string

const print = (name: string): string => {
  const key = keys.get(name)
  return key ? fingerprintOf(key) : ''
}
const image = (name: string): string => images.get(name) ?? ''

beforeAll(async () => {
  for (const name of ['ann', 'bob', 'eve']) keys.set(name, await newKey(name))
  folder = temporaryFolder()
  for (const [name, signers] of Object.entries({
    plain: [],
    ann: ['ann'],
    both: ['ann', 'bob'],
    annAndEve: ['ann', 'eve'],
  })) {
    const path = join(folder, `${name}.sif`)
    copyFileSync(base, path)
    for (const signer of signers) await signWith(path, keys.get(signer) as PrivateKey)
    give(path)
    images.set(name, path)
  }
  ring = makeRing(
    join(folder, 'keys'),
    ['ann', 'bob'].map((name) => keys.get(name) as PrivateKey),
  )
})

/** Build on an image that all of these must have signed, or a text as it is. */
function build(place: BuildFolder, from: string, by: readonly string[], agent = 'localimage') {
  const words = by.map((name) => print(name) || name).join(', ')
  place.write('x.def', `Bootstrap: ${agent}\nFrom: ${from}\nFingerprints: ${words}\n`)
  const env = { ...place.env, HOME: place.path, SING_KEYSDIR: ring }
  return sing(['build', 'x.sif', 'x.def'], { cwd: place.path, env })
}

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a base', () => {
  it.each([
    ['by one', 'ann', ['ann']],
    ['by one of several who signed it', 'both', ['bob']],
    ['by all', 'both', ['ann', 'bob']],
    ['by one, beside somebody unknown', 'annAndEve', ['ann']],
    ['by nobody', 'plain', []],
  ])('that has to be signed %s is built on', async (_, name, by) => {
    const place = buildFolder()
    expect(await build(place, image(name), by)).toMatchObject({ status: 0 })
    expect(existsSync(join(place.path, 'x.sif'))).toBe(true)
  })

  it.each([
    ['somebody else', 'ann', ['bob'], () => `it is not signed by ${print('bob')}`],
    ['one more', 'ann', ['ann', 'bob'], () => `it is not signed by ${print('bob')}`],
    ['somebody whose key is unknown', 'annAndEve', ['eve'], () => `it is not signed by ${print('eve')}`],
    ['anybody', 'plain', ['ann'], () => `plain.sif: it is not signed\n`],
    [
      'what is no fingerprint',
      'ann',
      ['AB'],
      () => 'x.def:3: Fingerprints: expected 40 hexadecimal digits, got "AB"',
    ],
  ])('that has to be signed by %s is not built on', async (_, name, by, reason) => {
    const place = buildFolder()
    const { status, stderr } = await build(place, image(name), by)
    expect({ status, stderr }).toEqual({ status: 255, stderr: expect.stringContaining(reason()) })
    expect(await leftBy(place)).toEqual([])
  })

  it('that cannot be signed is not built on', async () => {
    const place = buildFolder()
    const { status, stderr } = await build(place, '/usr', ['ann'])
    expect(status).toBe(255)
    expect(stderr).toContain('cannot use /usr: it is no SIF, and nothing else can be signed')
  })

  it('that nobody has to have signed is told of when its signatures do not hold', async () => {
    const place = buildFolder()
    const bytes = readFileSync(image('ann'))
    const { offset = 0 } = (await readSif(image('ann'))).objects[0] ?? {}
    bytes[offset] = 0x58
    writeFileSync(join(place.path, 'changed.sif'), bytes)
    give(place.path)
    const env = { ...place.env, HOME: place.path, SING_KEYSDIR: ring }
    const said = async (from: string) => {
      const { status, stderr } = await sing(['build', '-F', 'x.sif', from], { cwd: place.path, env })
      return [status, stderr.match(/^WARNING: .*is not verified.*$/m)?.[0]]
    }
    expect(await said('changed.sif')).toEqual([
      0,
      `WARNING: ${place.path}/changed.sif is not verified: object 1 was changed after it was signed`,
    ])
    expect(await said(image('annAndEve'))).toEqual([0, expect.stringMatching(/the key \w+ is not known$/)])
    expect(await said(image('both'))).toEqual([0, undefined])
    expect(await said(image('plain'))).toEqual([0, undefined])
  })

  it('from the web has to be signed, too', async () => {
    await using server = await serveFiles(folder)
    const from = (name: string) => `${server.address.replace('http://', '')}/${name}.sif`
    expect(await build(buildFolder(), from('ann'), ['ann'], 'http')).toMatchObject({ status: 0 })
    const { status, stderr } = await build(buildFolder(), from('plain'), ['ann'], 'http')
    expect({ status, stderr }).toEqual({ status: 255, stderr: expect.stringContaining('it is not signed\n') })
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('exec --verify, further', () => {
  it('starts a signed file of the web, for several processes at the same time', async () => {
    await using server = await serveFiles(folder)
    const place = buildFolder()
    const env = { ...place.env, HOME: place.path, SING_KEYSDIR: ring }
    const exec = (name: string) =>
      sing(['exec', '--verify', `${server.address}/${name}.sif`, 'echo', 'started'], { cwd: place.path, env })
    const outcomes = await Promise.all([exec('ann'), exec('ann'), exec('ann')])
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 0, stdout: 'started\n' })
    expect(await exec('plain')).toMatchObject({
      status: 255,
      stderr: expect.stringMatching(
        /^FATAL: {3}cannot start plain.sif: group 1 is not signed\n *Fetch it as a file, look/,
      ),
    })
  })

  it('starts an encrypted image that is signed as it lies in its file', async () => {
    const place = buildFolder()
    const path = join(place.path, 'encrypted.sif')
    await encryptSif(base, path, { passphrase: 'open sesame' })
    await signWith(path, keys.get('ann') as PrivateKey)
    give(path)
    const env = {
      ...place.env,
      HOME: place.path,
      SING_KEYSDIR: ring,
      SINGULARITY_ENCRYPTION_PASSPHRASE: 'open sesame',
    }
    const exec = () => sing(['exec', '--verify', path, 'echo', 'started'], { cwd: place.path, env })
    expect(await exec()).toMatchObject({ status: 0, stdout: 'started\n' })
    expect(await sing(['sif', 'del', '1', path], { cwd: place.path, env })).toMatchObject({ status: 0 })
    expect(await exec()).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('was signed, and is not there'),
    })
  })

  it.skipIf(!can('ext3'))('is told when a container would change what is signed', async () => {
    const place = buildFolder()
    const path = join(place.path, 'overlay.sif')
    copyFileSync(base, path)
    give(path)
    const env = { ...place.env, HOME: place.path, SING_KEYSDIR: ring }
    expect(await sing(['overlay', 'create', '--sparse', path], { cwd: place.path, env })).toMatchObject({
      status: 0,
    })
    await signWith(path, keys.get('ann') as PrivateKey)
    give(path)
    const write = (...flags: string[]) =>
      sing(['exec', '--writable', ...flags, path, 'touch', '/new'], { cwd: place.path, env })
    const warning = 'does not hold any more: the overlay is signed with the rest, and --writable changes it'
    expect(await write('--verify')).toMatchObject({ status: 0, stderr: expect.stringContaining(warning) })
    expect(await write('--verify')).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('was changed after it was signed'),
    })
    const again = await sing(['overlay', 'create', path], { cwd: place.path, env })
    expect(again).toMatchObject({ status: 255, stderr: expect.stringContaining('it is signed') })
  })
})

describe('sing pull', () => {
  it('says that signatures do not hold where the configuration asks for them, unless -U is given', async () => {
    await using server = await serveFiles(folder)
    const place = buildFolder()
    const site = place.write('site.yaml', 'verify: always\n')
    const env = { ...place.env, HOME: place.path, SING_KEYSDIR: ring }
    const pull = (name: string, ...flags: string[]) =>
      sing(['--quiet', '--config', site, 'pull', '--force', ...flags, `${server.address}/${name}.sif`], {
        cwd: place.path,
        env,
      })
    const { status, stderr } = await pull('plain')
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: expect.stringMatching(/^WARNING: .*plain.sif is not verified: group 1 is not signed\n$/),
    })
    expect(await pull('plain', '-U')).toMatchObject({ status: 0, stderr: '' })
    expect(await pull('plain', '--allow-unauthenticated')).toMatchObject({ status: 0, stderr: '' })
    expect(await pull('ann')).toMatchObject({ status: 0, stderr: '' })
    writeFileSync(site, '')
    expect(await pull('plain')).toMatchObject({ status: 0, stderr: '' })
  })
})
