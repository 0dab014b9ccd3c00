import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { serveFiles } from '../helpers/files-server.ts'
import { mountsOf } from '../helpers/left.ts'
import { makePacmanRepository } from '../helpers/pacman.ts'
import { makeRpmRepository, type RpmRepository } from '../helpers/rpm.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { treeOf } from '../helpers/tree.ts'

/** Who builds: each of them may have what the others lack. */
const builders = [
  { who: 'subordinate ids', flags: [], as: 'user', able: can('userns', 'fuse', 'subuid') },
  { who: 'a single id', flags: ['--ignore-subuid'], as: 'user', able: can('userns', 'fuse') },
  { who: 'root', flags: [], as: 'self', able: can('root', 'fuse') },
] as const

type Options = { flags?: readonly string[]; env?: Record<string, string>; as?: 'user' | 'self' }

async function build(header: string, { flags = [], env = {}, as = 'user' }: Options = {}) {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'x.def'), `${header}\n`)
  const all = { SINGULARITY_TMPDIR: folder, SINGULARITY_CACHEDIR: join(folder, 'cache'), ...env }
  const built = await sing(['build', ...flags, 'x.sif', 'x.def'], { cwd: folder, env: all, as })
  expect(mountsOf(folder)).toEqual([])
  const look = async (script: string): Promise<string> =>
    (await sing(['exec', 'x.sif', 'sh', '-c', script], { cwd: folder, as })).stdout
  return { ...built, folder, look }
}

const whatScriptsDid = 'busybox cat /opt/tool /opt/installed-by; busybox stat -c %a /opt/tool /tmp'
const done = 'tool\n0\n4755\n1777\n'

let plain: RpmRepository
let signed: RpmRepository
beforeAll(async () => {
  if (!can('dnf') && !can('zypper')) return
  plain = await makeRpmRepository(temporaryFolder())
  signed = await makeRpmRepository(temporaryFolder(), { signed: true })
})

describe.skipIf(!can('dnf'))('a distribution made by dnf', () => {
  it.each(builders)('is installed with its scripts run, by $who', async ({ flags, as, able }) => {
    if (!able) return
    const header = `Bootstrap: yum\nMirrorURL: file://${plain.path}\nInclude: tiny-tool`
    const { status, stderr, look, folder } = await build(header, { flags, as })
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('WARNING') })
    expect((await treeOf(join(folder, 'x.sif'))).get('opt/installed-by')).toBe('file 644 7:8')
    expect(await look(`${whatScriptsDid}; cat /etc/redhat-release`)).toBe(`${done}tiny\n`)
    // Nothing of the tool and of this machine, and the database where the new system looks for it.
    const left =
      'busybox find /dev -type f; busybox ls /var/cache /var/log /usr/lib/sysimage/rpm /var/lib/rpm 2>&1'
    const listing = await look(left)
    expect(listing).toContain('rpmdb.sqlite\n')
    expect(listing).toMatch(/\/var\/lib\/rpm: No such file/)
    expect(listing).not.toMatch(/sing-dnf|dnf.*log/)
  })

  it('comes from the release of a mirror on the web, with updates, options, and packages kept', async () => {
    await using server = await serveFiles(plain.path)
    const cache = join(temporaryFolder(), 'cache')
    const header = [
      'Bootstrap: dnf',
      'OSVersion: 9',
      `MirrorURL: ${server.address}/./?v=%{OSVERSION}`,
      `UpdateURL: ${server.address}`,
      'Include: tiny-tool',
      'Setopt: tsflags=noscripts install_weak_deps=False',
    ].join('\n')
    const env = { SINGULARITY_CACHEDIR: cache }
    const { status, stderr, look } = await build(header, { env })
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await look('busybox ls /opt')).toBe('tool\n')
    const packages = () => server.requests.filter((path) => path.endsWith('.rpm')).length
    expect(packages()).toBe(2)
    const again = await build(header.replace('tiny-tool', 'tiny-tool /bin/sh'), { env })
    expect({ status: again.status, stderr: again.stderr }).toMatchObject({ status: 0 })
    expect(packages()).toBe(2)
  })

  it('has packages that are signed with the key of GPG, and no others', async () => {
    const header = (path: string): string => `Bootstrap: dnf\nMirrorURL: file://${path}\nInclude: tiny-tool`
    const good = await build(header(signed.path), { env: { GPG: signed.key } })
    expect({ status: good.status, stderr: good.stderr }).toMatchObject({ status: 0 })
    const bad = await build(header(plain.path), { env: { GPG: `file://${signed.key}` } })
    expect(bad.status).toBe(255)
    expect(bad.stderr).toMatch(/not signed[\s\S]*dnf failed with status 1/)
    const insecure = await build(header(signed.path), { env: { GPG: 'http://127.0.0.1:9/key' } })
    expect(insecure.stderr).toContain(
      'GPG=http://127.0.0.1:9/key: the key of the packages must come by https://',
    )
    const missing = await build(header(signed.path), { env: { GPG: '/nowhere/key' } })
    expect(missing.stderr).toContain('cannot read the key GPG=/nowhere/key: no such file or directory')
  })

  it('is not made without a package that it shall have', async () => {
    const { status, stderr } = await build(
      `Bootstrap: dnf\nMirrorURL: file://${plain.path}\nInclude: nonsuch`,
    )
    expect(status).toBe(255)
    expect(stderr).toMatch(/Unable to find a match: nonsuch[\s\S]*dnf failed with status 1/)
  })
})

describe.skipIf(!can('zypper'))('a distribution made by zypper', () => {
  it.each(builders)('is installed with its scripts run, by $who', async ({ flags, as, able }) => {
    if (!able) return
    const header = `Bootstrap: zypper\nOSVersion: 15.6\nMirrorURL: ${signed.path}\nInclude: tiny-tool`
    const { status, stderr, look } = await build(header, { flags, as })
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await look(whatScriptsDid)).toBe(done)
    const left =
      'busybox find /dev -type f; busybox ls /usr/lib/sysimage/rpm /var/cache; busybox cat /etc/zypp/repos.d/*'
    const listing = await look(left)
    expect(listing).toMatch(/rpmdb\.sqlite\n[\s\S]*\[repo\]/)
    expect(listing).not.toMatch(/zypp\n|keeppackages=1/)
  })

  it('is made although the script of a package fails', async () => {
    const header = `Bootstrap: zypper\nMirrorURL: ${signed.path}`
    const { status, stderr, look } = await build(header, { env: { INCLUDE: 'tiny-broken' } })
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(stderr).toContain('WARNING: All packages are installed, but scripts of some failed')
    expect(await look('busybox cat /opt/broken')).toBe('broken\n')
  })

  it('takes updates and other repositories, and none that is not signed', async () => {
    await using server = await serveFiles(signed.path)
    const more = `UpdateURL: ${server.address}\nOtherURL0: ${server.address}/./\nInclude: tiny-tool`
    const { status, stderr, look } = await build(`Bootstrap: zypper\nMirrorURL: ${signed.path}\n${more}`)
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await look('busybox ls /etc/zypp/repos.d')).toBe('repo-0.repo\nrepo.repo\nupdate.repo\n')
    const unsigned = await build(`Bootstrap: zypper\nMirrorURL: ${plain.path}\nInclude: tiny-tool`)
    expect(unsigned.status).toBe(255)
    expect(unsigned.stderr).toMatch(/Signature verification failed[\s\S]*zypper refresh failed with status 4/)
  })
})

describe.skipIf(!can('pacman'))('a distribution made by pacman', () => {
  let configuration = ''
  beforeAll(async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'pacman.conf'), await makePacmanRepository(folder))
    give(folder)
    configuration = join(folder, 'pacman.conf')
  })

  it.each(builders)('is installed with its scripts run, by $who', async ({ flags, as, able }) => {
    if (!able) return
    const header = `Bootstrap: arch\nConfURL: ${configuration}\nInclude: tiny-tool`
    const { status, stderr, look } = await build(header, { flags, as })
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await look('busybox cat /opt/tool /opt/installed-by; busybox stat -c %a /opt/tool')).toBe(
      'tool\n0\n4755\n',
    )
    const left = 'busybox find /dev -type f; busybox ls /var/cache/pacman/pkg /var/lib/pacman/local'
    expect(await look(left)).toMatch(/^\/var\/cache\/pacman\/pkg:\n\n[\s\S]*tiny-tool-1-1\n$/)
  })

  it('takes its settings from the web, and makes a base when nothing is included', async () => {
    await using server = await serveFiles(join(configuration, '..'))
    const { status, stderr, look } = await build(`Bootstrap: arch\nConfURL: ${server.address}/pacman.conf`)
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await look('busybox ls -d /opt 2>&1')).toMatch(/No such file/)
  })

  it('has keys of its own where it has the tool for them', async () => {
    const header = `Bootstrap: arch\nConfURL: ${configuration}\nInclude: tiny-keys`
    const { status, stderr, look } = await build(header)
    expect({ status, stderr }).toMatchObject({ status: 0 })
    expect(await look('busybox cat /opt/keys')).toBe('--init\n--populate archlinux\n')
    const failed = await build(`${header} tiny-tool`)
    expect([failed.status, failed.stderr]).toEqual([
      255,
      expect.stringContaining('pacman-key failed with status 3\n         no keys'),
    ])
  })

  it('says what is wrong with its settings or packages', async () => {
    const unknown = await build(`Bootstrap: arch\nConfURL: ${configuration}\nInclude: nonsuch`)
    expect(unknown.status).toBe(255)
    expect(unknown.stderr).toMatch(/target not found: nonsuch[\s\S]*pacman failed with status 1/)
    const gone = await build('Bootstrap: arch\nConfURL: /nowhere/pacman.conf')
    expect(gone.stderr).toContain('cannot read ConfURL /nowhere/pacman.conf: no such file or directory')
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'empty.conf'), '[options]\n')
    const empty = await build(`Bootstrap: arch\nConfURL: ${folder}/empty.conf`)
    expect(empty.stderr).toContain('empty.conf names no repository of packages')
  })
})

describe.skipIf(!can('userns'))('a tool that the machine lacks', () => {
  it.each([
    ['yum\nMirrorURL: file:///x', 'dnf or yum', '"dnf" (Debian'],
    ['zypper\nMirrorURL: file:///x', 'zypper', '"zypper" (Debian'],
    ['arch', 'pacman', '"pacman-package-manager" (Debian, Ubuntu) or "pacman"'],
    ['debootstrap\nOSVersion: bookworm\nMirrorURL: file:///x', 'debootstrap', '"debootstrap" (Debian'],
  ])('is named with its package: %s', async (agent, tool, packages) => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'sbin'))
    writeFileSync(join(folder, 'x.def'), `Bootstrap: ${agent}\n`)
    // Directories of the system are looked into whatever PATH says, so what is there is covered.
    const cover =
      'for d in /usr/bin /usr/sbin; do for f in dnf dnf-3 yum zypper pacman debootstrap; do [ ! -e $d/$f ] || mount --bind /dev/null $d/$f; done; done'
    const { run, program } = await import('../helpers/sing.ts')
    const script = `${cover}; exec "$0" build --fakeroot x.sif x.def`
    const { status, stderr } = await run(['unshare', '-Urm', 'sh', '-c', script, program], {
      cwd: folder,
      env: { SINGULARITY_TMPDIR: folder },
    })
    expect(status).toBe(255)
    expect(stderr).toContain(`${tool} is not installed on this machine`)
    expect(stderr).toContain(packages)
  })
})
