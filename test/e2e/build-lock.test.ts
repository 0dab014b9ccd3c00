import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { mountsOf } from '../helpers/left.ts'
import { type Layout, writeLayout } from '../helpers/oci.ts'
import { makePacmanRepository } from '../helpers/pacman.ts'
import { makeRpmRepository } from '../helpers/rpm.ts'
import { run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

let one: Layout
let other: Layout
beforeAll(async () => {
  const base = await busyboxLayer()
  one = writeLayout(join(temporaryFolder(), 'layout'), { app: printingImage(base) })
  const platform = { variant: 'v2' }
  other = writeLayout(join(temporaryFolder(), 'layout'), { app: printingImage(base, { platform }) })
})

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
  for (const name of ['tmp', 'data']) {
    mkdirSync(join(folder, name))
    give(join(folder, name))
  }
  writeFileSync(join(folder, 'data/one'), 'one\n')
  writeFileSync(join(folder, 'single'), 'single\n')
})

function build(flags: readonly string[], text: string, name = 'x.sif') {
  writeFileSync(join(folder, 'x.def'), text)
  const env = { SINGULARITY_TMPDIR: join(folder, 'tmp'), SINGULARITY_CACHEDIR: join(folder, 'cache') }
  return sing(['build', ...flags, name, 'x.def'], { cwd: folder, env })
}

async function must(built: ReturnType<typeof build>): Promise<string> {
  const { status, stderr } = await built
  if (status !== 0) throw new Error(stderr)
  return readFileSync(join(folder, 'x.lock.yaml'), 'utf8')
}

async function refused(built: ReturnType<typeof build>): Promise<string> {
  const { status, stderr } = await built
  expect({ status, stderr }).toMatchObject({ status: 255 })
  expect(readdirSync(join(folder, 'tmp'))).toEqual([])
  expect(mountsOf(folder)).toEqual([])
  return stderr
}

const definition = (layout: Layout, post = '') => `Bootstrap: oci
From: ${layout.folder}:app
%files
  data /srv/data
  single
%post
  p=/usr/lib/python3/dist-packages/foo-1.0.dist-info
  mkdir -p $p
  printf 'Name: Foo\\nVersion: 1.0\\n' >$p/METADATA
  ${post}
`

describe.skipIf(!can('userns', 'fuse'))('a lock', () => {
  it('holds what was resolved, and lets the same build pass', async () => {
    const text = await must(build(['--lock'], definition(one)))
    expect(text).toMatch(/^architecture: \w+\nbases:\n {2}\S*oci:\S+:app\S*: sha256:[0-9a-f]{64}\n/m)
    expect(text).toMatch(/\nfiles:\n {2}data: sha256:[0-9a-f]{64}\n {2}single: sha256:[0-9a-f]{64}\n/)
    expect(text).toMatch(/\npackages:\n {2}python \/usr\/lib\/python3\/dist-packages:\n {4}foo: '1.0'\n$/)
    expect(readdirSync(folder).sort()).toEqual([
      'cache',
      'data',
      'single',
      'tmp',
      'x.def',
      'x.lock.yaml',
      'x.sif',
    ])
    const { stdout } = await run(['sha256sum', 'single'], { cwd: folder })
    expect(text).toContain(`single: sha256:${stdout.slice(0, 64)}\n`)
    await must(build(['--locked', '--force'], definition(one)))
    expect(await must(build(['--lock', '--force', '--disable-cache'], definition(one)))).toBe(text)
  })

  it('refuses a base that is another one, before anything is run', async () => {
    await must(build(['--lock', '--sandbox'], definition(one), 'x'))
    const moved = definition(other).replace(other.folder, one.folder)
    const { index } = { index: readFileSync(join(other.folder, 'index.json')) }
    await run(['cp', '-r', `${other.folder}/blobs`, one.folder], { as: 'self' })
    const before = readFileSync(join(one.folder, 'index.json'))
    writeFileSync(join(one.folder, 'index.json'), index)
    const stderr = await refused(build(['--locked'], `${moved}  echo has run >&2\n`))
    writeFileSync(join(one.folder, 'index.json'), before)
    expect(stderr).toMatch(
      /differs from the lock in one thing\n\s+changed: base oci:\S+ sha256:\S+ -> sha256:\S+\n/,
    )
    expect(stderr).not.toContain('has run')
    expect(existsSync(join(folder, 'x.sif'))).toBe(false)
  })

  it('refuses other files and other packages, each with a line', async () => {
    const text = await must(build(['--lock'], definition(one)))
    writeFileSync(join(folder, 'data/one'), 'two\n')
    const more =
      'mkdir -p /lib/apk/db; printf "P:musl\\nV:1.2\\n" >/lib/apk/db/installed; sed -i s/1.0/1.1/ $p/METADATA'
    const stderr = await refused(build(['--locked', '--force'], definition(one, more)))
    expect(stderr).toContain('differs from the lock in 3 things')
    expect(stderr).toMatch(/\n\s+added: apk musl 1\.2\n\s+changed: file data sha256:\S+ -> sha256:\S+\n/)
    expect(stderr).toMatch(/\n\s+changed: python \/usr\/lib\/python3\/dist-packages foo 1\.0 -> 1\.1\n/)
    expect(readFileSync(join(folder, 'x.lock.yaml'), 'utf8')).toBe(text)
  })

  it.skipIf(!can('pacman'))('refuses a distribution whose packages are newer', async () => {
    const repository = temporaryFolder()
    writeFileSync(join(folder, 'pacman.conf'), await makePacmanRepository(repository))
    const text = `Bootstrap: arch\nConfURL: ${folder}/pacman.conf\nInclude: tiny-tool\n`
    const lock = await must(build(['--lock'], text))
    expect(lock).toContain(`bases:\n  arch: file://${folder}/pacman.conf\n`.replace('file://', ''))
    expect(lock).toContain('\n  pacman:\n    base: 1-1\n    tiny-tool: 1-1\n')
    await must(build(['--locked', '--force', '--disable-cache'], text))
    await makePacmanRepository(repository, '2-1')
    const stderr = await refused(build(['--locked', '--force', '--disable-cache'], text))
    expect(stderr).toContain('changed: pacman tiny-tool 1-1 -> 2-1')
  })

  it.skipIf(!can('dnf'))('has the packages of rpm, which the image can list too', async () => {
    const { path } = await makeRpmRepository(temporaryFolder())
    const found = await run(['sh', '-c', 'command -v rpm; ldd "$(command -v rpm)" | grep -o "/[^ ]*"'])
    const files = found.stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((file) => `  ${file}\n`)
    const header = `Bootstrap: dnf\nMirrorURL: file://${path}\nInclude: tiny-tool\n`
    const program = `%files\n  ${found.stdout.split('\n')[0]} /usr/bin/rpm\n  /usr/lib/rpm/rpmrc\n${files.join('')}`
    const locked = /\n {2}rpm:\n {4}tiny-release: 1-1\.\w+\n {4}tiny-tool: 2-3\.\w+\n$/
    expect(await must(build(['--lock'], `${header}${program}`))).toMatch(locked)
    // An image is read-only: its database must be readable all the same.
    const asked = await sing(['exec', 'x.sif', '/usr/bin/rpm', '-q', 'tiny-tool'], { cwd: folder })
    expect(asked.stdout).toMatch(/^tiny-tool-2-3\./)
    expect(await must(build(['--lock', '--force'], header))).toMatch(locked)
  })

  it('says what it lacks', async () => {
    const post = '%post\n  mkdir -p /var/lib/rpm\n  echo nonsense >/var/lib/rpm/Packages\n'
    const { status, stderr } = await build(['--lock'], `Bootstrap: oci\nFrom: ${one.folder}:app\n${post}`)
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(stderr).toContain(
      'WARNING: The lock is not complete: the database of rpm /var/lib/rpm/Packages is not read: it is no hash of Berkeley DB',
    )
  })

  it('is refused where there is none, or nothing to lock', async () => {
    expect(await refused(build(['--locked'], definition(one)))).toMatch(
      /--locked: cannot read \S+x\.lock\.yaml: no such file/,
    )
    expect(await refused(build(['--locked', '--lock'], definition(one)))).toContain(
      '--lock and --locked cannot be given together',
    )
    for (const args of [
      ['x.sif', `oci:${one.folder}:app`],
      ['--data', 'x.sif', 'data'],
      ['x.sif', 'data'],
    ]) {
      const { status, stderr } = await sing(['build', '--lock', ...args], { cwd: folder })
      expect([status, stderr]).toEqual([
        255,
        expect.stringContaining('--lock and --locked are for definitions'),
      ])
    }
    writeFileSync(join(folder, 'x.lock.yaml'), 'version: 7\n')
    expect(await refused(build(['--locked'], definition(one)))).toContain('its version is 7, expected 1')
  })
})
