/** What user and site ask of the signatures of images before they are started. */

import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { PrivateKey } from 'openpgp'
import { beforeAll, describe, expect, it } from 'vitest'
import { readSif } from '../../src/sif/read.ts'
import { pause } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { fingerprintOf, makeRing, newKey, signWith } from '../helpers/signing.ts'
import { commandLine, type Outcome, program, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
let [ann, bob, eve]: PrivateKey[] = []
/** By nobody, by ann, by ann and bob, by eve; and by ann before something was changed. */
let [unsigned, byAnn, byBoth, byEve, changed] = ['', '', '', '', '']
/** Keys of ann. */
let ring: string
let home: string

async function signed(name: string, ...keys: (PrivateKey | undefined)[]): Promise<string> {
  const path = join(images.folder, name)
  copyFileSync(images.everything, path)
  for (const key of keys) if (key) await signWith(path, key)
  give(path)
  return path
}

/** Change the first byte of what the first object holds. */
async function spoil(path: string): Promise<void> {
  const [object] = (await readSif(path)).objects
  await using file = await open(path, 'r+')
  await file.write(Buffer.from('X'), 0, 1, object?.offset ?? 0)
}

beforeAll(async () => {
  images = await makeImages()
  ;[ann, bob, eve] = await Promise.all(['ann', 'bob', 'eve'].map(newKey))
  unsigned = images.everything
  byAnn = await signed('ann.sif', ann)
  byBoth = await signed('both.sif', ann, bob)
  byEve = await signed('eve.sif', eve)
  changed = await signed('changed.sif', ann)
  await spoil(changed)
  ring = makeRing(join(images.folder, 'keys'), ann ? [ann] : [])
  home = temporaryFolder()
  mkdirSync(join(home, '.config/sing'), { recursive: true })
  mkdirSync(join(home, 'run'), { mode: 0o700 })
  give(home)
})

const environment = (more: Record<string, string> = {}) => ({
  HOME: home,
  SING_KEYSDIR: ring,
  XDG_RUNTIME_DIR: join(home, 'run'),
  ...more,
})

const exec = (
  image: string,
  flags: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Outcome> =>
  sing(['exec', ...flags, image, 'echo', 'started'], { cwd: home, env: environment(env) })

const started = { status: 0, stdout: 'started\n' }

describe.skipIf(!can('userns', 'fuse', 'overlay'))('exec --verify', () => {
  it('starts what somebody known has signed', async () => {
    expect(await exec(byAnn, ['--verify'])).toEqual({ ...started, stderr: '' })
    expect(await exec(byAnn, [], { SING_VERIFY: '1' })).toMatchObject(started)
  })

  it.each([
    [
      'nobody has signed',
      () => unsigned,
      /^FATAL: {3}cannot start .*everything.sif: group 1 is not signed\n *Whoever made the image signs it/,
    ],
    ['somebody unknown has signed', () => byEve, /the key [0-9A-F]{16} is not known\n.*sing key pull/],
    ['somebody unknown has signed too', () => byBoth, /the key [0-9A-F]{16} is not known/],
    ['was changed since', () => changed, /object 1 was changed after it was signed/],
    [
      'is a directory',
      () => images.sandbox,
      /it is no SIF, and nothing else can be signed\n.*sing build IMAGE\.sif/,
    ],
  ])('does not start what %s', async (_, image, reason) => {
    const { status, stdout, stderr } = await exec(image(), ['--verify'])
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
    expect(stderr).toMatch(reason)
    expect(stderr).toContain('Signatures are asked for by --verify\n')
  })

  it('is asked for by a variable, and says by which', async () => {
    const { stderr } = await exec(changed, [], { SING_VERIFY: '1' })
    expect(stderr).toContain('Signatures are asked for by SING_VERIFY\n')
  })

  it.each(['run', 'shell', 'test'])('is there for %s, too', async (verb) => {
    const { status, stderr } = await sing([verb, '--verify', byEve], { cwd: home, env: environment() })
    expect({ status, stderr }).toEqual({ status: 255, stderr: expect.stringContaining('is not known') })
  })

  it('is there for instances, which others may then enter', async () => {
    const start = (image: string) =>
      sing(['instance', 'start', '--verify', image, 'signed'], { cwd: home, env: environment() })
    expect(await start(byEve)).toMatchObject({ status: 255, stderr: expect.stringContaining('is not known') })
    expect(await start(byAnn)).toMatchObject({ status: 0 })
    try {
      expect(await exec('instance://signed', ['--verify'])).toMatchObject(started)
    } finally {
      await sing(['instance', 'stop', 'signed'], { cwd: home, env: environment() })
    }
  })

  it('reads the image once for many processes, and again when it was changed', async () => {
    const path = await signed('many.sif', ann)
    // A file that was just changed is not noted: a second change could have the same time.
    await pause(2100)
    const session = join(home, 'many')
    mkdirSync(session, { mode: 0o700 })
    give(session)
    const start = () => exec(path, ['--verify'], { XDG_RUNTIME_DIR: session })
    const outcomes = await Promise.all(Array.from({ length: 4 }, start))
    for (const outcome of outcomes) expect(outcome).toMatchObject(started)
    const notes = () => readdirSync(join(session, 'sing')).filter((name) => name.startsWith('verified-'))
    expect(notes()).toHaveLength(1)
    await spoil(path)
    expect(await start()).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('was changed after it was signed'),
    })
  })

  it.skipIf(!can('gocryptfs'))('reads again what a mount of somebody says to be the same', async () => {
    const [folder, place] = [join(home, 'medium'), join(home, 'mounted')]
    for (const path of [folder, place]) {
      mkdirSync(path)
      give(path)
    }
    const mount = async (image: string) => {
      const text = `cp ${image} x.sif && touch -d 2026-01-01 x.sif . && rm -f ../medium.sqfs &&
        mksquashfs . ../medium.sqfs -quiet -no-progress && squashfuse ../medium.sqfs ${place}`
      expect(await run(['sh', '-c', text], { cwd: folder })).toMatchObject({ status: 0 })
    }
    // The container that was just left may need a moment to be gone.
    const unmount = async () => {
      while ((await run(['fusermount3', '-u', place])).status !== 0) await pause(50)
    }
    const exchanged = await signed('exchanged.sif', ann)
    try {
      await mount(exchanged)
      expect(await exec(join(place, 'x.sif'), ['--verify'])).toMatchObject(started)
      await unmount()
      await spoil(exchanged)
      await mount(exchanged)
      expect(await exec(join(place, 'x.sif'), ['--verify'])).toMatchObject({ status: 255 })
    } finally {
      await run(['fusermount3', '-uz', place])
    }
  })

  it('starts nothing else when another image is put in its place all the time', async () => {
    const tree = join(home, 'tree')
    const evil = join(home, 'evil.sif')
    const path = join(home, 'swapped.sif')
    const made = await run(['sh', '-c', `cp -a ${images.sandbox} ${tree} && echo evil > ${tree}/evil`])
    const built = await sing(['build', evil, tree], { cwd: home })
    expect([made.status, built.status]).toEqual([0, 0])
    const swap = `while :; do ln -sfn ${byAnn} ${path}; ln -sfn ${evil} ${path}; done`
    const [file = '', ...rest] = commandLine(['sh', '-c', swap])
    const swapper = spawn(file, rest, { stdio: 'ignore' })
    try {
      while (!existsSync(path)) await pause(20)
      for (let turn = 0; turn < 15; turn += 1) {
        const { status, stdout } = await sing(['exec', '--verify', path, 'ls', '/'], {
          cwd: home,
          env: environment(),
        })
        expect([0, 255]).toContain(status)
        expect(stdout).not.toContain('evil')
      }
    } finally {
      swapper.kill('SIGKILL')
    }
  })

  it('unpacks what it has verified', async () => {
    expect(await exec(byAnn, ['--verify', '--unsquash'])).toMatchObject(started)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('the configuration', () => {
  const site = (text: string): string[] => {
    const path = join(home, 'site.yaml')
    writeFileSync(path, text)
    chmodSync(path, 0o644)
    return ['--config', path]
  }
  const user = (text: string): void => {
    const path = join(home, '.config/sing/config.yaml')
    writeFileSync(path, text)
    chmodSync(path, 0o600)
    give(path)
  }
  const execBy = (config: readonly string[], image: string, ...flags: string[]) =>
    sing([...config, 'exec', ...flags, image, 'echo', 'started'], { cwd: home, env: environment() })

  it('asks for signatures, and can be taken back where it is that of the user', async () => {
    user('verify: always\n')
    const { status, stderr } = await exec(unsigned)
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: expect.stringContaining(
        `Signatures are asked for by verify: always (${home}/.config/sing/config.yaml:1)`,
      ),
    })
    expect(await exec(byAnn)).toMatchObject(started)
    expect(await exec(unsigned, ['--no-verify'])).toMatchObject(started)
    user('')
  })

  it('warns with one line, and starts', async () => {
    user('verify: warn\n')
    expect(await exec(unsigned)).toEqual({
      ...started,
      stderr: `WARNING: ${unsigned} is not verified: group 1 is not signed\n`,
    })
    expect(await exec(byAnn)).toEqual({ ...started, stderr: '' })
    user('')
  })

  it('of the site cannot be taken back', async () => {
    const config = site('verify: always\n')
    user('verify: never\n')
    const { status, stderr } = await execBy(config, unsigned)
    expect({ status, stderr }).toEqual({ status: 255, stderr: expect.stringContaining('site.yaml:1') })
    expect(await execBy(config, byAnn, '--no-verify')).toMatchObject({
      status: 255,
      stderr: expect.stringContaining(
        '--no-verify has no effect: the site verifies the signatures of all images',
      ),
    })
    user('verify: always\n')
    expect(await execBy(config, unsigned, '--no-verify')).toMatchObject({ status: 255 })
    user('')
  })

  it('of a project can ask for more, and not for less', async () => {
    const path = join(home, '.sing.yaml')
    const project = (text: string) => {
      writeFileSync(path, text)
      chmodSync(path, 0o600)
      give(path)
    }
    user('verify: warn\n')
    project('verify: never\n')
    expect((await exec(unsigned)).stderr).toContain('is not verified')
    project('verify: always\n')
    expect(await exec(unsigned)).toMatchObject({ status: 255 })
    project('launch: { no-verify: yes }\n')
    expect((await exec(unsigned)).stderr).toContain('launch.no-verify may be set by the file of the site or')
    project('')
    user('')
  })

  it('names signers by directory; their keys count in the ring of the site alone', async () => {
    const config = site(
      `images:\n  signers:\n    - whitelist ${images.folder} ${ann ? fingerprintOf(ann) : ''}\n`,
    )
    const { status, stderr } = await execBy(config, byAnn)
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: expect.stringContaining('no signature of group 1 holds that is by a known key'),
    })
    expect(stderr).toMatch(
      /site\.yaml asks for signatures by one of [0-9A-F]{40}\n +Keys count that are in the ring of the site/,
    )
    const other = await execBy(config, images.sandbox)
    expect(other).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('nothing else can be signed'),
    })
  })
})

/** Run `sing` where /etc has these files besides its own. */
function withinEtc(files: string, args: readonly string[]): Promise<Outcome> {
  const inner = commandLine([program, ...args]).map((word) => `'${word}'`)
  const script = `mount -t overlay none -o lowerdir=${files}:/etc /etc && exec ${inner.join(' ')}`
  return run(['unshare', '--mount', 'sh', '-c', script], { as: 'self', cwd: home, env: environment() })
}

describe.skipIf(!can('root', 'userns', 'fuse', 'overlay'))('an execution control list', () => {
  let etc: string

  function list(text: string, keys: readonly (PrivateKey | undefined)[] = [ann, bob]): void {
    etc = temporaryFolder()
    const known = keys.filter((key) => key !== undefined)
    makeRing(join(etc, 'apptainer'), known, 'global-pgp-public')
    writeFileSync(join(etc, 'apptainer/ecl.toml'), text)
  }
  const group = (
    mode: string,
    keys: readonly (PrivateKey | undefined)[],
    directory = images.folder,
  ) => `activated = true
[[execgroup]]
  tagname = "g"
  mode = "${mode}"
  dirpath = "${directory}"
  keyfp = [${keys.map((key) => (key ? `"${fingerprintOf(key)}"` : '')).join(', ')}]
`
  const start = (image: string, ...flags: string[]) =>
    withinEtc(etc, ['exec', ...flags, image, 'echo', 'started'])
  const refused = (reason: string) => ({ status: 255, stdout: '', stderr: expect.stringContaining(reason) })

  it('allows what one of its keys has signed', async () => {
    list(group('whitelist', [ann, eve]))
    expect(await start(byAnn)).toMatchObject(started)
    expect(await start(byBoth)).toMatchObject(started)
    expect(await start(unsigned)).toEqual(refused('no signature of group 1 holds'))
    expect(await start(byEve)).toEqual(refused('no signature of group 1 holds'))
    expect(await start(changed)).toEqual(refused('object 1 was changed after it was signed'))
    // --no-verify is about something else.
    expect(await start(unsigned, '--no-verify')).toMatchObject({ status: 255 })
  })

  it('passes over signatures of others', async () => {
    list(group('whitelist', [ann]), [ann])
    expect(await start(byBoth)).toMatchObject(started)
  })

  it('allows what all of its keys have signed', async () => {
    list(group('whitestrict', [ann, bob]))
    expect(await start(byBoth)).toMatchObject(started)
    expect(await start(byAnn)).toEqual(refused(`it is not signed by ${bob ? fingerprintOf(bob) : ''}`))
  })

  it('allows what none of its keys has signed', async () => {
    list(group('blacklist', [bob]))
    expect(await start(byAnn)).toMatchObject(started)
    expect(await start(byBoth)).toEqual(refused(`it is signed by ${bob ? fingerprintOf(bob) : ''}`))
    expect(await start(unsigned)).toEqual(refused('no signature of group 1 holds'))
  })

  it('allows images nowhere else', async () => {
    list(group('whitelist', [ann], '/srv'))
    expect(await start(byAnn)).toEqual(refused(`ecl.toml allows no images in ${images.folder}`))
    list(
      `${group('whitelist', [ann], '/srv')}[[execgroup]]\n  mode = "whitelist"\n  keyfp = ["${ann ? fingerprintOf(ann) : ''}"]\n`,
    )
    expect(await start(byAnn)).toMatchObject(started)
  })

  it('is about SIF files alone', async () => {
    list(group('whitelist', [ann]))
    expect(await start(images.sandbox)).toMatchObject(started)
  })

  it('does nothing while it is not activated', async () => {
    list(group('whitelist', [ann]).replace('true', 'false'))
    expect(await start(unsigned)).toEqual({ ...started, stderr: '' })
  })

  it.each([
    ['activated = true\n[[execgroup', 'cannot read /etc/apptainer/ecl.toml: '],
    ['activated = true\nexecgroups = []', '/etc/apptainer/ecl.toml: unknown key execgroups'],
  ])('that cannot be understood (%j) lets nothing start', async (text, reason) => {
    list(text)
    const outcome = await start(byAnn)
    expect(outcome).toEqual(refused(reason))
    expect(outcome.stderr).toContain('Nothing is started before the administrator has mended the file')
  })
})
