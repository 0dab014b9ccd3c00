/** Which files make the configuration of a call, and which of them are believed. */

import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { allLaunchFlags } from '../../../src/cli/options.ts'
import { findProjectFile, userFile } from '../../../src/config/files.ts'
import { loadSettings, type Settings } from '../../../src/config/load.ts'

const top = realpathSync(mkdtempSync(join(tmpdir(), 'sing-config-')))
const before = process.cwd()
let folder = ''
let count = 0

beforeEach(() => {
  count += 1
  folder = join(top, String(count))
  mkdirSync(join(folder, 'work'), { recursive: true })
  process.chdir(join(folder, 'work'))
})
afterAll(() => {
  process.chdir(before)
  rmSync(top, { recursive: true })
})

function write(name: string, text: string, mode = 0o644): string {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

/** An empty file of the site, so that the machine's own one has no say. */
const load = (site = write('site.conf', '')): Promise<Settings> =>
  loadSettings({ configFile: site, environment: { HOME: folder }, flags: allLaunchFlags })

describe('the file of the site', () => {
  it('is read when it is named, of either kind', async () => {
    const conf = await load(write('site.conf', 'mount home = no\nalways use nv = yes\n'))
    expect(conf.config.mount.home).toBe('no')
    expect(conf.launch).toMatchObject([{ flag: 'nv', value: true, origin: { line: 2, scope: 'site' } }])
    const yaml = await load(write('site.yaml', 'mount: { home: no }\nimages: { sif: no }\n'))
    expect(yaml.config).toMatchObject({ mount: { home: 'no' }, images: { sif: false } })
  })

  it('that is named must be there', async () => {
    await expect(load(join(folder, 'none.conf'))).rejects.toThrow('none.conf: no such file or directory')
    await expect(load(folder)).rejects.toThrow('is a directory')
  })

  it('may not be endless', async () => {
    await expect(load('/dev/zero')).rejects.toThrow('larger than')
  })

  it('tells of directives that nobody knows, without a warning', async () => {
    const { files, warnings } = await load(write('site.conf', 'mount porc = no\nallow setuid = yes\n'))
    expect(files[0]?.notes).toEqual(['line 1: nobody knows the directive mount porc'])
    expect(warnings).toEqual([])
  })
})

describe('the file of the user', () => {
  it.each([
    [{ HOME: '/home/u' }, '/home/u/.config/sing/config.yaml'],
    [{ HOME: '/home/u', XDG_CONFIG_HOME: '/c' }, '/c/sing/config.yaml'],
    [{ HOME: '/home/u', XDG_CONFIG_HOME: 'c' }, '/home/u/.config/sing/config.yaml'],
    [{ HOME: 'u' }, undefined],
    [{}, undefined],
  ])('of %j is %s', (environment, path) => {
    expect(userFile(environment as Record<string, string>)).toBe(path)
  })

  it('wins over the site, and the project over both', async () => {
    write('.config/sing/config.yaml', 'mount: { home: no, tmp: no }\n')
    write('work/.sing.yaml', 'mount: { tmp: yes }\n')
    const { config, origins } = await load(write('site.conf', 'mount home = yes\nmount proc = no\n'))
    expect(config.mount).toMatchObject({ proc: 'no', home: 'no', tmp: 'yes' })
    expect(origins.get('mount.tmp')).toEqual({
      file: join(folder, 'work/.sing.yaml'),
      line: 1,
      scope: 'project',
    })
  })

  it('is followed through a link, and ignored when others can write to it', async () => {
    const real = write('dot/sing.yaml', 'passwd: no\n')
    mkdirSync(join(folder, '.config/sing'), { recursive: true })
    symlinkSync(real, join(folder, '.config/sing/config.yaml'))
    expect((await load()).config.passwd).toBe(false)
    chmodSync(real, 0o646)
    const { config, warnings } = await load()
    expect(config.passwd).toBe(true)
    expect(warnings[0]).toContain('config.yaml is ignored: others may write to it (mode 646)')
  })
})

describe('the file of a project', () => {
  it('is the nearest one, as far as home or the root of the repository', () => {
    const file = write('.sing.yaml', '')
    mkdirSync(join(folder, 'work/a/b/.git'), { recursive: true })
    mkdirSync(join(folder, 'work/a/b/c'))
    const at = (name: string) => findProjectFile(join(folder, name), undefined)
    expect(at('work/a')).toBe(file)
    expect(at('.')).toBe(file)
    expect(at('work/a/b/c')).toBeUndefined()
    expect(findProjectFile(join(folder, 'work/a'), join(folder, 'work'))).toBeUndefined()
    expect(findProjectFile(join(folder, 'work'), folder)).toBe(file)
    const nearer = write('work/a/b/.sing.yaml', '')
    expect(at('work/a/b/c')).toBe(nearer)
  })

  it.each([
    [0o664, 'others may write to it (mode 664)'],
    [0o646, 'others may write to it (mode 646)'],
  ])('of mode %o is ignored', async (mode, reason) => {
    const path = write('work/.sing.yaml', 'passwd: no\n', mode)
    const { config, warnings } = await load()
    expect(config.passwd).toBe(true)
    expect(warnings).toEqual([expect.stringContaining(`${path} is ignored: ${reason}`)])
  })

  it('is ignored when it is a link or no file', async () => {
    symlinkSync(write('other.yaml', 'passwd: no\n'), join(folder, 'work/.sing.yaml'))
    expect((await load()).warnings[0]).toContain('it is a symbolic link')
    rmSync(join(folder, 'work/.sing.yaml'))
    mkdirSync(join(folder, 'work/.sing.yaml'))
    expect((await load()).warnings[0]).toContain('it is no file')
  })

  it('that cannot be understood is an error', async () => {
    const path = write('work/.sing.yaml', '\nmuont: {}\n')
    await expect(load()).rejects.toThrow(`${path}:2: unknown key muont`)
  })
})

it('the built-in configuration asks for no file', async () => {
  write('work/.sing.yaml', 'muont: {}\n')
  const { config, files } = await loadSettings({
    configFile: undefined,
    builtIn: true,
    environment: {},
    flags: allLaunchFlags,
  })
  expect(config.mount.home).toBe('yes')
  expect(files).toEqual([])
})

describe('the verification of signatures', () => {
  it.each([
    ['never', 'always', 'always'],
    ['warn', 'never', 'never'],
    ['always', 'never', 'always'],
    ['always', 'warn', 'always'],
  ])('that the site has as %s and the user as %s is %s', async (site, user, result) => {
    write('.config/sing/config.yaml', `verify: ${user}\n`)
    const { config, origins } = await load(write('site.yaml', `verify: ${site}\n`))
    expect(config.verify).toBe(result)
    expect(origins.get('verify')?.scope).toBe(site === 'always' ? 'site' : 'user')
  })

  it.each([
    ['never', 'always', 'always'],
    ['warn', 'never', 'warn'],
    ['warn', 'always', 'always'],
    ['always', 'never', 'always'],
  ])('that the user has as %s and a project as %s is %s', async (user, project, result) => {
    write('.config/sing/config.yaml', `verify: ${user}\n`)
    write('work/.sing.yaml', `verify: ${project}\n`)
    expect((await load()).config.verify).toBe(result)
  })

  it('has rules of the site alone', async () => {
    const rule = `whitelist /srv ${'AB'.repeat(20)}`
    const text = `images:\n  signers: [${rule}]\n`
    const { config } = await load(write('site.yaml', text))
    expect(config.images.signers).toMatchObject([{ mode: 'whitelist', directory: '/srv', below: true }])
    write('.config/sing/config.yaml', text)
    await expect(load()).rejects.toThrow("images.signers may be set by the site's file alone")
    await expect(
      load(write('bad.yaml', `images:\n  signers:\n    - ${rule}\n    - whitelist AB\n`)),
    ).rejects.toThrow(
      /bad.yaml:4: images.signers: expected rules such as whitelist \/srv\/images FINGERPRINT .*, got "whitelist AB"$/,
    )
  })
})
