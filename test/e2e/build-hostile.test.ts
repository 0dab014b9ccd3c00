/**
 * Builds that mean harm: bases and definitions with links at the places that a build writes to. A tree on the host that the
 * links aim at, and that the builder may write to, must be the same before and after, and nothing of it is in the image.
 */

import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openImage } from '../../src/image/open.ts'
import { SquashfsImage } from '../../src/native/addon.ts'
import { can } from '../helpers/can.ts'
import { type Outcome, sing } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
let work = ''
let canary = ''
let number = 0

const secret = 'of the host alone'

beforeAll(async () => {
  if (!can('userns', 'fuse')) return
  images = await makeImages()
  work = temporaryFolder()
  canary = join(work, 'canary')
  mkdirSync(join(canary, 'directory', 'deep'), { recursive: true })
  for (const name of ['file', 'directory/passwd', 'directory/deep/file', 'directory/labels.json'])
    writeFileSync(join(canary, name), secret)
  mkdirSync(join(work, 'in', 'sub'), { recursive: true })
  mkdirSync(join(work, 'tmp'))
  for (const name of ['a.txt', 'sub/b.txt']) writeFileSync(join(work, 'in', name), 'given')
  give(work)
  // Whoever builds may change the tree: only we keep it from being changed.
  chmodSync(join(canary, 'directory'), 0o777)
})

/** Everything that can be seen of the tree: names, kinds, modes, owners, sizes, times, contents. */
const snapshot = (): string =>
  execFileSync('sh', [
    '-c',
    'cd "$1" && find . -printf "%p %y %m %U:%G %s %T@ %l\\n" | sort && find . -type f -exec sha256sum {} + | sort',
    'sh',
    canary,
  ]).toString()

/** A base with a link, or what else `make` makes, in the place of whatever is at a path. */
function baseWith(path: string, make: (at: string) => void): string {
  const tree = join(work, `tree${number++}`)
  execFileSync('cp', ['-al', images.sandbox, tree])
  const at = join(tree, path)
  rmSync(at, { recursive: true, force: true })
  mkdirSync(dirname(at), { recursive: true })
  make(at)
  execFileSync('chown', ['-h', '--reference', images.sandbox, at])
  return tree
}

const everything = `
%files
  in/a.txt /etc/a.txt
  in/a.txt /tmp/
  in/a.txt /scif/a.txt
  in /.singularity.d/in
%post
  echo done > /post
  echo "Key value" >> $SINGULARITY_LABELS
  echo "export A=1" >> $SINGULARITY_ENVIRONMENT
%environment
  export B=1
%labels
  Name value
%help
  Help
%runscript
  true
%startscript
  true
%test
  true
%appinstall one
  echo 1 > one
%apprun one
  true
%appenv one
  export C=1
%applabels one
  Name value
%apphelp one
  Help
%appfiles one
  in/a.txt a.txt
`

type Way = { readonly flags: readonly string[]; readonly as: 'user' | 'self' }

async function build(text: string, { flags, as }: Way, more: readonly string[] = []): Promise<Outcome> {
  writeFileSync(join(work, 'x.def'), text)
  const env = { SINGULARITY_TMPDIR: join(work, 'tmp') }
  const args = ['build', '--force', ...flags, ...more, 'x.sif', 'x.def']
  return await sing(args, { cwd: work, as, env, timeout: 60_000 })
}

/** Build, and look whether the canary sings. Resolves with how the build went. */
async function mustTouchNothing(text: string, way: Way, more: readonly string[] = []): Promise<Outcome> {
  const before = snapshot()
  const first = await build(text, way, more)
  expect(snapshot()).toBe(before)
  // The second time its steps are known.
  const outcome = first.status === 0 ? await build(text, way, more) : first
  expect(snapshot()).toBe(before)
  // It comes to an end with or without an image, and says why.
  if (outcome.status !== 0)
    expect([outcome.status, outcome.stderr]).toEqual([255, expect.stringContaining('FATAL')])
  expect(readdirSync(join(work, 'tmp'))).toEqual([])
  return outcome
}

/** What the image itself holds: a file's text, or where a link leads. */
async function inImage(...paths: readonly string[]): Promise<(string | undefined)[]> {
  const { rootfs } = await openImage(join(work, 'x.sif'))
  if ('directory' in rootfs) throw new Error('x.sif is a directory')
  await using image = await SquashfsImage.open(rootfs.file, rootfs.offset, rootfs.size)
  const read = async (path: string) =>
    (await image.readlink(path)) ?? (await image.read(path, 1000))?.toString()
  return await Promise.all(paths.map(read))
}

const directories = [
  '.singularity.d',
  ...['actions', 'env', 'libs', 'bootstrap_history'].map((name) => `.singularity.d/${name}`),
  ...['dev', 'proc', 'sys', 'etc', 'tmp', 'var', 'var/tmp', 'root', 'home', 'bin'],
  ...['scif', 'scif/apps', 'scif/data', 'scif/apps/one', 'scif/apps/one/scif', 'scif/apps/one/scif/env'],
  'scif/data/one/input',
]
const files = [
  ...['Singularity', 'labels.json', 'runscript', 'startscript', 'test', 'runscript.help'].map(
    (name) => `.singularity.d/${name}`,
  ),
  ...['01-base', '90-environment', '91-environment', '94-appsbase', '99-base'].map(
    (name) => `.singularity.d/env/${name}.sh`,
  ),
  ...['.singularity.d/bootstrap_history/Singularity0', '.singularity.d/actions/run'],
  ...['etc/resolv.conf', 'etc/hosts', 'etc/a.txt', 'etc/passwd', 'bin/sh'],
  ...['.post.script', '.build.labels', '.apt.conf', 'post', 'environment', 'singularity', '.run', '.shell'],
  ...[
    'scif/apps/one/scif/runscript',
    'scif/apps/one/scif/labels.json',
    'scif/apps/one/a.txt',
    'scif/apps/one/one',
  ],
]

const ways = [
  { ids: 'subordinate ids', flags: [], as: 'user', needs: can('subuid') },
  { ids: 'a single id', flags: ['--ignore-subuid'], as: 'user', needs: true },
  { ids: 'all ids, for root', flags: [], as: 'self', needs: can('root') },
] as const

describe.skipIf(!can('userns', 'fuse'))('a build', () => {
  describe.each(ways)('with $ids', (way) => {
    // A range of ids makes no difference to what is written where.
    const places = way.ids === 'subordinate ids' ? ['.singularity.d', 'etc'] : [...directories, ...files]

    it.skipIf(!way.needs)('makes an image of a base that means well', async () => {
      const { status, stderr } = await mustTouchNothing(
        `Bootstrap: localimage\nFrom: ${images.sandbox}\n${everything}`,
        way,
      )
      expect(status, stderr).toBe(0)
    })

    it.skipIf(!way.needs).each(places)('leaves alone what a link at /%s leads to', async (path) => {
      const target = join(canary, directories.includes(path) ? 'directory' : 'file')
      const absolute = baseWith(path, (at) => symlinkSync(target, at))
      await mustTouchNothing(`Bootstrap: localimage\nFrom: ${absolute}\n${everything}`, way)
    })

    it.skipIf(!way.needs).each([
      { kind: 'relative', target: (at: string) => relative(dirname(at), join(canary, 'directory')) },
      { kind: 'climbing', target: () => `${'../'.repeat(30)}${join(canary, 'directory')}` },
      { kind: 'dangling', target: () => join(canary, 'directory', 'new') },
      { kind: 'circling', target: (at: string) => at },
    ])('leaves alone what $kind links lead to', async ({ target }) => {
      for (const path of ['.singularity.d', 'etc', 'scif', '.post.script', '.build.labels']) {
        const tree = baseWith(path, (at) => symlinkSync(target(at), at))
        await mustTouchNothing(`Bootstrap: localimage\nFrom: ${tree}\n${everything}`, way)
      }
    })

    it.skipIf(!way.needs)('leaves them alone where the tree is not mounted but unpacked', async () => {
      for (const path of ['.singularity.d', '.singularity.d/env', 'etc', 'tmp', 'scif', '.post.script']) {
        const tree = baseWith(path, (at) => symlinkSync(join(canary, 'directory'), at))
        await mustTouchNothing(`Bootstrap: localimage\nFrom: ${tree}\n${everything}`, way, ['--fix-perms'])
      }
    })

    it.skipIf(!way.needs)('copies through links of the image inside it', async () => {
      const base = `Bootstrap: localimage\nFrom: ${images.sandbox}\n`
      const links = `%setup
  ln -s ${canary}/directory $SINGULARITY_ROOTFS/opt/away
  ln -s ${'../'.repeat(20)}${canary} $SINGULARITY_ROOTFS/opt/up
  ln -s ${canary}/file $SINGULARITY_ROOTFS/opt/file
`
      const copies =
        '  in/a.txt /opt/away/a.txt\n  in /opt/up/in\n  in/a.txt /opt/file\n  in/sub/b.txt /opt/away/deep/\n'
      const { status, stderr } = await mustTouchNothing(`${base}${links}%files\n${copies}`, way)
      expect(status, stderr).toBe(0)
      expect(await inImage('/opt/away/a.txt', `${canary}/in/sub/b.txt`, '/opt/file')).toEqual([
        'given',
        'given',
        `${canary}/file`,
      ])
      expect(await inImage(`${canary}/file`)).toEqual(['given'])
    })

    it.skipIf(!way.needs)('copies out of a stage what is in the stage', async () => {
      const base = `Bootstrap: localimage\nFrom: ${images.sandbox}\n`
      const make = `${canary}/file /leak; ln -s ${canary}/directory /away; mkdir /out; ln -s ${canary}/file /out/x; ln -s ${canary} /out/y`
      const first = `${base}Stage: one\n%post\n  ln -s ${make}\n`
      for (const line of [
        '/leak /got',
        '/away /got',
        '/away/deep/file /got',
        `${'../'.repeat(20)}${canary}/file /got`,
      ]) {
        const { status, stderr } = await mustTouchNothing(`${first}${base}%files from one\n  ${line}\n`, way)
        expect([status, stderr]).toEqual([255, expect.stringContaining('no such file')])
      }
      const { status } = await mustTouchNothing(`${first}${base}%files from one\n  /out /out\n`, way)
      expect([status, ...(await inImage('/out/x', '/out/y'))]).toEqual([0, `${canary}/file`, canary])
    })

    it.skipIf(!way.needs)('finds links where directories were a step before', async () => {
      const base = `Bootstrap: localimage\nFrom: ${images.sandbox}\n`
      const swap = (path: string) => `rm -rf ${path}; ln -s ${canary}/directory ${path}`
      for (const path of [
        '/.singularity.d',
        '/.singularity.d/env',
        '/scif',
        '/scif/apps/one/scif',
        '/etc',
        '/opt',
        '/tmp',
      ]) {
        const parts = `%post\n  ${swap(path)}\n  # ---\n  mkdir -p /opt\n  ${swap('/opt')}\n  # ---\n  rm -f /.build.labels; ln -s ${canary}/file /.build.labels\n`
        await mustTouchNothing(`${base}${everything}${parts}`, way)
      }
      const setup = `%setup\n  rm -rf $SINGULARITY_ROOTFS/etc; ln -s ${canary}/directory $SINGULARITY_ROOTFS/etc\n`
      await mustTouchNothing(`${base}${setup}${everything}`, way)
    })
  })

  const way = ways[1]
  const scratch = 'Bootstrap: scratch\n'

  it.each([
    { what: 'longer than 16 MiB', text: `${scratch}%post\n${'x'.repeat(16 * 1024 * 1024)}`, says: '16 MiB' },
    { what: 'of 10,000 sections', text: `${scratch}${'%help\nx\n'.repeat(10_000)}%psot\n`, says: 'psot' },
    {
      what: 'of 10,000 apps',
      text: `${scratch}${Array.from({ length: 10_000 }, (_, i) => `%apphelp a${i}\nx\n`).join('')}%psot\n`,
      says: 'psot',
    },
    {
      what: 'of 100,000 copies',
      text: `${scratch}%files\n${'in/a.txt /a\n'.repeat(100_000)}%psot\n`,
      says: 'psot',
    },
    {
      what: 'of 100,000 missing copies',
      text: `${scratch}%files\n${'none /a\n'.repeat(100_000)}`,
      says: 'x.def:3',
    },
    {
      what: 'of deep braces',
      text: `${scratch}%files\n${'{a,'.repeat(2000)}b${'}'.repeat(2000)} /x\n`,
      says: 'x.def:3',
    },
    { what: 'of many braces', text: `${scratch}%files\n${'{a,b}'.repeat(40)} /x\n`, says: 'braces' },
    { what: 'of one long pattern', text: `${scratch}%files\n${'*'.repeat(100_000)} /x\n`, says: 'longer' },
    {
      what: 'of arguments that double each other',
      text: `${scratch}%arguments\nA0=xx\n${Array.from({ length: 60 }, (_, i) => `A${i + 1}={{ A${i} }}{{ A${i} }}\n`).join('')}%post\n{{ A60 }}\n`,
      says: '16 MiB',
    },
    {
      what: 'of a header that goes on and on',
      text: `${scratch}Include: ${'\\\n'.repeat(100_000)}\n%psot\n`,
      says: 'psot',
    },
  ])('refuses a definition $what', async ({ text, says }) => {
    const { status, stderr } = await mustTouchNothing(text, way)
    expect([status, stderr]).toEqual([255, expect.stringContaining(says)])
  })

  it('takes a large one that is right', async () => {
    const comments = '# nothing\n'.repeat(500_000)
    const { status, stderr } = await mustTouchNothing(
      `${scratch}%help\nshort\n%environment\n${comments}`,
      way,
    )
    expect(status, stderr).toBe(0)
  })
})
