/** `sing cache`: what is kept is shown and removed. */

import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { imageKey, openCache } from '../../src/store/cache.ts'
import { blobPath, imagePath } from '../../src/store/place.ts'
import { type Outcome, program, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const { signal } = new AbortController()
const app = imageKey('oci-tmp', 'app')
const web = imageKey('net', 'web')
const content = randomBytes(1024 * 1024)
const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`

/** A folder for SING_CACHEDIR with two images and a blob, which belong to the user. */
async function filled(): Promise<string> {
  const folder = temporaryFolder()
  const config = { cache: { size: 0, site: '' } }
  using cache = openCache({
    environment: { SING_CACHEDIR: folder },
    config,
    disabled: false,
    report: () => {},
  })
  const make = async (path: string): Promise<void> => writeFileSync(path, content)
  await cache.image(app, make, { signal, name: 'docker://registry.example/app:1' })
  await cache.image(web, make, { signal, name: 'http://example/web.sif' })
  const fetch = async () =>
    (async function* () {
      yield content
    })()
  using blob = cache.blob({ mediaType: '', digest, size: content.length }, fetch, { signal })
  await blob.done
  give(folder)
  return folder
}

const pathIn = (folder: string, name: string): string => join(folder, 'cache/sing', name)

function age(path: string, days: number): void {
  const time = new Date(Date.now() - days * 24 * 60 * 60 * 1000)
  utimesSync(path, time, time)
}

const cache = (folder: string, words: string, env: Record<string, string> = {}): Promise<Outcome> =>
  sing(['cache', ...words.split(' ')], { env: { SING_CACHEDIR: folder, ...env } })

/** Which of app, web and the blob are there. */
const left = (folder: string): boolean[] =>
  [imagePath(app), imagePath(web), blobPath(digest)].map((name) => existsSync(pathIn(folder, name)))

describe('cache list', () => {
  it('gives the summary of the peers', async () => {
    const { status, stdout } = await cache(await filled(), 'list')
    expect(status).toBe(0)
    expect(stdout).toBe(
      'There are 2 container file(s) using 2 MiB and 1 oci blob file(s) using 1 MiB of space\nTotal space used: 3 MiB\n',
    )
  })

  it('shows each entry with --verbose, of the types that were asked for', async () => {
    const folder = await filled()
    const { stdout } = await cache(folder, 'list -v')
    expect(stdout).toMatch(/docker:\/\/registry.example\/app:1 +\d{4}-.* +1 MiB +oci-tmp\n/)
    expect(stdout).toMatch(new RegExp(`${digest.slice(7)} .* 1 MiB +blob\n`))
    const some = await cache(folder, 'list --verbose --type oci,net')
    expect(some.stdout).toContain('http://example/web.sif')
    expect(some.stdout).not.toContain(digest.slice(7))
  })

  it('gives JSON', async () => {
    const folder = await filled()
    const { stdout } = await cache(folder, 'list --json')
    const { directory, entries } = JSON.parse(stdout)
    expect(directory).toBe(pathIn(folder, '').replace(/\/$/, ''))
    expect(entries.map(({ type }: { type: string }) => type)).toEqual(['oci-tmp', 'net', 'blob'])
  })

  it('shows the cache of the site apart', async () => {
    const [site, own] = [await filled(), temporaryFolder()]
    const { stdout } = await cache(own, 'list', { SING_CACHE_SITE: site })
    expect(stdout).toMatch(/^There are 0 container.*\n.*\n\nCache of the site, .*\nThere are 2 container/)
  })

  it('knows what a mistyped type was meant to be', async () => {
    const { status, stderr } = await cache(temporaryFolder(), 'list --type ocitmp')
    expect(status).toBe(1)
    expect(stderr).toContain('Did you mean oci-tmp?')
  })

  it.each([
    [{ SING_CACHEDIR: 'relative' }, 'SING_CACHEDIR=relative: expected an absolute path'],
    [{ SING_CACHE_SIZE: 'much' }, 'SING_CACHE_SIZE=much: expected a size'],
  ])('says what is wrong with %j', async (env, text) => {
    const { status, stderr } = await cache(temporaryFolder(), 'list', env)
    expect(status).toBe(255)
    expect(stderr).toContain(text)
  })
})

describe('cache du', () => {
  it('gives the bytes of each type and the limit', async () => {
    const folder = await filled()
    const { stdout } = await cache(folder, 'du', { SING_CACHE_SIZE: '5G' })
    expect(stdout).toMatch(/1 MiB +oci-tmp +1\n1 MiB +net +1\n1 MiB +blob +1\n3 MiB +\/.* +3\nAt most 5 GiB/)
    const { stdout: json } = await cache(folder, 'du --json', { SING_CACHE_SIZE: '0' })
    expect(JSON.parse(json)).toMatchObject({ limit: null, types: { library: 0 } })
  })
})

describe('cache clean', () => {
  it('removes everything with --force', async () => {
    const folder = await filled()
    expect((await cache(folder, 'clean --force')).status).toBe(0)
    expect(left(folder)).toEqual([false, false, false])
    expect(readdirSync(pathIn(folder, 'oci-tmp'))).toEqual([])
  })

  it('removes nothing that others may have put there', async () => {
    const folder = await filled()
    chmodSync(pathIn(folder, ''), 0o777)
    const { status, stderr } = await cache(folder, 'clean --force')
    expect(status).toBe(255)
    expect(stderr).toContain(
      `nothing is removed: the cache ${join(folder, 'cache/sing')} can be changed by other users`,
    )
    expect(left(folder)).toEqual([true, true, true])
  })

  it.each([
    ['y', 0, false],
    ['n', 255, true],
  ])('takes %s from a pipe for an answer', async (answer, status, isLeft) => {
    const folder = await filled()
    const command = `yes ${answer} | "$0" cache clean`
    const outcome = await run(['sh', '-c', command, program], { env: { SING_CACHEDIR: folder } })
    expect(outcome.status).toBe(status)
    expect(left(folder)).toEqual([isLeft, isLeft, isLeft])
  })

  it('removes nothing when nobody agrees, and nothing with --dry-run', async () => {
    const folder = await filled()
    const { status, stderr } = await cache(folder, 'clean')
    expect(status).toBe(255)
    expect(stderr).toContain('--force')
    expect((await cache(folder, 'clean --dry-run')).stdout).toContain('Would remove 3 entries, 3 MiB')
    expect(left(folder)).toEqual([true, true, true])
  })

  it.each([
    ['n', [true, true, true]],
    ['y', [false, false, false]],
  ])('asks at a terminal; %s is an answer', async (answer, expected) => {
    const folder = await filled()
    const line = `(sleep 1; echo ${answer}) | script -qec "${program} cache clean" /dev/null`
    const { stdout } = await run(['sh', '-c', line], { env: { SING_CACHEDIR: folder } })
    expect(stdout).toContain('Remove 3 entries, 3 MiB from the cache? [y/N]')
    expect(left(folder)).toEqual(expected)
  })

  it.each([
    ['--type blob', [true, true, false]],
    ['--type net,shub', [true, false, true]],
    ['--days 30', [false, true, true]],
    ['--days 30 --type net', [true, true, true]],
    ['--name docker://registry.example/app:1', [false, true, true]],
  ])('with %s removes only that', async (flags, expected) => {
    const folder = await filled()
    age(pathIn(folder, imagePath(app)), 31)
    expect((await cache(folder, `clean --force ${flags}`)).status).toBe(0)
    expect(left(folder)).toEqual(expected)
  })

  it.each([
    ['--name nothing', 255, 'there is no such entry'],
    ['--days -1', 1, 'expected a number of days'],
  ])('refuses %s', async (flags, status, text) => {
    const outcome = await cache(await filled(), `clean --force ${flags}`)
    expect(outcome.status).toBe(status)
    expect(outcome.stderr).toContain(text)
  })

  it('leaves what a process makes', async () => {
    const folder = await filled()
    const path = pathIn(folder, imagePath(app))
    const script = 'flock "$1.lock" "$2" cache clean --force; s=$?; rm -f "$1.lock"; exit $s'
    const { status, stderr } = await run(['sh', '-c', script, 'sh', path, program], {
      env: { SING_CACHEDIR: folder },
    })
    expect(status).toBe(0)
    expect(stderr).toContain('Kept 1 entry, 1 MiB: in use')
    expect(left(folder)).toEqual([true, false, false])
  })

  it('says what stands in its way', async () => {
    const folder = await filled()
    const { status, stderr } = await run(
      [
        'unshare',
        '-Urm',
        'sh',
        '-c',
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" cache clean -f',
        'sh',
        folder,
        program,
      ],
      { env: { SING_CACHEDIR: folder } },
    )
    expect(status).toBe(255)
    expect(stderr).toMatch(/cannot remove anything from .*: read-only file system/)
  })

  it('has nothing to do in a cache that was never used', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'none'))
    expect((await cache(folder, 'clean')).status).toBe(0)
  })
})
