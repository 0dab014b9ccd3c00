/** `build --sbom` and `inspect --sbom`: the list of packages in an image, made, stored and shown. */

import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildFolder, leftBy } from '../helpers/builds.ts'
import { can } from '../helpers/can.ts'
import { writeTree } from '../helpers/files.ts'
import { writeLayout } from '../helpers/oci.ts'
import { file, squashfsOf, whiteout, writeOciSif } from '../helpers/oci-sif.ts'
import { type Outcome, projectRoot, sing } from '../helpers/sing.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'
import { requireCycloneDx, requireSpdx } from '../unit/sbom/rules.ts'

const folder = temporaryFolder()
const status = `${[
  'Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\nMaintainer: Some Team <team@bash.example>',
  'Package: libfoo1\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.0-1\nSource: foo',
].join('\n\n')}\n`
const files = {
  'etc/os-release': '-> ../usr/lib/os-release',
  'usr/lib/os-release': 'ID=debian\nVERSION_ID="12"\n',
  'var/lib/dpkg/status': status,
  'var/lib/dpkg/info/bash.md5sums':
    'd41d8cd98f00b204e9800998ecf8427e  bin/bash\n00000000000000000000000000000000  bin/gone\n',
  'bin/bash': '',
  'usr/share/doc/foo/copyright':
    'Format: https://x.example/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n',
  'usr/share/doc/libfoo1': '-> foo',
  // Out of the image there is one; inside there is none.
  'usr/share/doc/bash/copyright': '-> /../../../../etc/passwd',
  'app/node_modules/left/package.json': '{"name":"left","version":"1.0.0","license":"WTFPL"}',
  'opt/lib/site-packages/A_b-1.0.dist-info/METADATA': 'Name: A_b\nVersion: 1.0\nLicense-Expression: MIT\n',
}
const expected = [
  'KIND   NAME      VERSION   LICENCE',
  'deb    bash      5.2-1',
  'deb    libfoo1   1:1.0-1   GPL-2.0-or-later',
  'pypi   A_b       1.0       MIT',
  'npm    left      1.0.0     WTFPL',
]

const lines = ({ stdout }: Outcome): string[] => stdout.split('\n').slice(0, -1)
const tree = (name: string, more: Readonly<Record<string, string>> = {}): string =>
  writeTree(join(folder, name), { ...files, ...more })
/** An image with files like a directory's. */
const withFiles = Object.fromEntries(
  Object.entries(files)
    .filter(([, text]) => !text.startsWith('-> '))
    .map(([path, text]) => [path, file(text)]),
)

async function must(outcome: Promise<Outcome>): Promise<Outcome> {
  const done = await outcome
  if (done.status !== 0) throw new Error(done.stderr)
  return done
}

async function objectsIn(image: string): Promise<string[]> {
  const { stdout } = await must(sing(['sif', 'list', image]))
  return stdout
    .split('\n')
    .slice(3, -1)
    .map((text) => text.replace(/ +/g, ' ').replace(/\|\d+-\d+ /, ''))
}

let sandbox = ''
let image = ''
beforeAll(async () => {
  sandbox = tree('sandbox')
  image = join(folder, 'app.sif')
  await must(sing(['build', '--sbom', image, sandbox]))
})

describe('an image built with --sbom', () => {
  it('has the document as an object of the group that is signed', async () => {
    expect((await objectsIn(image)).at(-1)).toBe('4 |1 |NONE |SBOM (spdx-json)')
    const [dumped, shown] = [
      await sing(['sif', 'dump', '4', image]),
      await sing(['inspect', '--sbom', '--json', image]),
    ]
    expect(shown).toMatchObject({ status: 0, stderr: '' })
    expect(shown.stdout).toBe(dumped.stdout)
    const document = JSON.parse(dumped.stdout)
    requireSpdx(document)
    expect(document.name).toBe('app.sif')
    const urls = document.packages.flatMap(
      ({ externalRefs = [] }: { externalRefs?: { referenceLocator: string }[] }) =>
        externalRefs.map((one) => one.referenceLocator),
    )
    expect(urls).toEqual([
      'pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12',
      'pkg:deb/debian/libfoo1@1:1.0-1?arch=amd64&distro=debian-12&upstream=foo',
      'pkg:pypi/a-b@1.0',
      'pkg:npm/left@1.0.0',
    ])
  })

  it('is covered by a signature of the image', async () => {
    const key = (name: string) => copyInto(folder, join(projectRoot, 'fixtures/keys/pem', name))
    const signed = copyInto(folder, image, 'signed.sif')
    await must(sing(['sign', '--key', key('ed25519-private.pem'), signed]))
    const { stdout } = await must(sing(['verify', '--key', key('ed25519-public.pem'), signed]))
    expect(stdout).toMatch(/\n4 +\|1 +\|NONE +\|SBOM\n/)
  })

  it('lists its packages', async () => {
    expect(lines(await sing(['inspect', '--sbom', image]))).toEqual(expected)
  })

  it('has one of CycloneDX when asked', async () => {
    const other = join(folder, 'cyclonedx.sif')
    const { stderr } = await must(sing(['build', '--sbom=cyclonedx', other, sandbox]))
    expect(stderr).toContain('Listed 4 packages in the image')
    expect((await objectsIn(other)).at(-1)).toContain('SBOM (cyclonedx-json)')
    requireCycloneDx(JSON.parse((await sing(['inspect', '--sbom', '--json', other])).stdout))
    expect(lines(await sing(['inspect', '--sbom', other])).slice(1)).toHaveLength(4)
    // One of the other format is made anew.
    const made = await sing(['inspect', '--sbom=spdx', '--json', other])
    expect(made.stderr).toContain('INFO:    No such list is in')
    requireSpdx(JSON.parse(made.stdout))
  })

  it('is the same again at the same time', async () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' }
    const paths = ['one', 'other'].map((name) => join(folder, name, 'same.sif'))
    for (const path of paths) {
      writeTree(join(path, '..'), { empty: '' })
      await must(sing(['build', '--sbom', path, sandbox], { env }))
    }
    const [one, other] = paths.map((path) => readFileSync(path))
    expect(one?.equals(other ?? Buffer.alloc(0))).toBe(true)
    const { stdout } = await sing(['inspect', '--sbom', '--json', paths[0] ?? ''])
    expect(JSON.parse(stdout).creationInfo.created).toBe('2023-11-14T22:13:20Z')
  })

  it('has the files of packages when they are wanted', async () => {
    const target = join(folder, 'files.sif')
    await must(sing(['build', '--sbom', '--sbom-files', target, sandbox]))
    const document = JSON.parse((await sing(['inspect', '--sbom', '--json', target])).stdout)
    requireSpdx(document)
    const empty = [
      { algorithm: 'SHA1', checksumValue: 'da39a3ee5e6b4b0d3255bfef95601890afd80709' },
      { algorithm: 'MD5', checksumValue: 'd41d8cd98f00b204e9800998ecf8427e' },
    ]
    expect(document.files).toMatchObject([{ fileName: './bin/bash', checksums: empty }])
    expect(document.files[0].comment).toBeUndefined()
    const bash = document.packages.find(({ name }: { name: string }) => name === 'bash')
    expect(bash.packageVerificationCode.packageVerificationCodeValue).toBe(
      '10a34637ad661d98ba3344717656fcc76209c2f8',
    )
    expect(document.relationships).toContainEqual({
      spdxElementId: bash.SPDXID,
      relationshipType: 'CONTAINS',
      relatedSpdxElement: document.files[0].SPDXID,
    })
    const args = ['inspect', '--sbom=cyclonedx', '--sbom-files', '--json', sandbox]
    writeTree(sandbox, { 'bin/bash': 'changed' })
    const other = JSON.parse((await sing(args)).stdout)
    writeTree(sandbox, { 'bin/bash': '' })
    requireCycloneDx(other)
    const [part] = other.components.find(({ name }: { name: string }) => name === 'bash').components
    expect(part).toMatchObject({
      type: 'file',
      name: '/bin/bash',
      properties: [{ name: 'sing:changed', value: 'true' }],
    })
  })

  it('says what could not be read, and so does the document', async () => {
    const broken = tree('broken', {
      'var/lib/rpm/Packages': 'nonsense',
      'var/lib/rpm/rpmdb.sqlite-wal': 'x',
      'a/node_modules/b/package.json': '[',
    })
    const target = join(folder, 'broken.sif')
    const { stderr } = await must(sing(['build', '--sbom', target, broken]))
    const notes = [
      'the database of rpm /var/lib/rpm/Packages is not read: it is no hash of Berkeley DB',
      'the database of rpm was being written to: what is in /var/lib/rpm/rpmdb.sqlite-wal is not read',
      'the description of a package of npm /a/node_modules/b/package.json is not read: it is no JSON',
    ]
    for (const note of notes) expect(stderr).toContain(`WARNING: --sbom: ${note}\n`)
    const { stdout } = await sing(['inspect', '--sbom', '--json', target])
    expect(JSON.parse(stdout).annotations.map(({ comment }: { comment: string }) => comment)).toEqual(
      notes.sort(),
    )
    expect(lines(await sing(['inspect', '--sbom', target]))).toEqual(expected)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('what is built', () => {
  it.each([
    [
      'a definition',
      'x.def',
      `Bootstrap: localimage\nFrom: ${'SANDBOX'}\n%files\n  status /var/lib/dpkg/status\n`,
    ],
    ['a Dockerfile', 'Dockerfile', 'FROM scratch\nCOPY status /var/lib/dpkg/status\n'],
  ])('from %s is what is listed', async (_, name, text) => {
    const place = buildFolder()
    place.write('status', 'Package: new\nStatus: install ok installed\nArchitecture: all\nVersion: 7\n')
    place.write(name, text.replace('SANDBOX', sandbox))
    await must(sing(['build', '--sbom', 'x.sif', name], { cwd: place.path, env: place.env }))
    const listed = lines(await sing(['inspect', '--sbom', join(place.path, 'x.sif')]))
    expect(listed.filter((row) => row.startsWith('deb'))).toEqual([expect.stringMatching(/^deb +new +7$/)])
    expect(await leftBy(place, ['status', 'x.sif', name])).toEqual([])
  })
})

describe('an image of OCI', () => {
  const layout = join(folder, 'layout')
  beforeAll(() => {
    const layer = Object.entries(files).map(([path, data]) =>
      data.startsWith('-> ') ? { path, type: 'symlink' as const, link: data.slice(3) } : { path, data },
    )
    writeLayout(layout, { app: { layers: [layer] } })
  })

  it.each([
    ['taken as it is', {}],
    ['packed for a time of its own', { SOURCE_DATE_EPOCH: '1700000000' }],
  ])('%s has the list, and each time the same', async (_, env) => {
    const place = buildFolder()
    const build = (): Promise<Outcome> =>
      must(
        sing(['build', '--force', '--sbom', 'x.sif', `oci:${layout}:app`], {
          cwd: place.path,
          env: { ...place.env, ...env },
        }),
      )
    await build()
    const path = join(place.path, 'x.sif')
    const first = readFileSync(path)
    await build()
    expect(readFileSync(path).equals(first)).toBe(true)
    expect(lines(await sing(['inspect', '--sbom', path]))).toEqual(expected)
    expect((await sing(['sif', 'list', path])).stdout.match(/SBOM/g)).toHaveLength(1)
    expect(await leftBy(place, ['x.sif'])).toEqual([])
  })

  it('in the cache stays without one', async () => {
    const place = buildFolder()
    for (const flags of [['--sbom'], []])
      await must(
        sing(['build', '--force', ...flags, 'x.sif', `oci:${layout}:app`], {
          cwd: place.path,
          env: place.env,
        }),
      )
    expect(await objectsIn(join(place.path, 'x.sif'))).toHaveLength(4)
  })
})

describe('an image without one', () => {
  it('is looked into, and says so', async () => {
    const { stdout, stderr, status: exit } = await sing(['inspect', '--sbom', sandbox])
    expect(exit).toBe(0)
    expect(stdout.split('\n').slice(0, -1)).toEqual(expected)
    expect(stderr).toBe(`INFO:    No such list is in ${sandbox}: this one is of what is in it now\n`)
  })

  it('without any package is told as such', async () => {
    const empty = writeTree(join(folder, 'empty'), { 'usr/local/bin/tool': 'copied' })
    const nothing = 'no manager of packages knows anything in the image; what was copied'
    const { stdout, stderr } = await sing(['inspect', '--sbom', empty])
    expect(stdout).toBe('KIND   NAME   VERSION   LICENCE\n')
    expect(stderr).toContain(`WARNING: ${empty}: ${nothing}`)
    const built = await must(sing(['build', '--sbom', join(folder, 'empty.sif'), empty]))
    expect(built.stderr).toContain(`WARNING: --sbom: ${nothing}`)
  })

  it('has a document of now, or of the time that is set', async () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' }
    const { stdout } = await sing(['--quiet', 'inspect', '--sbom=cyclonedx', '--json', sandbox], { env })
    const document = JSON.parse(stdout)
    requireCycloneDx(document)
    expect(document.metadata).toMatchObject({
      timestamp: '2023-11-14T22:13:20Z',
      component: { name: 'sandbox' },
    })
  })

  it('may be a squashfs, or layers of which one hides what others have', async () => {
    const squashfs = join(folder, 'image.squashfs')
    writeFileSync(squashfs, await squashfsOf(withFiles))
    const kinds = async (path: string): Promise<string[]> =>
      lines(await must(sing(['inspect', '--sbom', path])))
        .slice(1)
        .map((row) => row.split(/ +/).slice(0, 2).join(' '))
    expect(await kinds(squashfs)).toEqual(['deb bash', 'deb libfoo1', 'pypi A_b', 'npm left'])
    const layered = await writeOciSif(join(folder, 'layered.oci.sif'), {
      layers: [
        await squashfsOf(withFiles),
        await squashfsOf({
          'var/lib/dpkg/status': whiteout,
          'app/node_modules/right/package.json': file('{"name":"right","version":"2"}'),
        }),
      ],
    })
    expect(await kinds(layered)).toEqual(['pypi A_b', 'npm left', 'npm right'])
  })
})

describe('documents of others', () => {
  it('are shown as they are, and as a list where they can be', async () => {
    const path = join(folder, 'theirs.sif')
    copyFileSync(join(folder, 'cyclonedx.sif'), path)
    give(path)
    const xml = join(folder, 'bom.xml')
    writeFileSync(xml, '<bom/>\n')
    const add = (...more: string[]): Promise<Outcome> =>
      must(sing(['sif', 'add', '--datatype', '9', '--groupid', '1', ...more, path, xml]))
    await add('--sbomformat', 'cyclonedx-xml')
    expect(lines(await sing(['inspect', '--sbom', path])).slice(1)).toHaveLength(4)
    expect((await sing(['inspect', '--sbom', '--json', path])).stdout).toBe('<bom/>\n')
    await must(sing(['sif', 'del', '4', path]))
    const { status: exit, stderr } = await sing(['inspect', '--sbom', path])
    expect(exit).toBe(255)
    expect(stderr).toBe(
      `FATAL:   the SBOM in ${path} cannot be shown as a list: it is no JSON\n         Take it as it is: sing inspect --sbom --json ${path}\n`,
    )
  })
})

describe('--sbom is refused', () => {
  it.each([
    ['of a sandbox', ['--sandbox', '--sbom'], '--sbom: a sandbox goes on changing'],
    ['of data', ['--data', '--sbom'], '--sbom: an image that holds only data has no list of packages'],
    ['of an OCI-SIF', ['--oci', '--sbom'], '--sbom: an OCI-SIF has no place for it'],
    ['alone for files', ['--sbom-files'], '--sbom-files says what --sbom lists: give --sbom too'],
  ])('%s', async (_, flags, message) => {
    const target = join(folder, 'refused')
    const { status: exit, stderr } = await sing(['build', ...flags, target, sandbox])
    expect(exit).toBe(255)
    expect(stderr).toContain(message)
    expect(existsSync(target)).toBe(false)
  })

  it('of a file that is fetched as it is', async () => {
    const { status: exit, stderr } = await sing([
      'build',
      '--sbom',
      join(folder, 'refused'),
      'https://images.example/a.sif',
    ])
    expect(exit).toBe(255)
    expect(stderr).toContain('--sbom: https://images.example/a.sif is a file, which is fetched as it is')
  })

  it('of another format', async () => {
    const { status: exit, stderr } = await sing(['build', '--sbom=swid', join(folder, 'refused'), sandbox])
    expect(exit).toBe(1)
    expect(stderr).toContain('--sbom is true, false or one of spdx, cyclonedx, not "swid"')
  })
})
