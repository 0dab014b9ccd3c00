import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  makeDirectoryInside,
  readInside,
  removeInside,
  resolveInside,
  writeInside,
} from '../../../src/build/inside.ts'

let folder = ''
let root = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sing-test-'))
  root = join(folder, 'root')
  mkdirSync(join(root, 'usr/bin'), { recursive: true })
  symlinkSync('usr/bin', join(root, 'bin'))
  symlinkSync('/usr', join(root, 'absolute'))
  symlinkSync('../../../../../etc', join(root, 'usr/up'))
  symlinkSync('/tmp/nowhere', join(root, 'dangling'))
  symlinkSync('loop', join(root, 'loop'))
  writeFileSync(join(root, 'file'), 'text')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('paths inside a root file system', () => {
  const cases: [string, string][] = [
    ['/bin/sh', 'usr/bin/sh'],
    ['bin/../x', 'usr/x'],
    ['/absolute/bin', 'usr/bin'],
    ['/usr/up/passwd', 'etc/passwd'],
    ['/../../etc', 'etc'],
    ['/dangling/a', 'tmp/nowhere/a'],
    ['/a//./b/../c', 'a/c'],
    ['/', ''],
    ['', ''],
  ]
  it.each(cases)('%s is %s', (path, place) => {
    expect(resolveInside(root, path)).toBe(place === '' ? root : join(root, place))
  })

  it('end at a link when the link itself is meant', () => {
    expect(resolveInside(root, '/bin', 'keep')).toBe(join(root, 'bin'))
    expect(resolveInside(root, '/bin/x', 'keep')).toBe(join(root, 'usr/bin/x'))
  })

  it('that lead through a loop or a file are refused', () => {
    expect(() => resolveInside(root, '/loop/x')).toThrow('too many symbolic links')
    expect(() => resolveInside(root, '/file/x')).toThrow('/file is not a directory')
    expect(() => resolveInside(root, `/${'x'.repeat(300)}`)).toThrow('cannot reach /xxx')
  })
})

describe('writing inside a root file system', () => {
  it('replaces a link instead of writing where it leads', () => {
    const victim = join(folder, 'victim')
    writeFileSync(victim, 'mine')
    symlinkSync(victim, join(root, 'link'))
    writeInside(root, '/link', 'new', 0o644)
    expect(readFileSync(victim, 'utf8')).toBe('mine')
    expect(lstatSync(join(root, 'link')).isFile()).toBe(true)
  })

  it('makes directories where links of the image lead, inside it', () => {
    writeInside(root, '/dangling/deep/file', 'x', 0o600)
    expect(readFileSync(join(root, 'tmp/nowhere/deep/file'), 'utf8')).toBe('x')
    expect(existsSync('/tmp/nowhere/deep')).toBe(false)
  })

  it('gives the modes that were asked for, whatever the umask', () => {
    const umask = process.umask(0o077)
    try {
      makeDirectoryInside(root, '/new/dir', 0o1777)
      writeInside(root, '/new/script', '', 0o755)
    } finally {
      process.umask(umask)
    }
    expect(statSync(join(root, 'new')).mode & 0o7777).toBe(0o755)
    expect(statSync(join(root, 'new/dir')).mode & 0o7777).toBe(0o1777)
    expect(statSync(join(root, 'new/script')).mode & 0o7777).toBe(0o755)
  })

  it('leaves the mode of a directory that exists', () => {
    chmodSync(join(root, 'usr'), 0o700)
    makeDirectoryInside(root, '/usr', 0o755)
    expect(statSync(join(root, 'usr')).mode & 0o777).toBe(0o700)
  })

  it('refuses a directory where a file is, and a file where a directory is', () => {
    expect(() => makeDirectoryInside(root, '/file')).toThrow('there is a file of that name')
    expect(() => writeInside(root, '/usr', '', 0o644)).toThrow('cannot write /usr in the image')
  })

  it('reads no more than it was told', () => {
    expect(readInside(root, '/file', 4)).toBe('text')
    expect(() => readInside(root, '/file', 3)).toThrow('larger than 3 bytes')
    expect(readInside(root, '/none', 4)).toBeUndefined()
    expect(readInside(root, '/usr', 4)).toBeUndefined()
  })
})

describe('removing inside a root file system', () => {
  it('follows no link out of it', () => {
    const outside = join(root, 'outside')
    const image = join(root, 'image')
    mkdirSync(join(outside, 'cache/apt'), { recursive: true })
    mkdirSync(join(image, 'var'), { recursive: true })
    symlinkSync(join(outside, 'cache'), join(image, 'var/cache'))
    removeInside(image, '/var/cache/apt')
    expect(existsSync(join(outside, 'cache/apt'))).toBe(true)
    removeInside(image, '/var/cache')
    expect(readdirSync(join(image, 'var'))).toEqual([])
    expect(existsSync(join(outside, 'cache/apt'))).toBe(true)
  })
})
