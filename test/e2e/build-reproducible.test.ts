/** The same bytes from the same things, whatever a build begins with, and whether its steps are known or not. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { can, hasProgram } from '../helpers/can.ts'
import { type Layout, writeLayout } from '../helpers/oci.ts'
import { makePacmanRepository } from '../helpers/pacman.ts'
import { makeRpmRepository, type RpmRepository } from '../helpers/rpm.ts'
import { projectRoot, run, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { busyboxLayer, printingImage } from './oci-images.ts'

const image = join(projectRoot, 'fixtures/images/everything.sif')
const sections = `%files
  /etc/hostname /srv/hostname
%setup
  echo setup >"$SINGULARITY_ROOTFS/setup"
%post
  mkdir -p /opt/a/b
  echo $$ >/opt/a/gone; rm /opt/a/gone
  echo x >/opt/a/b/x; ln -s x /opt/a/b/y; ln /opt/a/b/x /opt/a/b/z
  # ---
  rm -rf /srv/hostname
  touch /opt/last; chown 3:4 /opt/last
%labels
  Key value
%runscript
  exec true
`

let layout: Layout
let rpm: RpmRepository | undefined
let pacman = ''
let sandbox = ''
let busybox = ''
beforeAll(async () => {
  layout = writeLayout(join(temporaryFolder(), 'layout'), { app: printingImage(await busyboxLayer()) })
  if (can('dnf') || can('zypper')) rpm = await makeRpmRepository(temporaryFolder(), { signed: true })
  if (can('pacman')) {
    const folder = temporaryFolder()
    pacman = join(folder, 'pacman.conf')
    writeFileSync(pacman, await makePacmanRepository(folder))
    give(pacman)
  }
  busybox = (await run(['sh', '-c', 'command -v busybox'])).stdout.trim()
  const folder = temporaryFolder()
  sandbox = join(folder, 'sandbox')
  await sing(['build', '--sandbox', sandbox, image], { cwd: folder })
}, 120_000)

/** Builds one definition several times, as if on several days. */
function bench(text: string) {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'tmp'))
  give(join(folder, 'tmp'))
  writeFileSync(join(folder, 'x.def'), text)
  const build = async (name: string, flags: readonly string[] = []): Promise<Buffer> => {
    const env = {
      SINGULARITY_TMPDIR: join(folder, 'tmp'),
      SINGULARITY_CACHEDIR: join(folder, 'cache'),
      SOURCE_DATE_EPOCH: '1700000000',
    }
    const { status, stderr } = await sing(['build', ...flags, name, 'x.def'], { cwd: folder, env })
    if (status !== 0) throw new Error(stderr)
    return readFileSync(join(folder, name))
  }
  return { folder, build }
}

const nextSecond = () => new Promise((resolve) => setTimeout(resolve, 1100 - (Date.now() % 1000)))

describe.skipIf(!can('userns', 'fuse'))('two builds have the same bytes', () => {
  it.each([
    { what: 'an image file', able: true, header: () => `Bootstrap: localimage\nFrom: ${image}\n` },
    { what: 'a sandbox', able: true, header: () => `Bootstrap: localimage\nFrom: ${sandbox}\n` },
    { what: 'an image of OCI', able: true, header: () => `Bootstrap: oci\nFrom: ${layout.folder}:app\n` },
    {
      what: 'busybox',
      able: hasProgram('busybox'),
      header: () => `Bootstrap: busybox\nMirrorURL: ${busybox}\n`,
    },
    {
      what: 'dnf',
      able: can('dnf'),
      header: () => `Bootstrap: dnf\nMirrorURL: ${rpm?.path}\nInclude: tiny-tool\n`,
      tools: true,
    },
    {
      what: 'zypper',
      able: can('zypper'),
      header: () => `Bootstrap: zypper\nMirrorURL: ${rpm?.path}\nInclude: tiny-tool\n`,
      tools: true,
    },
    {
      what: 'pacman',
      able: can('pacman'),
      header: () => `Bootstrap: arch\nConfURL: ${pacman}\nInclude: tiny-tool\n`,
      tools: true,
    },
  ])('from $what', async ({ able, header, tools = false }) => {
    if (!able) return
    const { build } = bench(`${header()}${tools ? '' : sections}`)
    const first = await build('first.sif')
    await nextSecond()
    expect((await build('known.sif')).equals(first)).toBe(true)
    expect((await build('anew.sif', ['--disable-cache'])).equals(first)).toBe(true)
    if (!can('subuid')) return
    const single = await build('single.sif', ['--ignore-subuid'])
    await nextSecond()
    expect((await build('again.sif', ['--ignore-subuid', '--disable-cache'])).equals(single)).toBe(true)
  })

  it('whose time is that of the base', async () => {
    const { build } = bench(`Bootstrap: localimage\nFrom: ${image}\n${sections}`)
    const first = await build('first.sif', ['--reproducible'])
    await nextSecond()
    expect((await build('again.sif', ['--reproducible', '--disable-cache'])).equals(first)).toBe(true)
  })
})
