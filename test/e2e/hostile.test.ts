/**
 * Images that mean harm. Whatever is in one: nothing outside of it is touched, nothing hangs, and the result is clear. A
 * tree on the host, full of what links of an image may aim at, must be the same before and after.
 */

import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { can, hasProgram } from '../helpers/can.ts'
import { type Outcome, type RunOptions, run, sing, testUser } from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { type Images, makeImages } from './images.ts'

/** A hang is a failure: the program is killed, and its status says so. */
const bounded = { timeout: 60_000 } as const

let images: Images
let work: string
let canary: string
let made = 0

beforeAll(async () => {
  images = await makeImages()
  work = temporaryFolder()
  canary = join(work, 'canary')
  mkdirSync(join(canary, 'deep', 'er'), { recursive: true })
  for (const name of ['passwd', 'group', 'hosts', 'resolv.conf', 'localtime', 'hostname', 'script']) {
    writeFileSync(join(canary, name), `of the host: ${name}\n`)
  }
  give(work)
  // Whoever runs the container may change the tree: only sing itself keeps it from being changed.
  chmodSync(canary, 0o777)
})

afterAll(() => {
  // Some trees are deeper than a path can be long.
  execFileSync('rm', ['-rf', work])
})

/** Everything that can be seen of a tree: names, kinds, modes, owners, sizes, times, contents. */
const snapshot = (): string =>
  execFileSync('sh', [
    '-c',
    'cd "$1" && find . -printf "%p %y %m %U:%G %s %T@ %l\\n" | sort && find . -type f -exec sha256sum {} + | sort',
    'sh',
    canary,
  ]).toString()

/** A copy of the sandbox for one test: the files are shared, what a test changes it replaces. */
function newTree(): string {
  const tree = join(work, `tree${made++}`)
  execFileSync('cp', ['-al', images.sandbox, tree])
  return tree
}

/** Puts a link, or what else `make` makes, in the place of whatever is at a path of a tree. */
function replaceAt(tree: string, path: string, make: (at: string) => void): void {
  const at = join(tree, path)
  rmSync(at, { recursive: true, force: true })
  mkdirSync(dirname(at), { recursive: true })
  make(at)
}

const own = (tree: string): void => {
  if (process.getuid?.() === 0) execFileSync('chown', ['-hR', `${testUser().uid}:${testUser().gid}`, tree])
}

/** A squashfs file of a tree. */
function packed(tree: string, ...options: string[]): string {
  const image = `${tree}.sqfs`
  execFileSync('mksquashfs', [
    tree,
    image,
    '-quiet',
    '-no-progress',
    '-noappend',
    '-comp',
    'gzip',
    ...options,
  ])
  give(image)
  return image
}

/** The ways to start an image that differ in what they do to it. */
const ways: readonly (readonly string[])[] = [
  [],
  ['--contain', '--hostname', 'node'],
  ['--fakeroot'],
  ['--writable'],
  ['--writable', '--fakeroot', '--hostname', 'node'],
  ['--writable-tmpfs'],
]

/** It ran, or was refused in one sentence, or a shell of the image could not read its own script and says so. */
function isClear({ status, stderr }: Outcome): boolean {
  if (status === 255) return stderr.match(/^FATAL: {3}\S/gm)?.length === 1
  return status === 0 || (status === 2 && stderr.includes('Permission denied'))
}

/** Start a tree in all ways, as sandbox and packed, and look that nothing happened outside. */
async function attack(tree: string, some = ways, options: RunOptions = {}): Promise<void> {
  own(tree)
  const before = snapshot()
  const command = ['/bin/busybox', 'true']
  for (const flags of some) {
    const outcome = await sing(['exec', ...flags, tree, ...command], { cwd: work, ...bounded, ...options })
    expect([flags, isClear(outcome), outcome]).toEqual([flags, true, outcome])
  }
  if (some === ways && hasProgram('mksquashfs')) {
    const image = packed(tree)
    const outcome = await sing(['exec', image, ...command], { cwd: work, ...bounded, ...options })
    expect([image, isClear(outcome), outcome]).toEqual([image, true, outcome])
    rmSync(image)
  }
  expect(snapshot()).toBe(before)
  execFileSync('rm', ['-rf', tree])
}

/** Places of mounts; what stands together may fail without hiding the others. */
const groups: readonly (readonly string[])[] = [
  ['etc/passwd'],
  ['etc/group'],
  ['etc/resolv.conf', 'etc/hosts', 'etc/localtime', 'etc/hostname'],
  ['tmp', 'var/tmp'],
  ['home', 'root'],
  [testUser().home.slice(1)],
  ['proc'],
  ['sys'],
  ['dev'],
  ['dev/pts', 'dev/shm'],
  ['etc'],
  ['var'],
]

/** What links aim at; `%` stands for the tree of the host, `@` for the name of the place. */
const direct = ['%/@', '%/new', '../../../../../../%/@']
const indirect = ['/', '/etc', '../..', '%', '%/deep/er/new/@', '/proc/self/root/%', '@']

/** A tree with links to the target in all these places. */
function linked(target: string, places: readonly string[]): string {
  const tree = newTree()
  for (const place of places) {
    const name = place.split('/').at(-1) ?? ''
    const to = target.replace('%', target.startsWith('..') ? canary.slice(1) : canary).replace('@', name)
    replaceAt(tree, place, (at) => symlinkSync(to, at))
  }
  return tree
}

const possible = can('userns', 'fuse', 'overlay')

describe.skipIf(!possible)('links at the places of mounts', () => {
  it.each(direct)('to %s lead nowhere', { timeout: 300_000 }, async (target) => {
    for (const places of groups) await attack(linked(target, places))
  })

  it.each(indirect)('to %s lead nowhere', { timeout: 300_000 }, async (target) => {
    const few = [[], ['--writable', '--fakeroot', '--hostname', 'node']]
    for (const places of groups) await attack(linked(target, places), few)
  })

  it('in chains and circles lead nowhere', { timeout: 120_000 }, async () => {
    const tree = newTree()
    const chain = (at: string, to: string) => replaceAt(tree, at, (path) => symlinkSync(to, path))
    chain('a', '/b')
    chain('b', 'c/d')
    chain('c', '/e')
    chain('e', canary)
    chain('etc/passwd', '/b')
    chain('etc/group', '/circle')
    chain('circle', '/round')
    chain('round', 'circle')
    chain('tmp', '/a/../e')
    chain('var/tmp', 'tmp')
    for (let index = 0; index < 50; index += 1) chain(`long${index}`, `long${index + 1}`)
    chain('long50', canary)
    chain('etc/hosts', '/long0')
    chain('etc/resolv.conf', `${'x/../'.repeat(600)}long0`)
    await attack(tree)
  })

  it.skipIf(!can('root'))('lead nowhere for root of the machine', { timeout: 300_000 }, async () => {
    for (const places of groups) {
      for (const target of direct) await attack(linked(target, places), [[], ['--writable']], { as: 'self' })
    }
  })

  it('lead no bind and no scratch directory out', { timeout: 120_000 }, async () => {
    const tree = newTree()
    symlinkSync(canary, join(tree, 'out'))
    symlinkSync('/proc/self/root', join(tree, 'self'))
    own(tree)
    const before = snapshot()
    const flags = [
      ['--bind', `${images.folder}:/out/new`],
      ['--bind', `${images.folder}:/self${canary}/new`],
      ['--scratch', '/out/new'],
      ['--home', `${images.folder}:/out/new/home`],
      ['--mount', `type=bind,src=${images.everything},dst=/out/file`],
    ]
    for (const some of flags) {
      for (const way of ways) {
        const outcome = await sing(['exec', ...way, ...some, tree, 'true'], { cwd: work, ...bounded })
        expect([some, isClear(outcome), outcome]).toEqual([some, true, outcome])
        expect([some, way, snapshot()]).toEqual([some, way, before])
      }
    }
  })
})

const mkfifo = (at: string): void => {
  execFileSync('mkfifo', [at])
}
const oddities: readonly (readonly [string, (at: string) => void])[] = [
  ['a pipe', mkfifo],
  ['a directory', (at) => mkdirSync(at)],
  ['a file without rights', (at) => writeFileSync(at, '', { mode: 0 })],
  [
    'a file of 100 MB',
    (at) => {
      writeFileSync(at, 'root:x:0:0::/:\n')
      truncateSync(at, 100 * 1024 * 1024)
    },
  ],
  ['a long line', (at) => writeFileSync(at, `${'x:'.repeat(200_000)}\n`)],
  ['many bytes that are no text', (at) => writeFileSync(at, Buffer.alloc(100_000, 0))],
]
const read = [
  'etc/passwd',
  'etc/group',
  'etc/hosts',
  'etc/resolv.conf',
  '.singularity.d',
  '.singularity.d/env',
  '.singularity.d/env/90-environment.sh',
  '.singularity.d/runscript',
  '.singularity.d/labels.json',
]

describe.skipIf(!possible)('other things than files', () => {
  it.each(oddities)('at the places of files harm nobody: %s', { timeout: 300_000 }, async (_, make) => {
    for (const place of read) {
      const tree = newTree()
      replaceAt(tree, place, make)
      // run may have nothing to run, and says so by its status; it does not wait for a pipe.
      for (const words of [
        ['run', tree],
        ['inspect', '--all', tree],
        ['run-help', tree],
      ]) {
        const outcome = await sing(words, { cwd: work, ...bounded })
        expect([place, words, outcome.status < 128 || outcome.status === 255]).toEqual([place, words, true])
      }
      await attack(tree, [[], ['--writable', '--fakeroot']])
    }
  })

  it('as .singularity.d lead to no script of the host', async () => {
    const script = join(canary, 'env')
    const tree = newTree()
    replaceAt(tree, '.singularity.d', (at) => symlinkSync(canary, at))
    mkdirSync(script)
    writeFileSync(join(script, '10-evil.sh'), 'echo evil\n')
    const { stdout } = await sing(['exec', '--contain', tree, '/bin/busybox', 'echo', 'good'], {
      cwd: work,
      ...bounded,
    })
    expect(stdout).toBe('good\n')
    rmSync(script, { recursive: true })
  })
})

describe.skipIf(!possible)('a tree of 10,000 directories below each other', () => {
  const deep =
    'const fs = require("fs"); for (let i = 0; i < 10000; i++) { fs.mkdirSync("d"); process.chdir("d") } fs.writeFileSync("end", "")'

  it('starts, packs and unpacks, or is refused in a sentence', { timeout: 300_000 }, async () => {
    const tree = newTree()
    execFileSync(process.execPath, ['-e', deep], { cwd: tree })
    execFileSync('chown', ['-hR', `${testUser().uid}:${testUser().gid}`, tree])
    const before = snapshot()
    for (const flags of ways) {
      const outcome = await sing(['exec', ...flags, tree, 'true'], { cwd: work, ...bounded })
      expect([flags, outcome.status, outcome.stderr]).toEqual([
        flags,
        0,
        expect.not.stringContaining('FATAL'),
      ])
    }
    const image = join(work, 'deep.sif')
    const build = await sing(['build', image, tree], { cwd: work, ...bounded, timeout: 120_000 })
    expect(isClear(build)).toBe(true)
    const place = `/tmp${'/d'.repeat(2000)}`
    const bind = await sing(['exec', '--bind', `${canary}:${place}`, tree, 'true'], { cwd: work, ...bounded })
    expect(bind).toMatchObject({ status: 255, stderr: expect.stringMatching(/^FATAL: {3}\S[^\n]*\n$/) })
    expect(snapshot()).toBe(before)
    execFileSync('rm', ['-rf', tree])
  })
})

/** Nodes and setuid files, which anybody can write into a squashfs. */
describe.skipIf(!possible || !hasProgram('mksquashfs'))('device nodes and setuid files', () => {
  let image: string

  beforeAll(() => {
    const tree = newTree()
    image = packed(
      tree,
      ...['-p', '/disk b 666 0 0 254 0', '-p', '/mem c 666 0 0 1 1', '-p', '/zero c 666 0 0 1 5'],
      ...['-p', '/bin/busybox m 6755 0 0'],
    )
  })

  const script =
    'id -u; for n in disk mem zero; do head -c1 /$n >/dev/null 2>&1 && echo $n; done; grep NoNew /proc/self/status'
  it.each([[[]], [['--fakeroot']], [['--writable-tmpfs']], [['--contain']]])(
    'have no power with %j',
    async (flags: string[]) => {
      const { stdout } = await sing(['exec', ...flags, image, '/bin/busybox', 'sh', '-c', script], {
        cwd: work,
        ...bounded,
      })
      expect(stdout).toBe(`${flags.includes('--fakeroot') ? 0 : testUser().uid}\nNoNewPrivs:\t1\n`)
    },
  )

  it.skipIf(!can('root'))('have none for root, and none for whom root becomes', async () => {
    for (const flags of [[], ['--security', 'uid:54321']]) {
      const args = ['exec', ...flags, image, '/bin/busybox', 'sh', '-c', script.replace(/grep.*/, '')]
      const { stdout } = await sing(args, { cwd: '/', as: 'self', ...bounded })
      expect([flags, stdout]).toEqual([flags, flags.length > 0 ? '54321\n' : '0\n'])
    }
  })

  it('of a sandbox have none either', async () => {
    const tree = newTree()
    chmodSync(join(tree, 'bin/busybox'), 0o6755)
    own(tree)
    chmodSync(join(tree, 'bin/busybox'), 0o6755)
    const { stdout } = await sing(['exec', tree, '/bin/busybox', 'sh', '-c', 'id -u'], {
      cwd: work,
      ...bounded,
    })
    expect(stdout).toBe(`${testUser().uid}\n`)
  })
})

describe.skipIf(!possible)('the payload', () => {
  const attempts: readonly (readonly [string, string])[] = [
    ['signals the processes of others', 'kill -0 1'],
    ['reads the environment of others', 'cat /proc/1/environ'],
    ['enters the root of others', 'ls /proc/1/root/'],
    ['enters the namespaces of others', 'nsenter -t 1 -m true'],
    ['enters the namespaces of its caller', 'nsenter -t $PPID -U -m true || nsenter -t $PPID -m true'],
    ['changes the name of the host', 'echo evil >/proc/sys/kernel/hostname'],
    ['changes the kernel', 'echo 1 >/proc/sys/kernel/panic'],
    ['changes the clock', 'date -s @1; [ $(date +%s) -lt 1000000 ]'],
    ['raises its priority', 'nice -n -5 true 2>&1 | grep . && exit 1 || renice -n -5 $$'],
    ['makes device nodes that work', 'cd /dev/shm && mknod n$$ c 1 5 && head -c1 n$$'],
    ['reads the memory of the machine', 'head -c1 /dev/mem || head -c1 /proc/kcore'],
    ['loads programs into the kernel', 'insmod /etc/passwd'],
  ]
  const identities = [[], ['--fakeroot'], ['--fakeroot', '--ignore-subuid'], ['--add-caps', 'all']]

  it.each(attempts)('never %s', async (_, command) => {
    for (const flags of identities) {
      const words = ['exec', ...flags, images.sandbox, 'sh', '-c', `(${command}) && echo done`]
      const outcome = await sing(words, { cwd: work, ...bounded })
      expect([flags, outcome.stdout.includes('done'), outcome.status]).not.toEqual([flags, true, 0])
    }
  })

  it.skipIf(!can('root'))('never sees the files of others', async () => {
    const secret = join(work, 'secret')
    writeFileSync(secret, 'of root\n', { mode: 0o600 })
    const closed = join(work, 'closed')
    mkdirSync(closed, { mode: 0o700 })
    writeFileSync(join(closed, 'file'), 'of root\n')
    for (const flags of identities) {
      const script = `cat ${secret} || ls ${closed} || touch ${closed}/x || cat /mnt || ls /srv`
      const binds = ['--bind', `${secret}:/mnt/secret`, '--bind', `${closed}:/srv/closed`]
      const words = [
        ...flags,
        ...binds,
        images.sandbox,
        'sh',
        '-c',
        script.replace('/mnt', '/mnt/secret').replace('/srv', '/srv/closed'),
      ]
      const outcome = await sing(['exec', ...words], { cwd: work, ...bounded })
      expect([flags, outcome.stdout, outcome.status === 0]).toEqual([flags, '', false])
    }
  })

  it.skipIf(!can('root'))('never ends the processes of others', async () => {
    const others = await run(['sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $!'], { as: 'self' })
    const pid = others.stdout.trim()
    for (const flags of identities) {
      await sing(['exec', ...flags, images.sandbox, 'kill', '-9', pid], { cwd: work, ...bounded })
      expect([flags, existsSync(`/proc/${pid}/exe`)]).toEqual([flags, true])
    }
    process.kill(Number(pid))
  })
})
