import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { can, debootstrapRelease } from '../helpers/can.ts'
import { sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

const definition = `Bootstrap: debootstrap
OSVersion: {{ RELEASE }}

%post
  apt-get update
  apt-get install -y --no-install-recommends hello
  touch /given; chown daemon:daemon /given

%runscript
  exec hello "$@"
`

/** Minutes: packages come over the network, and two processors have to unpack them. */
const timeout = 600_000

describe.skipIf(!can('debootstrap', 'userns', 'fuse'))('a Debian made by debootstrap', () => {
  it.each([
    { ids: 'subordinate ids', flags: [], able: can('subuid') },
    { ids: 'a single id', flags: ['--ignore-subuid'], able: true },
  ])(
    'is built by an ordinary user with $ids, installs packages, and runs',
    { timeout },
    async ({ flags, able }) => {
      if (!able) return
      const folder = temporaryFolder()
      writeFileSync(join(folder, 'debian.def'), definition)
      give(join(folder, 'debian.def'))
      const env = { SINGULARITY_TMPDIR: folder }
      const release = ['--build-arg', `RELEASE=${debootstrapRelease()?.name}`]
      const command = ['build', ...flags, ...release, 'debian.sif', 'debian.def']
      const built = await sing(command, { cwd: folder, env, timeout })
      expect(built.stderr).not.toContain('FATAL')
      expect(built.status).toBe(0)
      expect(readdirSync(folder).sort()).toEqual(['debian.def', 'debian.sif'])
      const greeting = await sing(['run', 'debian.sif', '--greeting=works'], { cwd: folder })
      expect(greeting).toMatchObject({ status: 0, stdout: 'works\n' })
      // What the build itself needed is not left in the image.
      const left =
        'ls /var/cache/apt/archives/base-files*.deb /.post.script /.apt.conf /.build.labels 2>/dev/null | wc -l'
      const { stdout } = await sing(['exec', 'debian.sif', 'sh', '-c', left], { cwd: folder })
      expect(stdout.trim()).toBe('0')
    },
  )
})

describe.skipIf(!can('userns'))('a debootstrap that cannot be', () => {
  const build = async (header: string, env: Record<string, string> = {}) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'x.def'), `Bootstrap: debootstrap\n${header}`)
    return await sing(['build', 'x.sif', 'x.def'], {
      cwd: folder,
      env: { SINGULARITY_TMPDIR: folder, ...env },
    })
  }

  it('names the release that is no name', async () => {
    const { status, stderr } = await build('OSVersion: --help\nMirrorURL: http://127.0.0.1:9/\n')
    expect([status, stderr]).toEqual([255, expect.stringContaining('OSVersion')])
  })

  it('shows the last words of debootstrap', async () => {
    if (!can('debootstrap')) return
    const { status, stdout, stderr } = await build(
      'OSVersion: bookworm\nMirrorURL: http://127.0.0.1:9/debian\n',
    )
    expect([status, stderr]).toEqual([255, expect.stringContaining('debootstrap failed with status 1')])
    expect(stdout).toMatch(/E: .*127\.0\.0\.1:9/)
  })

  it('warns of packages that nobody can check', async () => {
    const keyring = '/usr/share/keyrings/ubuntu-archive-keyring.gpg'
    if (!can('debootstrap') || existsSync(keyring)) return
    const { status, stderr } = await build('OSVersion: jammy\nMirrorURL: http://127.0.0.1:9/ubuntu\n')
    expect(status).toBe(255)
    expect(stderr).toContain(`WARNING: Signatures of the packages are not checked: ${keyring} is missing`)
  })

  it('names the release that debootstrap does not know', async () => {
    if (!can('debootstrap')) return
    const { status, stderr } = await build('OSVersion: bookwurm\nMirrorURL: http://127.0.0.1:9/debian\n')
    expect(status).toBe(255)
    expect(stderr).toContain('x.def:2: debootstrap of this machine knows no release "bookwurm"')
  })
})
