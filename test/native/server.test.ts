/** The squashfs server on the real kernel: what a container sees of an image, and how long the server lives. */

import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { testUser } from '../helpers/sing.ts'
import { temporaryFolder } from '../helpers/temp.ts'
import { buildMounter, builtServer, type MountOptions, type Packed, pack, withMount } from './mount.ts'

const usable = can('userns', 'fuse')
const folder = temporaryFolder()
const tree = join(folder, 'tree')
const at = join(folder, 'mnt')
const mounter = buildMounter(folder)

const setXattrs = `import os, sys
os.setxattr(sys.argv[1], 'user.colour', b'red')
os.setxattr(sys.argv[1], 'user.long', b'x' * 3000)
os.setxattr(sys.argv[2], 'user.long', b'x' * 3000)`
const hasXattrs = makeTree()

/** One of everything, and enough of it to fill several blocks of data and of metadata. */
function makeTree(): boolean {
  mkdirSync(at)
  mkdirSync(join(tree, 'many'), { recursive: true })
  mkdirSync(join(tree, 'deep/a/b/c'), { recursive: true })
  writeFileSync(join(tree, 'empty'), '')
  writeFileSync(join(tree, 'small'), 'small\n')
  writeFileSync(join(tree, 'deep/a/b/c/bottom'), 'bottom\n')
  writeFileSync(join(tree, 'numbers'), numbers(100_000))
  writeFileSync(join(tree, 'random'), randomBytes(700_001))
  writeFileSync(join(tree, 'sparse'), 'begin')
  truncateSync(join(tree, 'sparse'), 1_500_000)
  appendFileSync(join(tree, 'sparse'), 'end')
  linkSync(join(tree, 'small'), join(tree, 'deep/hard'))
  symlinkSync('../small', join(tree, 'deep/relative'))
  symlinkSync('/no/where', join(tree, 'dangling'))
  spawnSync('mkfifo', [join(tree, 'fifo')])
  for (let i = 0; i < 1500; i++)
    writeFileSync(join(tree, 'many', `a-file-with-a-rather-long-name-${i}`), `${i}\n`)
  return spawnSync('python3', ['-c', setXattrs, join(tree, 'small'), join(tree, 'numbers')]).status === 0
}

function numbers(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i}\n`).join('')
}

const list = `find . -printf '%p %y %m %s %Ts %l\\n' | grep -v ' d ' | sort
  find . -type d -printf '%p %m %Ts\\n' | sort
  find . -type f -print0 | sort -z | xargs -0 sha256sum`

/** What the listing script says of the tree itself. */
function expected(): string {
  return spawnSync('sh', ['-c', list], { cwd: tree, encoding: 'utf8', maxBuffer: 1e8 }).stdout
}

function see(image: Packed, script: string, options?: MountOptions) {
  return withMount(mounter, image, at, script, options)
}

function packTree(name: string, ...flags: string[]): Packed {
  return pack(tree, join(folder, name), ...flags)
}

/** Wait until a process is gone, or only waits for its parent to notice. */
async function ended(pid: number): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    if (!isRunning(pid)) return true
    await setTimeout(50)
  }
  return false
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe.skipIf(!usable)('a served image', () => {
  const plain = packTree('plain.sqfs', '-comp', 'zstd')

  it.each(['gzip', 'lzma', 'lzo', 'lz4', 'xz', 'zstd'])('shows the packed tree (%s)', async (compressor) => {
    const { stdout, stderr } = await see(packTree(`${compressor}.sqfs`, '-comp', compressor), list)
    expect(stderr).toBe('server status 0\n')
    expect(stdout).toBe(expected())
  })

  it.each([
    ['small blocks', ['-b', '4096']],
    ['large blocks without fragments', ['-b', '1M', '-no-fragments']],
    ['nothing compressed', ['-noI', '-noD', '-noF', '-noX']],
  ])('shows the packed tree (%s)', async (_, flags) => {
    const { stdout } = await see(packTree('shape.sqfs', ...flags), list)
    expect(stdout).toBe(expected())
  })

  it('may begin anywhere in its file', async () => {
    const path = join(folder, 'inside')
    const bytes = readFileSync(plain.path)
    writeFileSync(path, Buffer.concat([randomBytes(12_345), bytes, randomBytes(99)]))
    const { stdout } = await see({ path, offset: 12_345, size: bytes.length }, list)
    expect(stdout).toBe(expected())
  })

  it('reads the same at odd offsets as the packed file', async () => {
    const script = `python3 -c "
import os, random
random.seed(7)
for name in ('numbers', 'random', 'sparse'):
    here, there = (os.open(d + '/' + name, os.O_RDONLY) for d in ('.', '${tree}'))
    for i in range(300):
        at, size = random.randrange(1600000), random.choice((1, 9, 4096, 70000, 400000))
        assert os.pread(here, size, at) == os.pread(there, size, at), (name, at, size)
        if i % 20 == 0: os.posix_fadvise(here, 0, 0, os.POSIX_FADV_DONTNEED)
"`
    expect((await see(plain, script)).stderr).toBe('server status 0\n')
  })

  it('finds its way in a file of many blocks', async () => {
    const long = join(folder, 'long')
    mkdirSync(long)
    const lines = Array.from({ length: 2_000_000 }, (_, i) => `${String(i).padStart(15)}\n`)
    writeFileSync(join(long, 'lines'), lines.join(''))
    const script = `python3 -c "
import os, random
random.seed(11)
file = os.open('lines', os.O_RDONLY)
for i in range(2000):
    line = random.randrange(2000000)
    assert int(os.pread(file, 16, 16 * line)) == line
" && cat lines | sha256sum`
    const { stdout, stderr } = await see(
      pack(long, join(folder, 'long.sqfs'), '-b', '4096', '-comp', 'lz4'),
      script,
    )
    expect(stderr).toBe('server status 0\n')
    expect(stdout).toBe(`${createHash('sha256').update(lines.join('')).digest('hex')}  -\n`)
  })

  it('finds every name of a large directory, and none that is not there', async () => {
    const script = `cd many; ls -U | wc -l
      for i in 0 1 999 1000 1499; do cat a-file-with-a-rather-long-name-$i; done
      for n in a zzz a-file-with-a-rather-long-name- a-file-with-a-rather-long-name-1500; do test -e $n && echo $n; done
      true`
    expect((await see(plain, script)).stdout).toBe('1500\n0\n1\n999\n1000\n1499\n')
  })

  it('shows hard links as one file', async () => {
    const { stdout } = await see(plain, 'stat -c "%i %h" small deep/hard')
    const [first, second] = stdout.trim().split('\n')
    expect(first).toMatch(/ 2$/)
    expect(second).toBe(first)
  })

  it.skipIf(!hasXattrs)('shows extended attributes', async () => {
    const script = `python3 -c "
import os
for name in ('small', 'numbers', 'empty'):
    print(name, sorted((key, len(os.getxattr(name, key))) for key in os.listxattr(name)))"`
    expect((await see(plain, script)).stdout).toBe(
      "small [('user.colour', 3), ('user.long', 3000)]\nnumbers [('user.long', 3000)]\nempty []\n",
    )
  })

  it('shows no extended attributes when it was packed without', async () => {
    const script = `python3 -c "import os; print(os.listxattr('small'))" 2>&1 | grep -o 'Operation not supported'`
    expect((await see(packTree('no-xattrs.sqfs', '-no-xattrs'), script)).stdout).toBe(
      'Operation not supported\n',
    )
  })

  it('belongs to whom it was recorded for, or to the owner that was asked for', async () => {
    const { uid, gid } = testUser()
    const script = 'stat -c %u:%g . small many'
    const nobody = '65534:65534\n'.repeat(3)
    // Recorded is root, whom the container's user namespace does not know.
    expect((await see(plain, script)).stdout).toBe(uid === 0 ? '0:0\n'.repeat(3) : nobody)
    const owned = await see(plain, script, { flags: ['--owner', `${uid}:${gid}`] })
    expect(owned.stdout).toBe(`${uid}:${gid}\n`.repeat(3))
  })

  it('cannot be written', async () => {
    const { stdout } = await see(plain, 'touch new 2>&1; rm -f small 2>&1; (echo x >>numbers) 2>&1')
    expect(stdout.match(/Read-only file system/g)).toHaveLength(3)
  })

  it('gives eight readers at once the same bytes', async () => {
    const script = `for i in 1 2 3 4 5 6 7 8; do (cat numbers random sparse many/* | sha256sum) & done; wait`
    const whole = spawnSync('sh', ['-c', 'cat numbers random sparse many/*'], {
      cwd: tree,
      maxBuffer: 1e8,
    }).stdout
    const sum = createHash('sha256').update(whole).digest('hex')
    expect((await see(plain, script)).stdout).toBe(`${sum}  -\n`.repeat(8))
  })

  it('takes little memory however much of it is read', async () => {
    const large = join(folder, 'large')
    mkdirSync(large)
    for (let i = 0; i < 4; i++) writeFileSync(join(large, `f${i}`), randomBytes(8e6).toString('hex'))
    const image = pack(large, join(folder, 'large.sqfs'), '-comp', 'lz4')
    const script = 'cat f0 f1 >/dev/null & cat f2 f3 >/dev/null; wait; grep VmHWM /proc/$SERVER_PID/status'
    const { stdout } = await see(image, script)
    expect(Number(/VmHWM:\s+(\d+) kB/.exec(stdout)?.[1])).toBeLessThan(24 * 1024)
  })
})

describe.skipIf(!usable)('the server', () => {
  const image = packTree('server.sqfs', '-comp', 'lz4')

  it('ends when the last process of its container is gone', async () => {
    const { stdout, status } = await see(image, 'cat small; echo $SERVER_PID', { detached: true })
    const [text, pid] = stdout.split('\n')
    expect({ text, status }).toEqual({ text: 'small', status: 0 })
    expect(await ended(Number(pid))).toBe(true)
  })

  it('does not mind signals that are meant for the container', async () => {
    const { stdout, stderr } = await see(
      image,
      'for s in INT TERM HUP QUIT TSTP PIPE; do kill -$s $SERVER_PID; done; sleep 0.1; cat small',
    )
    expect(stdout).toBe('small\n')
    expect(stderr).toBe('server status 0\n')
  })

  it('has no rights while it serves', async () => {
    const { stdout } = await see(
      image,
      "cat small >/dev/null; grep -E '^(CapEff|CapPrm|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/$SERVER_PID/status",
    )
    const lines = stdout.split('\n').filter((line) => !line.startsWith('CapBnd'))
    expect(lines.map((line) => line.replace(/\s+/, ' '))).toEqual([
      'CapPrm: 0000000000000000',
      'CapEff: 0000000000000000',
      'CapAmb: 0000000000000000',
      'NoNewPrivs: 1',
      'Seccomp: 2',
      '',
    ])
  })

  it('ends without a word when the starter gives up before the mount', async () => {
    const fuse = openSync('/dev/fuse', 'r+')
    const file = openSync(image.path, 'r')
    const given = ['--go', '3', '--fuse', '4', '--image', '5', '--size', String(image.size)]
    const server = spawn(builtServer, given, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', fuse, file] })
    const go = server.stdio[3] as Writable
    go.end()
    const status = await new Promise((resolve) => server.on('exit', resolve))
    closeSync(fuse)
    closeSync(file)
    expect(status).toBe(0)
  })

  it.each([
    ['no descriptors', []],
    ['a size that is no number', ['--fuse', '3', '--image', '4', '--go', '5', '--size', '1x']],
    ['half an owner', ['--fuse', '3', '--image', '4', '--go', '5', '--size', '1', '--owner', '5']],
    ['a word too many', ['--fuse', '3', '--image', '4', '--go', '5', '--size', '1', 'more']],
  ])('refuses %s', (_, line) => {
    const { status, stderr } = spawnSync(builtServer, line, { encoding: 'utf8' })
    expect(status).toBe(1)
    expect(stderr).toMatch(/^sing-squashfs: /)
  })
})
