/** The packages that are listed are those that the managers themselves list. */

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { findPackages } from '../../src/sbom/document.ts'
import type { Package } from '../../src/sbom/types.ts'
import { can, hasProgram } from '../helpers/can.ts'
import { writeTree } from '../helpers/files.ts'
import { makeRpmPackages } from '../helpers/rpm.ts'
import { run } from '../helpers/sing.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'

async function packagesIn(directory: string, withFiles = false): Promise<readonly Package[]> {
  const { packages, notes } = await findPackages({ rootfs: { directory } }, { withFiles })
  expect(notes).toEqual([])
  return packages
}

async function linesOf(command: readonly string[]): Promise<string[]> {
  const { status, stdout, stderr } = await run(command, { env: { LC_ALL: 'C' } })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
  return stdout.split('\n').filter(Boolean).sort()
}

const hasDpkg = existsSync('/var/lib/dpkg/status') && hasProgram('dpkg-query')

describe.skipIf(!hasDpkg)('the packages of dpkg on this machine', () => {
  const root = temporaryFolder()

  it('are those of dpkg-query', async () => {
    const lists = '/var/lib/dpkg'
    mkdirSync(join(root, lists, 'info'), { recursive: true })
    mkdirSync(join(root, 'usr/bin'), { recursive: true })
    const sums = readdirSync(join(lists, 'info')).filter((name) => /^bash\b.*md5sums$/.test(name))
    for (const name of ['status', ...sums.map((one) => `info/${one}`)])
      copyFileSync(join(lists, name), join(root, lists, name))
    give(root)
    const format = `\${db:Status-Status} \${Package} \${Version} \${Architecture} \${Maintainer}\n`
    const listed = await linesOf([
      'dpkg-query',
      `--admindir=${join(root, 'var/lib/dpkg')}`,
      '-W',
      '-f',
      format,
    ])
    const found = (await packagesIn(root)).map(
      ({ name, version, architecture, supplier }) =>
        `installed ${name} ${version} ${architecture} ${supplier}`,
    )
    expect(found.sort()).toEqual(
      listed
        .filter((text) => text.startsWith('installed '))
        .map((text) => text.replace(/ +/g, ' '))
        .sort(),
    )
    expect(found.length).toBeGreaterThan(50)
  })

  it('have their files with digests, and those that are not what they were', async () => {
    const lists = join(root, 'var/lib/dpkg/info')
    const sums = readdirSync(lists).map((name) => readFileSync(join(lists, name), 'utf8'))
    const other = sums.join('').match(/usr\/share\/doc\/bash\/.+/)?.[0] ?? ''
    copyInto(join(root, 'usr/bin'), '/bin/bash', 'bash')
    writeTree(root, { bin: '-> usr/bin', [other]: 'changed' })
    const [bash] = (await packagesIn(root, true)).filter(({ name }) => name === 'bash')
    const [md5 = '', sha1 = ''] = await Promise.all(
      ['md5sum', 'sha1sum'].map(async (tool) => (await linesOf([tool, '/bin/bash']))[0]?.split(' ')[0]),
    )
    const files = [...(bash?.files ?? [])].sort((one, two) => (one.path < two.path ? -1 : 1))
    expect(files).toMatchObject([
      {
        path: '/bin/bash',
        checksums: [
          { algorithm: 'SHA1', value: sha1 },
          { algorithm: 'MD5', value: md5 },
        ],
        isChanged: false,
      },
      { path: `/${other}`, isChanged: true },
    ])
    expect(sums.join('')).toContain(md5)
  })
})

/** The headers in a database of SQLite, as a hash of Berkeley DB has them. */
async function makeHash(from: string, to: string, order: 1234 | 4321): Promise<void> {
  const database = new DatabaseSync(from)
  const rows = database.prepare('SELECT blob FROM Packages ORDER BY hnum').all() as { blob: Uint8Array }[]
  database.close()
  const hex = (bytes: Uint8Array): string => ` ${Buffer.from(bytes).toString('hex')}\n`
  const key = (number: number): Buffer => Buffer.of(number, 0, 0, 0)
  const entries = [
    hex(key(0)),
    hex(key(rows.length)),
    ...rows.flatMap(({ blob }, index) => [hex(key(index + 1)), hex(blob)]),
  ]
  const head = `VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\ndb_lorder=${order}\nHEADER=END\n`
  const { status, stderr } = await run(['db5.3_load', to], { input: `${head}${entries.join('')}DATA=END\n` })
  if (status !== 0) throw new Error(stderr)
}

describe.skipIf(!can('dnf'))('the packages of rpm', () => {
  const folder = temporaryFolder()
  const database = join(folder, 'db')
  const format = '%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %|EPOCH?{%{EPOCH}}:{}| %{LICENSE}\n'
  const shortly = (packages: readonly Package[]): string[] =>
    packages
      .map(
        ({ name, version, architecture, qualifiers, licence }) =>
          `${name} ${version} ${architecture} ${qualifiers?.epoch ?? ''} ${licence}`,
      )
      .sort()
  let listed: string[]

  it('in SQLite are those of rpm -qa', async () => {
    const rpms = await makeRpmPackages(folder)
    mkdirSync(database)
    give(database)
    const rpm = ['rpm', '-D', '_db_backend sqlite', '--dbpath', database]
    await run([...rpm, '-i', '--justdb', '--nodeps', '--noscripts', ...rpms])
    listed = await linesOf([...rpm, '-qa', '--qf', format])
    expect(listed).toHaveLength(3)
    const root = join(folder, 'sqlite')
    mkdirSync(join(root, 'usr/lib/sysimage/rpm'), { recursive: true })
    copyFileSync(join(database, 'rpmdb.sqlite'), join(root, 'usr/lib/sysimage/rpm/rpmdb.sqlite'))
    expect(shortly(await packagesIn(root))).toEqual(listed)
    writeTree(root, { 'opt/tool': 'tool\n' })
    const dump = await linesOf([...rpm, '-q', 'tiny-tool', '--qf', '[%{FILEDIGESTS} %{FILENAMES}\n]'])
    const [tool] = (await packagesIn(root, true)).filter(({ name }) => name === 'tiny-tool')
    expect(tool?.files?.map(({ path, checksums }) => `${checksums[1]?.value} ${path}`)).toEqual(
      dump.filter((text) => !text.startsWith(' ')),
    )
  })

  it.skipIf(!hasProgram('db5.3_load')).each([1234, 4321] as const)(
    'in Berkeley DB are the same in byte order %i',
    async (order) => {
      const root = join(folder, `hash-${order}`)
      mkdirSync(join(root, 'var/lib/rpm'), { recursive: true })
      give(root)
      await makeHash(join(database, 'rpmdb.sqlite'), join(root, 'var/lib/rpm/Packages'), order)
      expect(shortly(await packagesIn(root))).toEqual(listed)
    },
  )
})

describe.skipIf(!hasProgram('python3'))('the packages of Python', () => {
  it('are those of importlib.metadata', async () => {
    const root = temporaryFolder()
    const place = 'opt/venv/lib/python3/site-packages'
    writeTree(join(root, place), {
      'one-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\nName: one\nVersion: 1.0\n\nName: no\n',
      'two-2.0.egg-info/PKG-INFO': 'Metadata-Version: 1.0\nName: two\nVersion: 2.0\n',
      'three-3.egg-info': 'Metadata-Version: 1.0\nName: three\nVersion: 3\nDescription: a\n        b\n',
    })
    const script =
      'import sys, importlib.metadata as m\nfor d in m.distributions(path=sys.argv[1:]): print(d.metadata["Name"], d.version)'
    const listed = await linesOf(['python3', '-c', script, join(root, place)])
    expect((await packagesIn(root)).map(({ name, version }) => `${name} ${version}`).sort()).toEqual(listed)
    expect(listed).toHaveLength(3)
  })
})

describe.skipIf(!hasProgram('npm'))('the packages of npm', () => {
  it('are those of npm ls', async () => {
    const root = temporaryFolder()
    const describe = (name: string, more: object = {}): string =>
      JSON.stringify({ name, version: '1.0.0', ...more })
    writeTree(join(root, 'app'), {
      'package.json': describe('app', { dependencies: { one: '*', '@s/two': '*' } }),
      'node_modules/one/package.json': describe('one', { dependencies: { three: '*' } }),
      'node_modules/one/node_modules/three/package.json': describe('three'),
      'node_modules/one/lib/package.json': '{"type":"module"}',
      'node_modules/@s/two/package.json': describe('@s/two'),
    })
    const listed = await linesOf(['npm', 'ls', '--all', '--parseable', '--prefix', join(root, 'app')])
    const places = (await packagesIn(root)).map(({ place }) => join(root, place, '..'))
    expect(places.sort()).toEqual(listed.filter((path) => path !== join(root, 'app')))
    expect(places).toHaveLength(3)
  })
})
