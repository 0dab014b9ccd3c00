/** Images for other machines: with and without programs of theirs to run, and with a kernel that knows an emulator. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can, hasProgram } from '../helpers/can.ts'
import { type Layout, writeLayout } from '../helpers/oci.ts'
import { program, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

/** Neither of them runs the programs of the other. */
const other = process.arch === 'x64' ? 'arm64' : 'amd64'
const emulator = process.arch === 'x64' ? 'qemu-aarch64' : 'qemu-x86_64'

let layout: Layout
beforeAll(async () => {
  const base = await busyboxLayer()
  const platform = { architecture: other }
  // Its programs are in fact those of this machine: emulation that costs nothing.
  layout = writeLayout(join(temporaryFolder(), 'layout'), { other: printingImage(base, { platform }) })
})

function definition(text: string) {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'tmp'))
  give(join(folder, 'tmp'))
  writeFileSync(join(folder, 'x.def'), text)
  const env = { SINGULARITY_TMPDIR: join(folder, 'tmp'), SINGULARITY_CACHEDIR: join(folder, 'cache') }
  return { folder, env }
}

const build = (text: string, flags: readonly string[] = [], more: Record<string, string> = {}) => {
  const { folder, env } = definition(text)
  return sing(['build', ...flags, 'x.sif', 'x.def'], { cwd: folder, env: { ...env, ...more } })
}

describe.skipIf(!can('userns', 'fuse'))('an image for another machine', () => {
  it('is built where nothing of it has to run', async () => {
    const text = `Bootstrap: oci\nFrom: ${layout.folder}:other\n%files\n  /etc/hostname /etc/origin\n%runscript\n  exec true\n`
    const { folder, env } = definition(text)
    const command = ['build', '--arch', other, 'x.sif', 'x.def']
    const { status, stderr } = await sing(command, { cwd: folder, env })
    expect({ status, stderr }).toMatchObject({ status: 0 })
    // Programs tell better than flags.
    expect(stderr).toContain(`WARNING: --arch ${other}: the programs of the image are for`)
  })

  it('keeps the architecture that was asked for when it has no programs', async () => {
    const { folder, env } = definition('Bootstrap: scratch\n%files\n  /etc/hostname /origin\n')
    const command = ['build', 'x.sif', 'x.def']
    const { status, stderr } = await sing(command, { cwd: folder, env: { ...env, SING_BUILD_ARCH: other } })
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining('WARNING') })
    const list = await sing(['sif', 'list', 'x.sif'], { cwd: folder })
    expect(list.stdout).toContain(`FS (Squashfs/*System/${other})`)
  })

  it.each([
    ['Bootstrap: scratch\n%post\n  true\n', `x.def:2: --arch ${other}: %post runs programs of the image`],
    ['Bootstrap: scratch\n\n%test\n  true\n', `x.def:3: --arch ${other}: %test runs programs`],
    [
      'Bootstrap: scratch\n%appinstall foo\n  true\n',
      `x.def:2: --arch ${other}: %appinstall foo runs programs`,
    ],
    ['Bootstrap: dnf\nMirrorURL: /x\n', `x.def:1: --arch ${other}: dnf runs programs`],
    [
      'Bootstrap: zypper\nMirrorURL: /x\n',
      `x.def:1: --arch ${other}: zypper makes systems for this machine only`,
    ],
  ])('is refused where its programs would have to run: %j', async (text, sentence) => {
    const { status, stderr } = await build(text, ['--arch', other])
    expect({ status, stderr }).toEqual({ status: 255, stderr: expect.stringContaining(sentence) })
  })

  it('is built without the scripts that could not run', async () => {
    const { status, stderr } = await build('Bootstrap: scratch\n%test\n  exit 1\n', [
      '--arch',
      other,
      '--notest',
    ])
    expect({ status, stderr }).toMatchObject({ status: 0 })
  })

  it('has an architecture that exists', async () => {
    const { status, stderr } = await build('Bootstrap: scratch\n', ['--arch', 'pdp11'])
    expect([status, stderr]).toEqual([1, expect.stringContaining('--arch pdp11')])
  })

  const register = `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && echo ':${emulator}:M::\\x7fELFnone::/bin/true:' >/proc/sys/fs/binfmt_misc/register`
  it.skipIf(!hasProgram('unshare'))(
    'is built with its scripts where the kernel knows an emulator',
    async (context) => {
      const text = `Bootstrap: oci\nFrom: ${layout.folder}:other\n%post\n  id -u >/seen\n`
      const { folder, env } = definition(text)
      const script = `${register} || exit 77; exec "$0" build --arch ${other} x.sif x.def`
      const command = ['unshare', '-Urm', 'sh', '-c', script, program]
      const { status, stderr } = await run(command, { cwd: folder, env })
      if (status === 77) return context.skip('the kernel has no binfmt_misc in user namespaces')
      expect({ status, stderr }).toMatchObject({ status: 0 })
    },
  )
})
