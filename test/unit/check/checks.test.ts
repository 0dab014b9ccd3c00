/** Each check, on images that exist only as tables. */

import { describe, expect, it } from 'vitest'
import { allChecks } from '../../../src/check/checks/index.ts'
import {
  chosenChecks,
  countsOf,
  examine,
  isFailed,
  parseLevel,
  parseTags,
} from '../../../src/check/report.ts'
import { tags } from '../../../src/check/types.ts'
import { elfWith } from '../../helpers/elf.ts'
import { factsOf, type Made, shortly } from './facts.ts'

type Files = Readonly<Record<string, string | Buffer | Made>>

const find = (name: string, files: Files, architecture?: string) =>
  allChecks.find((check) => check.name === name)?.find(factsOf(files, architecture)) ?? []

const big = { text: 'x', size: 5 * 1024 * 1024 }
const program = (words: Parameters<typeof elfWith>[0]): Made => ({ text: elfWith(words), mode: 0o755 })
const shell = program({})
const loader = '/lib64/ld-linux-x86-64.so.2'
const key = `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(64)}\n-----END PRIVATE KEY-----\n`

const cases: readonly (readonly [check: string, what: string, files: Files, found: readonly string[]])[] = [
  [
    'apt-lists',
    'lists that take room',
    { '/var/lib/apt/lists/a_Packages': big },
    ['warning /var/lib/apt/lists'],
  ],
  ['apt-lists', 'an empty lock, which apt wants', { '/var/lib/apt/lists/lock': '' }, []],
  ['apt-archives', 'packages', { '/var/cache/apt/archives/a.deb': big }, ['warning /var/cache/apt']],
  [
    'dnf-cache',
    'all of its places',
    { '/var/cache/dnf/a': big, '/var/cache/yum/a': 'x' },
    ['warning /var/cache/dnf', 'note /var/cache/yum'],
  ],
  ['apk-cache', 'an index', { '/var/cache/apk/APKINDEX.tar.gz': 'x' }, ['note /var/cache/apk']],
  ['zypper-cache', 'a package', { '/var/cache/zypp/packages/a': big }, ['warning /var/cache/zypp']],
  ['pacman-cache', 'a package', { '/var/cache/pacman/pkg/a': big }, ['warning /var/cache/pacman/pkg']],
  [
    'pip-cache',
    'of every user',
    { '/root/.cache/pip/a': big, '/home/me/.cache/pip/a': 'x' },
    ['warning /root/.cache/pip', 'note /home/me/.cache/pip'],
  ],
  ['npm-cache', 'its content', { '/root/.npm/_cacache/a': big }, ['warning /root/.npm/_cacache']],
  [
    'build-caches',
    'of cargo and go',
    { '/root/.cargo/registry/a': big, '/root/.cache/go-build/a': big },
    ['warning /root/.cargo/registry', 'warning /root/.cache/go-build'],
  ],
  [
    'conda-packages',
    'beside environments alone',
    { '/opt/conda/conda-meta/history': '', '/opt/conda/pkgs/a.tar': big, '/opt/other/pkgs/a': big },
    ['warning /opt/conda/pkgs'],
  ],
  [
    'conda-packages',
    'files that are linked from elsewhere take no room',
    {
      '/opt/conda/conda-meta/history': '',
      '/opt/conda/pkgs/a': { ...big, inode: 900, links: 2 },
      '/opt/conda/lib/a': { ...big, inode: 900, links: 2 },
    },
    [],
  ],
  [
    'history',
    'of shells and others',
    { '/root/.bash_history': 'x', '/home/me/.python_history': 'x', '/root/.profile': 'x' },
    ['note /root/.bash_history', 'note /home/me/.python_history'],
  ],
  [
    'temporary-files',
    'each name',
    { '/tmp/a/b': big, '/var/tmp/c': 'x' },
    ['warning /tmp/a', 'note /var/tmp/c'],
  ],
  ['temporary-files', 'empty directories are none', { '/tmp/.X11-unix': { directory: true } }, []],
  ['logs', 'what was written', { '/var/log/dpkg.log': 'x', '/var/log/btmp': '' }, ['note /var/log']],
  [
    'setuid',
    'programs',
    {
      '/bin/su': { mode: 0o4755 },
      '/bin/wall': { mode: 0o2755 },
      '/data': { mode: 0o4644 },
      '/d': { directory: true, mode: 0o2775 },
    },
    ['note /bin/su', 'note /bin/wall'],
  ],
  ['capabilities', 'programs', { '/bin/ping': { capable: true, mode: 0o755 } }, ['note /bin/ping']],
  [
    'world-writable',
    'files and directories',
    {
      '/etc/a': { mode: 0o666 },
      '/d': { directory: true, mode: 0o777 },
      '/tmp': { directory: true, mode: 0o1777 },
      '/l': { link: 'etc/a', mode: 0o777 },
    },
    ['warning /d', 'warning /etc/a'],
  ],
  ['private-keys', 'of a user', { '/root/.ssh/id_rsa': key }, ['error /root/.ssh/id_rsa:1']],
  [
    'private-keys',
    'of a server, and what packages test with',
    { '/etc/ssh/ssh_host_rsa_key': key, '/usr/lib/python3/test/key.pem': key, '/usr/share/doc/a': key },
    ['warning /etc/ssh/ssh_host_rsa_key:1', 'note /usr/lib/python3/test/key.pem:1'],
  ],
  [
    'private-keys',
    'not in what is no text, or large',
    { '/root/a': `\0${key}`, '/root/b': { text: key, size: 10 ** 6 } },
    [],
  ],
  [
    'credentials',
    'logins',
    {
      '/root/.netrc': 'machine a login b password c\n',
      '/root/.docker/config.json': '{"auths":{"a":{"auth":"abcdef=="}}}',
      '/home/me/.pgpass': 'h:1:d:u:p\n',
    },
    ['error /home/me/.pgpass:1', 'error /root/.docker/config.json:1', 'error /root/.netrc:1'],
  ],
  [
    'tokens',
    'in the environment of the image',
    { '/.singularity.d/env/90-environment.sh': `a=1\nexport T=ghp_${'a'.repeat(36)}\n` },
    ['error /.singularity.d/env/90-environment.sh:2'],
  ],
  [
    'passwords',
    'set and empty',
    { '/etc/shadow': 'root:$6$a$b:1::::::\nfree::1::::::\nbin:*:1::::::\nme:!:1\n' },
    ['warning /etc/shadow:1', 'warning /etc/shadow:2'],
  ],
  ['shell', 'missing', {}, ['warning /bin/sh']],
  [
    'shell',
    'a link that leads on',
    { '/bin': { link: 'usr/bin' }, '/usr/bin/sh': { link: 'dash' }, '/usr/bin/dash': shell },
    [],
  ],
  ['shell', 'not a program', { '/bin/sh': 'x' }, ['warning /bin/sh']],
  ['accounts', 'missing', { '/etc/group': '' }, ['note /etc/passwd']],
  ['certificates', 'missing', {}, ['note /etc/ssl/certs']],
  ['certificates', 'there', { '/etc/pki/tls/certs/ca-bundle.crt': 'x' }, []],
  [
    'architecture',
    'another one',
    { '/bin/sh': shell, '/bin/a': program({ machine: 183 }) },
    ['warning /bin/a'],
  ],
  [
    'architecture',
    '32 bits, which run, too',
    { '/bin/sh': shell, '/bin/a': program({ machine: 3, bits: 32 }) },
    [],
  ],
  ['loaders', 'of glibc where there is none', { '/bin/a': program({ loader }) }, ['warning /bin/a']],
  ['loaders', 'there', { '/bin/a': program({ loader }), [loader]: program({}) }, []],
  ['libraries', 'missing', { '/bin/a': program({ needs: ['liba.so.1'] }) }, ['warning /bin/a']],
  [
    'libraries',
    'where the loader looks',
    { '/bin/a': program({ needs: ['liba.so.1'] }), '/usr/lib/x86_64-linux-gnu/liba.so.1': program({}) },
    [],
  ],
  [
    'libraries',
    'where a configuration says',
    {
      '/bin/a': program({ needs: ['liba.so.1'] }),
      '/etc/ld.so.conf': 'include ld.so.conf.d/*.conf\n',
      '/etc/ld.so.conf.d/x.conf': '# x\n/opt/x\n',
      '/opt/x/liba.so.1': program({}),
    },
    [],
  ],
  [
    'libraries',
    'beside the program',
    {
      '/usr/bin/a': program({ needs: ['liba.so.1'], runpath: '$ORIGIN/../x' }),
      '/usr/x/liba.so.1': program({}),
    },
    [],
  ],
  [
    'libraries',
    'where %environment says',
    {
      '/bin/a': program({ needs: ['liba.so.1'] }),
      '/.singularity.d/env/90-environment.sh': 'export LD_LIBRARY_PATH=/opt/x\n',
      '/opt/x/liba.so.1': program({}),
    },
    [],
  ],
  [
    'libraries',
    'of another machine are none',
    { '/bin/a': program({ needs: ['liba.so.1'] }), '/lib/liba.so.1': program({ machine: 183 }) },
    ['warning /bin/a'],
  ],
  [
    'libraries',
    'that libraries need, also each other',
    {
      '/bin/a': program({ needs: ['liba.so.1'] }),
      '/lib/liba.so.1': program({ needs: ['libb.so.1'] }),
      '/lib/libb.so.1': program({ needs: ['liba.so.1', 'libc.so.6'] }),
    },
    ['warning /bin/a'],
  ],
  ['libraries', 'of drivers come with --nv', { '/bin/a': program({ needs: ['libcuda.so.1'] }) }, []],
  [
    'interpreters',
    'missing',
    {
      '/bin/a': { text: '#!/usr/bin/perl -w\n', mode: 0o755 },
      '/bin/b': { text: '#! /usr/bin/env -S python3 -u\n', mode: 0o755 },
      '/usr/bin/env': shell,
      '/bin/data': { text: 'x', mode: 0o755 },
    },
    ['note /bin/a', 'note /bin/b'],
  ],
  [
    'interpreters',
    'there',
    {
      '/usr/bin/env': shell,
      '/usr/bin/perl': shell,
      '/bin/a': { text: '#!/usr/bin/env perl\n', mode: 0o755 },
    },
    [],
  ],
  [
    'broken-links',
    'by where they are',
    { '/bin/a': { link: '/opt/gone' }, '/usr/share/doc/a': { link: 'gone' }, '/loop': { link: 'loop' } },
    ['warning /bin/a', 'note /loop', 'note /usr/share/doc/a'],
  ],
  [
    'broken-links',
    'to what a container has from the host',
    {
      '/a': { link: '/proc/mounts' },
      '/b': { link: '/run/x' },
      '/etc/resolv.conf': { link: '../run/r' },
      '/c': { link: '/home/me' },
    },
    [],
  ],
  ['broken-links', 'out of the image stay in it', { '/a/b': { link: '../../../a/c' }, '/a/c': 'x' }, []],
]

describe('a check', () => {
  it.each(cases)('%s: %s', (name, _, files, found) => {
    expect(shortly(find(name, files))).toEqual(found)
  })

  it('has a name of its own, known tags and a summary', () => {
    expect(new Set(allChecks.map(({ name }) => name)).size).toBe(allChecks.length)
    for (const check of allChecks) {
      expect(tags).toEqual(expect.arrayContaining([...check.tags]))
      expect(check.summary).not.toBe('')
    }
  })

  it('finds nothing in an image with nothing wrong', () => {
    const facts = factsOf({
      '/bin/sh': program({ loader, needs: ['libc.so.6'] }),
      [loader]: program({}),
      '/lib64/libc.so.6': program({}),
      '/etc/passwd': 'root:x:0:0::/root:/bin/sh\n',
      '/etc/group': 'root:x:0:\n',
      '/etc/ssl/certs/ca-certificates.crt': 'x',
      '/tmp': { directory: true, mode: 0o1777 },
    })
    expect(examine(facts, parseTags([])).findings).toEqual([])
  })

  it('tells of a missing library once, and how many programs lack it', () => {
    const needs = ['liba.so.1']
    const [finding] = find('libraries', { '/bin/a': program({ needs }), '/bin/b': program({ needs }) })
    expect(finding?.text).toBe('needs liba.so.1, which is not there; so do 1 more')
  })

  it('takes a shell of another architecture for an error, when the image says for which it is', () => {
    expect(shortly(find('architecture', { '/bin/sh': program({ machine: 183 }) }, 'amd64'))).toEqual([
      'error /bin/sh',
    ])
  })

  it.each([
    ['de_DE.UTF-8', {}, ['warning /usr/lib/locale']],
    ['de_DE.UTF-8', { '/usr/lib/locale/de_DE.utf8/LC_CTYPE': 'x' }, []],
    ['de_DE.UTF-8', { '/usr/lib/locale/locale-archive': 'x\0de_DE.utf8\0' }, []],
    ['C', {}, []],
  ] as const)('knows whether there is the locale %s', async (locale, files, found) => {
    const all = {
      ...files,
      '/.singularity.d/env/90-environment.sh': `export LANG=${locale}\n`,
      '/lib64/libc.so.6': glibc('2.31'),
    }
    expect(shortly(find('locale', all))).toEqual(found)
  })

  it('tells of a glibc that is older than drivers', () => {
    expect(shortly(find('glibc', { '/lib64/libc.so.6': glibc('2.17') }))).toEqual(['note /lib64/libc.so.6'])
    expect(find('glibc', { '/lib64/libc.so.6': glibc('2.36') })).toEqual([])
  })
})

describe('the answer', () => {
  const facts = factsOf({ '/etc/a': { mode: 0o666 }, '/root/.ssh/id_rsa': key, '/bin/su': { mode: 0o4755 } })
  const { findings } = examine(facts, parseTags(['security']))

  it('has the worst first', () => {
    expect(findings.map(({ severity }) => severity)).toEqual(['error', 'warning', 'note'])
    expect(countsOf(findings)).toBe('1 error, 1 warning, 1 note')
  })

  it('never has the secret', () => {
    expect(JSON.stringify(findings)).not.toContain('AAAA')
  })

  it.each([
    ['error', true],
    ['warning', true],
    ['note', true],
    ['never', false],
  ] as const)('fails at level %s', (level, failed) => {
    expect(isFailed(findings, parseLevel(level))).toBe(failed)
  })

  it('does not fail for less than an error', () => {
    expect(
      isFailed(
        findings.filter(({ severity }) => severity !== 'error'),
        parseLevel(undefined),
      ),
    ).toBe(false)
  })

  it('has sizes only when they are asked for', () => {
    expect(examine(facts, parseTags(['security'])).sizes).toBeUndefined()
    expect(examine(facts, parseTags(['size'])).sizes?.files).toBe(3)
  })

  it('knows its tags and levels', () => {
    expect(chosenChecks(parseTags(['links'])).map(({ name }) => name)).toEqual(['broken-links'])
    expect(parseTags(['all', 'links']).size).toBe(tags.length)
    expect(() => parseTags(['sise'])).toThrow('--tag: there are no checks "sise"')
    expect(() => parseLevel('loud')).toThrow('--level loud: expected note, warning, error, never')
    expect(() => parseLevel('loud', '--check-level')).toThrow('--check-level loud: expected')
  })
})

/** A C library that defines the symbol versions up to one: see elf(5), Elf64_Verdef. */
function glibc(version: string): Buffer {
  const names = Buffer.from(`\0GLIBC_${version}\0`)
  const [dynamicAt, definesAt, stringsAt] = [64 + 2 * 56, 64 + 2 * 56 + 4 * 16, 64 + 2 * 56 + 4 * 16 + 28]
  const file = Buffer.concat([Buffer.alloc(stringsAt), names, Buffer.alloc(512)])
  file.write('\x7fELF', 'latin1')
  file.set([2, 1], 4)
  file.writeUInt16LE(62, 18)
  file.writeBigUInt64LE(64n, 32)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(2, 56)
  for (const [index, [type, offset, size]] of (
    [
      [1, 0, file.length],
      [2, dynamicAt, 64],
    ] as const
  ).entries()) {
    file.writeUInt32LE(type, 64 + index * 56)
    file.writeBigUInt64LE(BigInt(offset), 64 + index * 56 + 8)
    file.writeBigUInt64LE(BigInt(offset), 64 + index * 56 + 16)
    file.writeBigUInt64LE(BigInt(size), 64 + index * 56 + 32)
  }
  for (const [index, [tag, value]] of (
    [
      [5, stringsAt],
      [0x6ffffffc, definesAt],
      [0x6ffffffd, 1],
    ] as const
  ).entries()) {
    file.writeBigUInt64LE(BigInt(tag), dynamicAt + index * 16)
    file.writeBigUInt64LE(BigInt(value), dynamicAt + index * 16 + 8)
  }
  file.writeUInt32LE(20, definesAt + 12)
  file.writeUInt32LE(1, definesAt + 20)
  return file
}
