import { describe, expect, it } from 'vitest'
import { pacmanConfiguration } from '../../../src/build/sources/arch.ts'
import { dnfConfiguration, setOptions } from '../../../src/build/sources/dnf.ts'
import { checkSource } from '../../../src/build/sources/index.ts'
import { addressOf, packageNames } from '../../../src/build/sources/packages.ts'
import { macroOf } from '../../../src/build/sources/rpm.ts'
import { zypperCommands, zypperRepositories } from '../../../src/build/sources/zypper.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'

function stageOf(header: string) {
  const [stage] = parseDefinition(`${header.replaceAll('; ', '\n')}\n`, { name: 'x.def' }).stages
  if (!stage) throw new Error('no stage')
  return stage
}

describe('the header of a distribution', () => {
  it.each([
    ['Bootstrap: yum; MirrorURL: http://m.example/%{osversion}/os/$basearch; OSVersion: 9'],
    ['Bootstrap: dnf; MirrorURL: /srv/mirror; Include: dnf, @core  /bin/sh; Setopt: a=b'],
    ['Bootstrap: zypper; MirrorURL: http://m.example/; OtherURL0: http://m.example/0; OSVersion: 15.6'],
    ['Bootstrap: arch; ConfURL: https://m.example/pacman.conf'],
    ['Bootstrap: arch'],
    ['Bootstrap: debootstrap; OSVersion: bookworm'],
    ['Bootstrap: localimage; From: x.sif; Fingerprints:'],
    [`Bootstrap: oras; From: registry.example/x; Fingerprints: ${'ab'.repeat(20)}, 0x${'CD'.repeat(20)}`],
  ])('is good: %s', (header) => {
    expect(() => checkSource(stageOf(header), 'x.def')).not.toThrow()
  })

  it.each([
    [
      'Bootstrap: yum; MirrorURL: mirror',
      'x.def:2: expected an address such as http://MIRROR/PATH, got "mirror"',
    ],
    ['Bootstrap: yum; MirrorURL: http://m.example/ x', 'x.def:2: expected an address'],
    [
      'Bootstrap: dnf; MirrorURL: http://m.example/; Setopt: nodocs',
      'x.def:3: Setopt: expected NAME=VALUE, got "nodocs"',
    ],
    [
      'Bootstrap: dnf; MirrorURL: /x; Include: a --nogpgcheck',
      'Include: expected names of packages, got "--nogpgcheck"',
    ],
    ['Bootstrap: dnf; MirrorURL: /x; OSVersion: 9 x', 'OSVersion: expected the name of a release, got "9 x"'],
    ['Bootstrap: zypper; MirrorURL: /x; UpdateURL: x', 'x.def:3: expected an address'],
    [
      'Bootstrap: zypper; Product: SLES; User: me',
      'x.def:2: Product: systems are not registered with SUSE here',
    ],
    ['Bootstrap: zypper; MirrorURL: /x; RegCode: secret', 'x.def:3: RegCode: systems are not registered'],
    ['Bootstrap: arch; ConfURL: x', 'x.def:2: expected an address'],
    ['Bootstrap: debootstrap; OSVersion: --help', 'OSVersion: expected the name of a release, got "--help"'],
    [
      'Bootstrap: localimage; From: x.sif; Fingerprints: AB',
      'x.def:3: Fingerprints: expected 40 hexadecimal digits, got "AB"',
    ],
    ['Bootstrap: library; From: alpine', 'cannot fetch library:alpine: there is no library to ask'],
    [
      'Bootstrap: library; From: alpine; Fingerprints: AB',
      'cannot fetch library:alpine: there is no library to ask',
    ],
    ['Bootstrap: shub; From: a/b', 'cannot fetch shub:a/b: Singularity Hub is gone'],
    ['Bootstrap: ipfs; From: Qm', 'cannot fetch ipfs:Qm: IPFS cannot be asked'],
  ])('is refused: %s', (header, sentence) => {
    const check = () => checkSource(stageOf(header), 'x.def')
    expect(check).toThrow(expect.objectContaining({ message: expect.stringContaining(sentence) }))
  })

  it('names what to install', () => {
    expect(packageNames(' vim-minimal,@core\tglibc  ')).toEqual(['vim-minimal', '@core', 'glibc'])
    expect(packageNames(undefined)).toEqual([])
  })

  it('has the release in addresses, and paths are addresses too', () => {
    const stage = stageOf(
      'Bootstrap: dnf; OSVersion: 9; MirrorURL: /m/%{OSVersion}/%{OSVERSION}; UpdateURL: ftp://u',
    )
    expect(addressOf(stage, 'mirrorurl', '9', 'x.def')).toBe('file:///m/9/9')
    expect(addressOf(stage, 'updateurl', '9', 'x.def')).toBe('ftp://u')
    expect(addressOf(stage, 'confurl', '9', 'x.def')).toBe(undefined)
  })
})

describe('dnf', () => {
  it('knows no repository but those of the header', () => {
    const text = dnfConfiguration([{ id: 'base', address: 'http://m.example' }], undefined)
    expect(text.split('\n')).toEqual(
      expect.arrayContaining(['reposdir=/dev/null', 'plugins=0', 'gpgcheck=0']),
    )
    expect(text).toMatch(/\n\n\[base\]\nname=base\nbaseurl=http:\/\/m\.example\nenabled=1\ngpgcheck=0\n$/)
  })

  it('checks packages of each repository when there is a key', () => {
    const repositories = ['base', 'updates'].map((id) => ({ id, address: `http://m.example/${id}` }))
    const text = dnfConfiguration(repositories, '/tmp/key')
    expect(text.match(/gpgcheck=1\ngpgkey=file:\/\/\/tmp\/key\n/g)).toHaveLength(3)
    expect(text).not.toContain('gpgcheck=0')
  })

  it.each([
    ['', []],
    ['a=b', ['--setopt=a=b']],
    ['excludepkgs=x y  tsflags=nodocs', ['--setopt=excludepkgs=x y', '--setopt=tsflags=nodocs']],
    ['base.priority=1', ['--setopt=base.priority=1']],
  ])('takes Setopt: %s', (text, options) => {
    expect(setOptions(stageOf(`Bootstrap: dnf; MirrorURL: /x; Setopt: ${text}`), 'x.def')).toEqual(options)
  })
})

describe('the place of the database of rpm', () => {
  it.each([
    ['%_dbpath\t\t\t%{_var}/lib/rpm\n', '/var/lib/rpm'],
    ['%_dbpath %{_usr}/lib/sysimage/rpm', '/usr/lib/sysimage/rpm'],
    ['%_dbpath /a\n# comment\n%_dbpath  %_prefix/lib/sysimage/rpm ', '/usr/lib/sysimage/rpm'],
    ['%_dbpath_rebuild /x\n', undefined],
    ['%_dbpath %{getenv:HOME}/.rpmdb', '%{getenv:HOME}/.rpmdb'],
  ])('is read from macros: %j', (text, place) => {
    expect(macroOf(text, '_dbpath')).toBe(place)
  })
})

describe('zypper', () => {
  it('adds repositories, reads them, and installs', () => {
    const stage = stageOf(
      'Bootstrap: zypper; OSVersion: 15.6; MirrorURL: http://m/%{OSVERSION}; UpdateURL: http://u; OtherURL3: http://o',
    )
    const repositories = zypperRepositories(stage, '15.6', 'x.def')
    expect(zypperCommands(repositories, '15.6', ['vim'])).toEqual([
      ['addrepo', '--keep-packages', 'http://m/15.6', 'repo'],
      ['addrepo', '--keep-packages', '--refresh', 'http://u', 'update'],
      ['addrepo', '--keep-packages', '--refresh', 'http://o', 'repo-3'],
      ['refresh'],
      [
        '--releasever=15.6',
        'install',
        '--auto-agree-with-licenses',
        '--download-in-advance',
        'aaa_base',
        'vim',
      ],
      ['modifyrepo', '--no-keep-packages', '--all'],
    ])
  })
})

describe('the configuration of pacman', () => {
  it.each([
    [
      '[options]\nRootDir = /x\n CacheDir=/y\nDownloadUser = alpm\n[core]\nServer = s',
      '[options]\n[core]\nServer = s',
    ],
    ['[core]\nServer = s # x\n', '[core]\nServer = s # x\n'],
    ['[options]\n#[core]\n', undefined],
    ['', undefined],
  ])('%j', (text, configuration) => {
    expect(pacmanConfiguration(text)).toBe(configuration)
  })
})
