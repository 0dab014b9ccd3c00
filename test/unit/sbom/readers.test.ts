import { describe, expect, it } from 'vitest'
import { readers } from '../../../src/sbom/readers/all.ts'
import { apk } from '../../../src/sbom/readers/apk.ts'
import { conda } from '../../../src/sbom/readers/conda.ts'
import { copyrightLicences, dpkg } from '../../../src/sbom/readers/dpkg.ts'
import { npm } from '../../../src/sbom/readers/npm.ts'
import { pacman } from '../../../src/sbom/readers/pacman.ts'
import { python } from '../../../src/sbom/readers/python.ts'
import { julia, r } from '../../../src/sbom/readers/science.ts'
import { systemOf } from '../../../src/sbom/readers/system.ts'
import { jsonObject, line, paragraphs, webAddress } from '../../../src/sbom/readers/text.ts'
import { read, said, treeOf } from './trees.ts'

describe('the files that lists of packages are in', () => {
  it.each([
    ['/var/lib/dpkg/status', true],
    ['/var/lib/dpkg/status.d/base', true],
    ['/var/lib/dpkg/status.d/base.md5sums', false],
    ['/var/lib/dpkg/status-old', false],
    ['/srv/root/var/lib/dpkg/status', false],
    ['/lib/apk/db/installed', true],
    ['/usr/lib/apk/db/installed', true],
    ['/var/lib/rpm/rpmdb.sqlite', true],
    ['/usr/lib/sysimage/rpm/Packages.db', true],
    ['/var/lib/rpm/Packages', true],
    ['/var/lib/rpm/rpmdb.sqlite-wal', false],
    ['/var/lib/pacman/local/bash-5.2-1/desc', true],
    ['/opt/venv/lib/python3.13/site-packages/numpy-2.0.dist-info/METADATA', true],
    ['/usr/lib/python3/dist-packages/old.egg-info/PKG-INFO', true],
    ['/usr/lib/python3/dist-packages/old-1.egg-info', true],
    ['/usr/lib/python3/METADATA', false],
    ['/opt/conda/envs/x/conda-meta/zlib-1.3-0.json', true],
    ['/opt/conda/conda-meta/history', false],
    ['/usr/lib/node_modules/npm/package.json', true],
    ['/app/node_modules/@scope/name/package.json', true],
    ['/app/package.json', false],
    ['/app/node_modules/name/lib/package.json', false],
    ['/usr/lib/R/library/base/DESCRIPTION', true],
    ['/usr/local/lib/R/site-library/x/DESCRIPTION', true],
    ['/root/R/x86_64-pc-linux-gnu-library/4.3/x/DESCRIPTION', true],
    ['/root/.julia/packages/JSON/93Ea8/Project.toml', true],
  ])('%s: %s', (path, isList) => {
    expect(readers.filter(({ matches }) => matches.test(path))).toHaveLength(isList ? 1 : 0)
  })
})

describe('a package of dpkg', () => {
  const path = '/var/lib/dpkg/status'
  const status = [
    'Package: libfoo1\nStatus: install ok installed\nMaintainer: The Team <team@foo.example>\nArchitecture: amd64\nSource: foo (1:1.0-1)\nVersion: 1:1.0-1+b1\nDescription: a library\n of many lines\n Version: 7\nHomepage: https://foo.example/',
    'Package: gone\nStatus: deinstall ok config-files\nVersion: 1',
    'Package: hold\nStatus: hold ok installed\nArchitecture: all\nVersion: 2\nSource: hold-source',
    'Package: ../../etc/x\nStatus: install ok installed\nVersion: 2',
  ].join('\n\n')
  const files = {
    [path]: status,
    '/usr/share/doc/libfoo1/copyright':
      'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+ or MIT\n\nFiles: x\nLicense: Expat\n Permission\n\nLicense: GPL-2+ or MIT\n text',
    '/var/lib/dpkg/info/libfoo1:amd64.md5sums':
      'd41d8cd98f00b204e9800998ecf8427e  usr/lib/libfoo.so.1\nnonsense\n',
  }

  it('has name, version, source, licence and supplier', () => {
    expect(read(dpkg, path, files).map(said)).toEqual([
      {
        ecosystem: 'deb',
        name: 'libfoo1',
        version: '1:1.0-1+b1',
        architecture: 'amd64',
        licence: '(GPL-2+ or MIT) AND Expat',
        supplier: 'The Team <team@foo.example>',
        summary: 'a library',
        homepage: 'https://foo.example/',
        qualifiers: { upstream: 'foo@1:1.0-1' },
        place: path,
      },
      {
        ecosystem: 'deb',
        name: 'hold',
        version: '2',
        architecture: 'all',
        qualifiers: { upstream: 'hold-source' },
        place: path,
      },
    ])
  })

  it('has files with their digests when they are wanted', () => {
    expect(read(dpkg, path, files, true)[0]?.files).toEqual([
      {
        path: '/usr/lib/libfoo.so.1',
        checksums: [{ algorithm: 'MD5', value: 'd41d8cd98f00b204e9800998ecf8427e' }],
      },
    ])
  })

  it('has no licence where only people can read it', () => {
    expect(copyrightLicences('This is free software.\nLicense: GPL-2')).toBeUndefined()
    expect(copyrightLicences('Format: copyright-format/1.0\n\nFiles: *\nLicense: /\n')).toBeUndefined()
  })
})

describe('a package of apk', () => {
  const path = '/lib/apk/db/installed'
  const installed =
    'C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nT:the C library\nU:https://musl.example/\nL:MIT\no:musl-source\nm:Someone <a@b.example>\np:so:libc.musl=1 cmd:ldd=1\nF:lib\nR:ld-musl.so.1\na:0:0:755\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nR:none\nF:\nR:root\nZ:Q2no\n\nP:other\nV:1\n\n'

  it('is what upper-case letters say', () => {
    expect(read(apk, path, { [path]: installed }).map(said)).toEqual([
      {
        ecosystem: 'apk',
        name: 'musl',
        version: '1.2.5-r0',
        architecture: 'x86_64',
        licence: 'MIT',
        supplier: 'Someone <a@b.example>',
        summary: 'the C library',
        homepage: 'https://musl.example/',
        qualifiers: { upstream: 'musl-source' },
        place: path,
      },
      { ecosystem: 'apk', name: 'other', version: '1', qualifiers: {}, place: path },
    ])
  })

  it('has files', () => {
    expect(read(apk, path, { [path]: installed }, true)[0]?.files).toEqual([
      {
        path: '/lib/ld-musl.so.1',
        checksums: [{ algorithm: 'SHA1', value: 'da39a3ee5e6b4b0d3255bfef95601890afd80709' }],
      },
      { path: '/lib/none', checksums: [] },
      { path: '/root', checksums: [] },
    ])
  })
})

describe('a package of', () => {
  it.each([
    [
      'pacman',
      pacman,
      '/var/lib/pacman/local/bash-5-1/desc',
      '%NAME%\nbash\n\n%VERSION%\n5-1\n\n%BASE%\nbash-base\n\n%DESC%\nshell\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL-3.0-or-later\nMIT\n\n%PACKAGER%\nA <a@b.example>\n',
      {
        ecosystem: 'alpm',
        name: 'bash',
        version: '5-1',
        architecture: 'x86_64',
        licence: 'GPL-3.0-or-later AND MIT',
        supplier: 'A <a@b.example>',
        summary: 'shell',
        qualifiers: { upstream: 'bash-base' },
      },
    ],
    [
      'Python with an expression',
      python,
      '/v/site-packages/A_b-1.0.dist-info/METADATA',
      'Metadata-Version: 2.4\r\nName: A_b\r\nVersion: 1.0\r\nLicense-Expression: MIT\r\nAuthor: A\r\nAuthor-email: a@b.example\r\nSummary: s\r\n\r\nName: not\r\n',
      {
        ecosystem: 'pypi',
        name: 'A_b',
        version: '1.0',
        licence: 'MIT',
        supplier: 'A <a@b.example>',
        summary: 's',
      },
    ],
    [
      'Python with a whole text for a licence',
      python,
      '/v/old.egg-info/PKG-INFO',
      'Name: old\nVersion: 2\nLicense: Copyright A\n        all of it\nClassifier: License :: OSI Approved :: BSD License\nClassifier: License :: OSI Approved\nAuthor: UNKNOWN\nHome-page: UNKNOWN\n',
      { ecosystem: 'pypi', name: 'old', version: '2', licence: 'BSD License' },
    ],
    [
      'npm',
      npm,
      '/n/node_modules/@a/b/package.json',
      JSON.stringify({
        name: '@a/b',
        version: '1.0.0',
        license: { type: 'ISC' },
        author: { name: 'A', email: 'a@b.example' },
        homepage: 'javascript:x',
      }),
      { ecosystem: 'npm', name: '@a/b', version: '1.0.0', licence: 'ISC', supplier: 'A <a@b.example>' },
    ],
    [
      'npm of old',
      npm,
      '/n/node_modules/b/package.json',
      '\ufeff{"name":"b","version":"1","licenses":[{"type":"MIT"},"BSD"],"author":"A B <a@b.example> (https://b.example)"}',
      { ecosystem: 'npm', name: 'b', version: '1', licence: 'MIT OR BSD', supplier: 'A B <a@b.example>' },
    ],
    [
      'conda',
      conda,
      '/opt/c/conda-meta/z-1-h.json',
      JSON.stringify({
        name: 'z',
        version: '1',
        build: 'h_0',
        channel: 'https://c.example/forge/linux-64',
        subdir: 'linux-64',
        license: 'Zlib',
        url: 'https://c.example/forge/linux-64/z-1-h_0.conda',
        md5: 'd41d8cd98f00b204e9800998ecf8427e',
        sha256: 'no',
      }),
      {
        ecosystem: 'conda',
        name: 'z',
        version: '1',
        licence: 'Zlib',
        download: 'https://c.example/forge/linux-64/z-1-h_0.conda',
        checksums: [{ algorithm: 'MD5', value: 'd41d8cd98f00b204e9800998ecf8427e' }],
        qualifiers: { build: 'h_0', channel: 'forge', subdir: 'linux-64', type: 'conda' },
      },
    ],
    [
      'R',
      r,
      '/usr/lib/R/library/Matrix/DESCRIPTION',
      'Package: Matrix\nVersion: 1.7-0\nTitle: Sparse\n        and Dense\nLicense: GPL (>= 2) | file LICENCE\nMaintainer: M <m@r.example>\nURL: https://m.example, https://n.example\n',
      {
        ecosystem: 'cran',
        name: 'Matrix',
        version: '1.7-0',
        licence: 'GPL (>= 2)',
        supplier: 'M <m@r.example>',
        summary: 'Sparse and Dense',
        homepage: 'https://m.example',
      },
    ],
    [
      'Julia',
      julia,
      '/d/packages/JSON/93Ea8/Project.toml',
      'name = "JSON"\nuuid = "682c06a0"\nversion = "0.21.4"\n\n[deps]\nname = "no"\n',
      { ecosystem: 'julia', name: 'JSON', version: '0.21.4', qualifiers: { uuid: '682c06a0' } },
    ],
  ])('%s', (_, reader, path, text, expected) => {
    expect(read(reader, path, { [path]: text }).map(said)).toEqual([{ ...expected, place: path }])
  })

  it('Python has the files of its record', () => {
    const path = '/v/lib/site-packages/a-1.dist-info/METADATA'
    const record =
      'a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\r\n"b,c.py",,\n../../bin/a,sha256=short,1\n'
    const files = { [path]: 'Name: a\nVersion: 1\n', '/v/lib/site-packages/a-1.dist-info/RECORD': record }
    expect(read(python, path, files, true)[0]?.files).toEqual([
      {
        path: '/v/lib/site-packages/a.py',
        checksums: [
          { algorithm: 'SHA256', value: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
        ],
      },
      { path: '/v/lib/site-packages/b,c.py', checksums: [] },
      { path: '/v/bin/a', checksums: [] },
    ])
  })

  it('conda has files as they lie there', () => {
    const path = '/opt/c/conda-meta/z.json'
    const [one, other] = ['a'.repeat(64), 'b'.repeat(64)]
    const paths = [
      { _path: 'lib/z', sha256: one, sha256_in_prefix: other },
      { _path: 'x', sha256: one },
      { _path: 3 },
    ]
    const text = JSON.stringify({ name: 'z', version: '1', paths_data: { paths } })
    expect(read(conda, path, { [path]: text }, true)[0]?.files).toEqual([
      { path: '/opt/c/lib/z', checksums: [{ algorithm: 'SHA256', value: other }] },
      { path: '/opt/c/x', checksums: [{ algorithm: 'SHA256', value: one }] },
    ])
  })
})

describe('what is no package', () => {
  it.each([
    ['', 'it is no JSON'],
    ['[]', 'it is no JSON object'],
    ['{', 'it is no JSON'],
    [`${'['.repeat(65)}${']'.repeat(65)}`, 'nested deeper than 64 levels'],
    [`{"a":${'['.repeat(200_000)}`, 'nested deeper'],
  ])('%.20j is refused', (text, reason) => {
    expect(() => jsonObject(Buffer.from(text))).toThrow(reason)
  })

  it('brackets in strings are no levels', () => {
    expect(jsonObject(Buffer.from(`{"a":"${'[\\"{'.repeat(100)}"}`))).toHaveProperty('a')
  })

  it.each([
    ['no version', '{"name":"a"}'],
    ['no text', '{"name":["a"],"version":1}'],
    ['a name that is too long', JSON.stringify({ name: 'x'.repeat(257), version: '1' })],
    ['an empty name', '{"name":" ","version":"1"}'],
  ])('%s: none', (_, text) => {
    const path = '/node_modules/a/package.json'
    expect(read(npm, path, { [path]: text })).toEqual([])
  })

  it.each([
    ['JSON', npm, '/node_modules/a/package.json', `"${'\\"'.repeat(2_000_000)}`],
    ['a record', python, '/a.dist-info/METADATA', 'Name: a\nVersion: 1\n'],
    ['a licence', r, '/R/library/a/DESCRIPTION', `License: x${' '.repeat(900_000)}y`],
    ['empty lines', julia, '/packages/a/AAAAA/Project.toml', '\n'.repeat(1_000_000)],
    ['classifiers', python, '/b.dist-info/METADATA', `Classifier: License ::${':: '.repeat(2_000_000)}\n`],
    [
      'paragraphs',
      dpkg,
      '/var/lib/dpkg/status',
      `${'\n'.repeat(1_000_000)}${' '.repeat(1_000_000)}\n${'a:\n'.repeat(500_000)}`,
    ],
  ])('made to take long, %s does not', (_, reader, path, text) => {
    const files = { [path]: text, '/a.dist-info/RECORD': '"""\n'.repeat(1_000_000) }
    try {
      read(reader, path, files, true)
    } catch (error) {
      expect(error).toMatchObject({ code: 'IMAGE_FORMAT' })
    }
  })

  it('control characters and endless texts are no part of a line', () => {
    expect(line(' a\u001b[31m\n\u0000b ')).toBe('a [31m b')
    expect(line('x'.repeat(5000))).toHaveLength(4096)
    expect(line('\ud800x')).toBe('\ufffdx')
    expect(line(3)).toBeUndefined()
  })

  it('the first of two fields counts, and lines without one are left out', () => {
    expect([...paragraphs(' x\n\n\nA: 1\na: 2\n b\nnonsense\n c\n\n')].map((one) => [...one])).toEqual([
      [],
      [['a', '1']],
    ])
  })

  it.each([
    ['https://a.example/x', true],
    ['file:///etc/passwd', false],
    ['https://a b', false],
    ['UNKNOWN', false],
  ])('%s is an address of the web: %s', (text, is) => {
    expect(webAddress(text) !== undefined).toBe(is)
  })
})

describe('the system', () => {
  it.each([
    [
      'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian \\"12\\""\n',
      { id: 'debian', version: '12', name: 'Debian "12"' },
    ],
    ["ID='arch'\n", { id: 'arch', version: undefined, name: 'arch' }],
    ['ID=a/b\n', undefined],
    ['', undefined],
  ])('%j', (text, system) => {
    expect(systemOf(treeOf({ '/usr/lib/os-release': text }))).toEqual(system)
  })
})
