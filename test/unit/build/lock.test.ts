import { describe, expect, it } from 'vitest'
import { differences, type Lock } from '../../../src/build/lock/diff.ts'
import { lockPath, lockText, parseLock } from '../../../src/build/lock/document.ts'
import { lockedPackages } from '../../../src/build/lock/packages.ts'
import { differs, Resolved } from '../../../src/build/lock/resolved.ts'
import type { Package } from '../../../src/sbom/types.ts'

const empty: Lock = { architecture: 'amd64', bases: {}, files: {}, packages: {} }
const some: Lock = {
  architecture: 'amd64',
  bases: { 'docker://debian:12': 'sha256:aa', 'scratch.sif': 'sha256:bb' },
  files: { '/etc/a b': 'sha256:cc' },
  packages: { dpkg: { bash: '5.2-1', 'libc6:i386': '2.36' }, 'python /opt/lib': { numpy: '1.0' } },
}

describe('the differences of two locks', () => {
  it.each<[string, Lock, Lock, string[]]>([
    ['none', some, structuredClone(some), []],
    ['of nothing and nothing', empty, empty, []],
    [
      'another digest',
      some,
      { ...some, bases: { ...some.bases, 'scratch.sif': 'sha256:dd' } },
      ['changed: base scratch.sif sha256:bb -> sha256:dd'],
    ],
    [
      'another file',
      some,
      { ...some, files: { '/etc/x': 'sha256:cc' } },
      ['removed: file /etc/a b sha256:cc', 'added: file /etc/x sha256:cc'],
    ],
    [
      'another version',
      some,
      { ...some, packages: { ...some.packages, dpkg: { bash: '5.3', 'libc6:i386': '2.36' } } },
      ['changed: dpkg bash 5.2-1 -> 5.3'],
    ],
    ['a package more', empty, { ...empty, packages: { apk: { musl: '1.2' } } }, ['added: apk musl 1.2']],
    [
      'a kind less',
      some,
      { ...some, packages: { dpkg: some.packages.dpkg ?? {} } },
      ['removed: python /opt/lib numpy 1.0'],
    ],
    ['another machine', some, { ...some, architecture: 'arm64' }, ['changed: architecture amd64 -> arm64']],
    [
      'all of it, in order',
      empty,
      some,
      [
        'added: base docker://debian:12 sha256:aa',
        'added: base scratch.sif sha256:bb',
        'added: dpkg bash 5.2-1',
        'added: dpkg libc6:i386 2.36',
        'added: file /etc/a b sha256:cc',
        'added: python /opt/lib numpy 1.0',
      ],
    ],
  ])('%s', (_, locked, found, lines) => {
    expect(differences(locked, found)).toEqual(lines)
  })

  it('are counted, and shown without control characters', () => {
    const { message, hint } = differs(['added: a', 'added: \u001b[31m'])
    expect(message).toBe('--locked: what would be built differs from the lock in 2 things')
    expect(hint).not.toContain('\u001b')
    expect(differs(['added: a']).message).toContain('in one thing')
  })
})

describe('a lock file', () => {
  it.each([
    ['/x/app.sif', '/x/app.lock.yaml'],
    ['/x/app', '/x/app.lock.yaml'],
    ['/x/sandbox/', '/x/sandbox.lock.yaml'],
    ['/x/a.b.img', '/x/a.b.lock.yaml'],
  ])('of %s is %s', (target, path) => {
    expect(lockPath(target)).toBe(path)
  })

  it('says the same when it is read again, in one order', async () => {
    const text = await lockText(some)
    expect(await parseLock(text, 'x')).toEqual(some)
    const turned = { ...some, bases: Object.fromEntries(Object.entries(some.bases).reverse()) }
    expect(await lockText(turned)).toBe(text)
    expect(text).toMatch(/^# What `sing build --lock` resolved\. .*\nversion: 1\narchitecture: amd64\n/)
  })

  it('keeps versions that look like numbers or dates, and names that look like anything', async () => {
    const lock = {
      ...empty,
      packages: { dpkg: { a: '1.10', b: '2026-01-01', yes: 'no', '': '~', __proto__x: '1e3' } },
    }
    expect(await parseLock(await lockText(lock), 'x')).toEqual(lock)
  })

  it.each([
    ['~', 'it says nothing'],
    ['a: [', 'it is no YAML'],
    ['- 1', 'it says nothing'],
    ['version: 2', 'its version is 2, expected 1'],
    ['version: 1', 'it names no architecture'],
    ['version: 1\narchitecture: amd64\nbases: [a]', '"bases" are no names with digests'],
    ['version: 1\narchitecture: amd64\nfiles: {a: 1}', '"files" are no names with digests'],
    ['version: 1\narchitecture: amd64\npackages: {dpkg: {a: [1]}}', '"packages" are no names with versions'],
  ])('is not %j', async (text, reason) => {
    await expect(parseLock(text, 'x.lock.yaml')).rejects.toThrow(`x.lock.yaml is no lock file: ${reason}`)
  })
})

describe('what is resolved', () => {
  it('is noted only where somebody wants to know', async () => {
    const resolved = new Resolved()
    await resolved.note('a', () => Promise.reject(new Error('computed')))
    expect(resolved.bases).toEqual({})
  })

  it('is compared as soon as it is known', async () => {
    const resolved = new Resolved({ locked: { a: '1', b: '2' } })
    await resolved.note('a', () => '1')
    await expect(resolved.note('b', () => '3')).rejects.toMatchObject({
      hint: expect.stringContaining('changed: base b 2 -> 3'),
    })
    await expect(resolved.note('c', () => '3')).rejects.toMatchObject({
      hint: expect.stringContaining('added: base c 3'),
    })
  })
})

describe('packages', () => {
  const one = (more: Partial<Package>): Package => ({
    ecosystem: 'deb',
    name: 'a',
    version: '1',
    place: '/x',
    ...more,
  })

  it('come by kind, and by place where there are several', () => {
    const python = '/opt/lib/site-packages'
    expect(
      lockedPackages([
        one({ name: 'bash', version: '5.2-1', architecture: 'amd64' }),
        one({ name: 'libc6', architecture: 'amd64' }),
        one({ name: 'libc6', architecture: 'i386', version: '2' }),
        one({ ecosystem: 'apk', name: 'musl' }),
        one({ ecosystem: 'alpm', name: 'base' }),
        one({ ecosystem: 'pypi', name: 'Foo_Bar.baz', place: `${python}/Foo-1.dist-info/METADATA` }),
        one({ ecosystem: 'pypi', name: 'old', place: `${python}/old.egg-info/PKG-INFO` }),
        one({ ecosystem: 'pypi', name: 'older', place: `${python}/older.egg-info` }),
        one({
          ecosystem: 'conda',
          name: 'numpy',
          qualifiers: { build: 'py_0' },
          place: '/opt/conda/conda-meta/n.json',
        }),
        one({ ecosystem: 'conda', name: 'zlib', place: '/conda-meta/z.json' }),
        one({ ecosystem: 'cran', name: 'ggplot2', place: '/usr/lib/R/library/ggplot2/DESCRIPTION' }),
        one({ ecosystem: 'rpm', name: 'kernel', version: '6.2-1', architecture: 'x86_64' }),
        one({
          ecosystem: 'rpm',
          name: 'kernel',
          version: '6.1-1',
          architecture: 'x86_64',
          qualifiers: { epoch: '2' },
        }),
        one({ ecosystem: 'npm', name: 'left-out' }),
      ]),
    ).toEqual({
      dpkg: { bash: '5.2-1', 'libc6:amd64': '1', 'libc6:i386': '2' },
      apk: { musl: '1' },
      pacman: { base: '1' },
      'python /opt/lib/site-packages': { 'foo-bar-baz': '1', old: '1', older: '1' },
      'conda /opt/conda': { numpy: '1-py_0' },
      'conda /': { zlib: '1' },
      'R /usr/lib/R/library': { ggplot2: '1' },
      rpm: { kernel: '2:6.1-1.x86_64 6.2-1.x86_64' },
    })
  })
})
