/** Overlays of every kind: what is kept, where, and what can go wrong with it. */

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { peer } from '../helpers/peer.ts'
import {
  commandLine,
  environment,
  type Outcome,
  program,
  type RunOptions,
  run,
  sing,
  testUser,
} from '../helpers/sing.ts'
import { copyInto, give, temporaryFolder } from '../helpers/temp.ts'
import { processesWith, until } from '../native/starter.ts'
import { type Images, makeImages } from './images.ts'

let images: Images
const at = (name: string) => join(images.folder, name)
const exec = (args: string[], options: RunOptions = {}) =>
  sing(['exec', ...args], { cwd: images.folder, ...options })
const inside = (script: string, flags: string[] = [], options: RunOptions = {}) =>
  exec([...flags, images.everything, 'sh', '-c', script], options)
const create = (args: string[], options: RunOptions = {}) =>
  sing(['overlay', 'create', ...args], { cwd: images.folder, ...options })
const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
/** What the checker of the file system finds; empty when all is well. */
const fsck = (path: string) => {
  const { status, stdout } = spawnSync('e2fsck', ['-fn', path], { encoding: 'utf8' })
  return status === 0 ? '' : stdout
}
const well = (stdout = ''): Outcome => ({ status: 0, stdout, stderr: '' })

let count = 0
function folder(): string {
  const path = at(`changes-${count++}`)
  mkdirSync(path)
  give(path)
  return path
}
async function ext3(...flags: string[]): Promise<string> {
  const path = at(`changes-${count++}.img`)
  expect((await create(['--sparse', ...flags, path])).status).toBe(0)
  return path
}

/** A container that runs until it is told to end. */
function hold(args: string[]): { end: () => Promise<unknown> } {
  const flag = at(`hold-${count++}`)
  const script = `touch ${flag}; while test -e ${flag}; do sleep 0.05; done`
  const [file = '', ...words] = commandLine([program, 'exec', ...args, 'sh', '-c', script])
  const child = spawn(file, words, { cwd: images.folder, env: environment(), stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = new Promise((resolve) => child.on('close', resolve))
  const end = async () => {
    rmSync(flag, { force: true })
    return await ended
  }
  return Object.assign({ end }, { started: until(() => existsSync(flag)) })
}
const started = (held: object): Promise<void> => (held as { started: Promise<void> }).started

beforeAll(async () => {
  images = await makeImages()
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('a directory as overlay', () => {
  it('keeps changes, also of what was removed and made anew', async () => {
    const changes = folder()
    await inside('rm /opt/hello.txt; rm -r /madness; mkdir /madness; echo kept > /new', [
      '--overlay',
      changes,
    ])
    const seen = 'test -e /opt/hello.txt || echo gone; ls /madness | wc -l; cat /new'
    expect(await inside(seen, ['--overlay', `${basename(changes)}:ro`])).toEqual(well('gone\n0\nkept\n'))
  })

  it('of another user is refused with the way to read it', async () => {
    const { status, stderr } = await inside('true', ['--overlay', '/usr'])
    expect(status).toBe(255)
    expect(stderr).toMatch(/--overlay \/usr: it cannot be written to: permission denied\n.*:ro/)
  })

  it('that does not exist is refused, and so is what is none', async () => {
    expect((await inside('true', ['--overlay', 'none'])).stderr).toMatch(/none: no such file.*\n.*mkdir/)
    expect((await inside('true', ['--overlay', '/dev/null'])).stderr).toMatch(
      /neither a file nor a directory/,
    )
    writeFileSync(at('text'), 'text')
    give(at('text'))
    expect((await inside('true', ['--overlay', 'text'])).stderr).toMatch(/neither a directory nor a squashfs/)
    const { stderr } = await inside('true', ['--overlay', images.everything])
    expect(stderr).toMatch(/without an overlay partition/)
  })

  it('is written to by one container alone, also with a sandbox', async () => {
    const changes = folder()
    for (const image of [images.everything, images.sandbox]) {
      const held = hold(['--overlay', changes, image])
      await started(held)
      const { status, stderr } = await inside('true', ['--overlay', changes])
      expect([status, stderr]).toEqual([
        255,
        `FATAL:   cannot use ${changes}: it is in use by another process; wait for its end, or take another overlay\n`,
      ])
      expect((await inside('echo fine', ['--overlay', `${changes}:ro`])).stdout).toBe('fine\n')
      expect(await held.end()).toBe(0)
      expect((await inside('echo fine', ['--overlay', changes])).stdout).toBe('fine\n')
    }
  })

  it('stays locked for what the command leaves behind, and no longer', async () => {
    const changes = folder()
    const flag = at(`left-${count++}`)
    const left = `touch ${flag}; (while test -e ${flag}; do sleep 0.05; done) >/dev/null 2>&1 & exit 3`
    expect((await inside(left, ['--overlay', changes])).status).toBe(3)
    expect((await inside('true', ['--overlay', changes])).status).toBe(255)
    rmSync(flag)
    expect((await inside('true', ['--overlay', changes])).status).toBe(0)
  })

  it('shows the command no descriptor of ours', async () => {
    expect((await inside('echo /proc/self/fd/*', ['--overlay', folder()])).stdout).toMatch(
      /^(\/proc\/self\/fd\/[0-3] ?)+\n$/,
    )
  })

  it('with a link in the place of its parts is refused', async () => {
    const changes = folder()
    symlinkSync('/etc', join(changes, 'upper'))
    expect((await inside('true', ['--overlay', changes])).stderr).toMatch(
      /upper of the layer.*is no directory/,
    )
    expect((await inside('true', ['--overlay', `${changes}:ro`])).stderr).toMatch(/has no effect/)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay', 'ext3'))('an ext3 as overlay', () => {
  it('keeps changes, and is whole when the container has ended', async () => {
    const changes = await ext3()
    const script = 'rm /opt/hello.txt; rm -r /madness; mkdir /madness; head -c 3000000 /dev/zero > /new'
    expect(await inside(script, ['--overlay', changes])).toEqual(well())
    expect(fsck(changes)).toBe('')
    const seen = 'test -e /opt/hello.txt || echo gone; ls /madness | wc -l; wc -c < /new'
    expect(await inside(seen, ['--overlay', `${changes}:ro`])).toEqual(well('gone\n0\n3000000\n'))
    expect(await inside('rm /new && echo removed', ['--overlay', changes])).toEqual(well('removed\n'))
  })

  it('that is only read is not changed by one byte', async () => {
    const changes = await ext3()
    await inside('echo kept > /new', ['--overlay', changes])
    const before = digest(changes)
    expect(
      await inside('cat /new; touch /x 2>/dev/null || echo refused', ['--overlay', `${changes}:ro`]),
    ).toEqual(well('kept\nrefused\n'))
    expect(digest(changes)).toBe(before)
  })

  it('is written to by one alone, and read by many', async () => {
    const changes = await ext3()
    await inside('true', ['--overlay', changes])
    const held = hold(['--overlay', changes, images.everything])
    await started(held)
    for (const word of [changes, `${changes}:ro`]) {
      const { status, stderr } = await inside('true', ['--overlay', word])
      expect([status, stderr]).toEqual([
        255,
        `FATAL:   cannot use ${changes}: it is in use by another process; wait for its end, or take another overlay\n`,
      ])
    }
    expect(await held.end()).toBe(0)
    const reader = hold(['--overlay', `${changes}:ro`, images.everything])
    await started(reader)
    expect(await inside('echo fine', ['--overlay', `${changes}:ro`])).toEqual(well('fine\n'))
    await reader.end()
  })

  it('hands on the status and signals of the command', async () => {
    const changes = await ext3()
    expect((await inside('exit 7', ['--overlay', changes])).status).toBe(7)
    expect((await inside('kill -9 $$', ['--overlay', changes])).status).toBe(137)
    expect((await inside('exit 8', ['--pid', '--overlay', changes])).status).toBe(8)
    expect(fsck(changes)).toBe('')
  })

  it('is whole also when the container is killed', async () => {
    const changes = await ext3()
    const flag = at(`killed-${count++}`)
    const script = `echo kept > /new; touch ${flag}; sleep 600`
    const [file = '', ...words] = commandLine([
      program,
      'exec',
      '--overlay',
      changes,
      images.everything,
      'sh',
      '-c',
      script,
    ])
    const child = spawn(file, words, { cwd: images.folder, env: environment(), stdio: 'ignore' })
    await until(() => existsSync(flag))
    child.kill('SIGKILL')
    expect(await inside('cat /new', ['--overlay', `${changes}:ro`])).toEqual(well('kept\n'))
    expect(fsck(changes)).toBe('')
  })

  it('does not wait for what the command leaves behind, which keeps it', async () => {
    const changes = await ext3()
    const flag = at(`left-${count++}`)
    const left = `touch ${flag}; (while test -e ${flag}; do sleep 0.05; done; echo late > /late) >/dev/null 2>&1 &`
    expect((await inside(left, ['--overlay', changes])).status).toBe(0)
    expect((await inside('true', ['--overlay', changes])).status).toBe(255)
    rmSync(flag)
    expect(await inside('cat /late', ['--overlay', changes])).toEqual(well('late\n'))
  })

  it('leaves no server and no descriptor behind', async () => {
    const changes = await ext3()
    const { stdout } = await inside('echo /proc/self/fd/*', ['--overlay', changes])
    expect(stdout).toMatch(/^(\/proc\/self\/fd\/[0-3] ?)+\n$/)
    await until(() => processesWith('fuse-overlayfs').every((pid) => !owns(pid)))
  })

  it('belongs to whoever uses it, root of a container too', async () => {
    for (const changes of [await ext3(), await ext3('--fakeroot')]) {
      expect(await inside('echo 1 > /one', ['--overlay', changes])).toEqual(well())
      const fakeroot = ['--fakeroot', '--ignore-subuid', '--overlay', changes]
      expect(await inside('echo 2 >> /one; cat /one; id -u', fakeroot)).toEqual(well('1\n2\n0\n'))
    }
  })

  it.skipIf(!can('subuid'))('is shared by a user and the root of a range of ids', async () => {
    const changes = await ext3()
    expect(await inside('echo 1 > /one; mkdir /dir', ['--overlay', changes])).toEqual(well())
    const script = 'echo 2 >> /one; touch /dir/x; chown 5:5 /dir/x; stat -c %u /dir/x'
    expect(await inside(script, ['--fakeroot', '--overlay', changes])).toEqual(well('5\n'))
    expect(await inside('echo 3 >> /one; cat /one', ['--overlay', changes])).toEqual(well('1\n2\n3\n'))
  })

  it('does not hide what it did to a directory from the kernel', async () => {
    const below = await ext3()
    await inside('true', ['--overlay', below])
    const changes = folder()
    await inside('true', ['--overlay', changes])
    await inside('rm -r /madness; mkdir /madness', ['--overlay', `${below}:ro`, '--overlay', changes])
    expect(await inside('ls -A /madness | wc -l', ['--overlay', changes])).toEqual(well('0\n'))
  })

  it('lies above a squashfs, and below changes in memory', async () => {
    const changes = await ext3()
    const squashfs = at('more.sqfs')
    mkdirSync(at('more'))
    writeFileSync(at('more/marker'), 'of the squashfs\n')
    spawnSync('mksquashfs', [at('more'), squashfs, '-quiet'])
    give(squashfs)
    await inside('echo kept > /new', ['--overlay', squashfs, '--overlay', changes])
    const flags = ['--overlay', squashfs, '--overlay', `${changes}:ro`, '--writable-tmpfs']
    expect(await inside('cat /marker /new; echo more > /new; cat /new', flags)).toEqual(
      well('of the squashfs\nkept\nmore\n'),
    )
  })

  it('does not lead outside by links in it', async () => {
    const tree = at('linked')
    mkdirSync(join(tree, 'work'), { recursive: true })
    symlinkSync('/etc', join(tree, 'upper'))
    const changes = at('linked.img')
    spawnSync('mke2fs', ['-q', '-t', 'ext3', '-d', tree, changes, '4M'])
    give(changes)
    expect((await inside('true', ['--overlay', `${changes}:ro`])).stderr).toMatch(/a layer holds no changes/)
    expect((await inside('true', ['--overlay', changes])).stderr).toMatch(/is no directory/)
  })

  it('that is damaged is refused', async () => {
    const changes = at('damaged.img')
    writeFileSync(changes, Buffer.concat([readFileSync(await ext3()).subarray(0, 2048), Buffer.alloc(70000)]))
    give(changes)
    expect((await inside('true', ['--overlay', changes])).stderr).toMatch(/its ext3 is cut off/)
    const odd = readFileSync(await ext3())
    odd.writeUInt32LE(0xffffffff, 1024 + 96) // features that nobody knows
    writeFileSync(changes, odd)
    const { status, stderr } = await inside('true', ['--overlay', changes])
    expect([status, stderr]).toEqual([
      255,
      expect.stringMatching(/^FATAL: {3}cannot mount the image .*fuse2fs: .+\n$/),
    ])
  })
})

const owns = (pid: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(images.folder)
  } catch {
    return false
  }
}

describe.skipIf(!can('userns', 'fuse', 'overlay', 'ext3'))('an overlay inside of a SIF', () => {
  const withOverlay = async (): Promise<string> => {
    const path = copyInto(images.folder, images.everything, `overlay-${count++}.sif`)
    expect((await create(['--sparse', path])).status).toBe(0)
    return path
  }

  it('is read by itself, and written to with --writable', async () => {
    const image = await withOverlay()
    expect(await exec(['--writable', image, 'sh', '-c', 'echo kept > /new; rm /opt/hello.txt'])).toEqual(
      well(),
    )
    const before = digest(image)
    const seen = 'cat /new; test -e /opt/hello.txt || echo gone; touch /x 2>/dev/null || echo refused'
    expect(await exec([image, 'sh', '-c', seen])).toEqual(well('kept\ngone\nrefused\n'))
    expect(digest(image)).toBe(before)
  })

  it('serves another image', async () => {
    const image = await withOverlay()
    expect(await inside('echo kept > /new', ['--overlay', image])).toEqual(well())
    expect(await exec([image, 'cat', '/new'])).toEqual(well('kept\n'))
  })

  it('is added once, in little space when it is sparse', async () => {
    const image = await withOverlay()
    expect(statSync(image).size).toBeGreaterThan(64 << 20)
    expect(statSync(image).blocks * 512).toBeLessThan(16 << 20)
    const { status, stderr } = await create([image])
    expect([status, stderr]).toEqual([255, expect.stringMatching(/it has an ext3 overlay already/)])
  })

  it('is not for a SIF that cannot be written to', async () => {
    const image = await withOverlay()
    spawnSync('chmod', ['0444', image])
    expect((await exec(['--writable', image, 'true'])).stderr).toMatch(/cannot be written to/)
    expect(await exec([image, 'true'])).toEqual(well())
  })
})

describe.skipIf(!can('ext3'))('overlay create', () => {
  it('takes the space that is asked for', async () => {
    const path = at('whole.img')
    expect(await create(['--size', '65', path])).toMatchObject({ status: 0, stdout: '' })
    expect(statSync(path).size).toBe(65 << 20)
    expect(statSync(path).blocks * 512).toBeGreaterThan(60 << 20)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(images.folder).filter((name) => name.includes('partial'))).toEqual([])
    expect(fsck(path)).toBe('')
  })

  it('makes directories for the user', async () => {
    const changes = await ext3('--create-dir', '/usr/local/mine/deep')
    expect(await inside('mkdir /usr/local/mine/deep/x && echo made', ['--overlay', changes])).toEqual(
      well('made\n'),
    )
  })

  it('refuses what it cannot do in one sentence', async () => {
    writeFileSync(at('taken'), '')
    for (const [args, sentence] of [
      [['--size', '63', at('small.img')], /at least 64 MiB/],
      [['--size', '-1', at('small.img')], /number of MiB/],
      [['--create-dir', 'relative', at('small.img')], /not the absolute path/],
      [['--create-dir', '/a/../b', at('small.img')], /not the absolute path/],
      [[at('taken')], /exists already/],
      [[images.folder], /exists already/],
      [[at('none/small.img')], /cannot write .*no such file or directory/],
    ] as const) {
      const { status, stderr } = await create([...args])
      expect([status, stderr]).toEqual([255, expect.stringMatching(sentence)])
    }
    expect(existsSync(at('small.img'))).toBe(false)
  })

  it('refuses images that are signed or encrypted, and leaves them alone', async () => {
    const signed = copyInto(images.folder, images.everything, 'signed.sif')
    const encrypted = at('encrypted.sif')
    writeFileSync(at('text'), 'text')
    give(at('text'))
    const words = ['--datatype', '5', '--signhash', '1', '--signentity', '0'.repeat(40)]
    await sing(['sif', 'add', ...words, signed, at('text')])
    await sing(['sif', 'new', encrypted])
    const partition = ['--datatype', '4', '--partfs', '5', '--parttype', '2', '--partarch', '2']
    await sing(['sif', 'add', ...partition, encrypted, at('text')])
    for (const [path, sentence] of [
      [signed, /it is signed/],
      [encrypted, /it is encrypted/],
    ] as const) {
      const before = digest(path)
      const { status, stderr } = await create([path])
      expect([status, stderr]).toEqual([255, expect.stringMatching(sentence)])
      expect(digest(path)).toBe(before)
    }
  })

  it('says which package is missing', async () => {
    const bin = temporaryFolder()
    const { stderr } = await run(
      [
        'unshare',
        '-Urm',
        'sh',
        '-c',
        `mount -t tmpfs none /usr/sbin; mount -t tmpfs none /sbin; exec ${program} overlay create ${at('m.img')}`,
      ],
      { env: { PATH: `/usr/bin:/bin:${bin}` } },
    )
    expect(stderr).toMatch(/mke2fs is not installed.*\n.*e2fsprogs/)
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay', 'ext3'))('an ext3 image', () => {
  const makeImage = (): string => {
    const path = at(`root-${count++}.img`)
    spawnSync('mke2fs', ['-q', '-t', 'ext3', '-d', images.sandbox, path, '32M'])
    give(path)
    return path
  }

  it('runs as it is, and is changed only with --writable', async () => {
    const image = makeImage()
    const before = digest(image)
    expect(
      await exec([image, 'sh', '-c', 'head -1 /etc/os-release; touch /x 2>/dev/null || echo refused']),
    ).toEqual(well('NAME="Suite Linux"\nrefused\n'))
    expect(digest(image)).toBe(before)
    expect((await exec(['--writable', image, 'sh', '-c', 'echo kept > /new'])).status).toBe(0)
    expect((await exec([image, 'cat', '/new'])).stdout).toBe('kept\n')
    expect(fsck(image)).toBe('')
  })

  it('is not unpacked, and not started where the site forbids it', async () => {
    const image = makeImage()
    expect((await exec(['--unsquash', image, 'true'])).stderr).toMatch(/is an ext3, which is only mounted/)
    const config = at('no-extfs.conf')
    writeFileSync(config, 'allow container extfs = no\n')
    const { stderr } = await sing(['--config', config, 'exec', image, 'true'])
    expect(stderr).toMatch(/does not allow images of this kind/)
  })

  it('is bound from, for one writer', async () => {
    const image = makeImage()
    const spec = `${image}:/mnt:image-src=/`
    expect(await inside('cat /mnt/opt/hello.txt; echo kept > /mnt/new', ['--bind', spec])).toMatchObject({
      status: 0,
    })
    expect(
      (await inside('cat /mnt/new; touch /mnt/x 2>/dev/null || echo refused', ['--bind', `${spec},ro`]))
        .stdout,
    ).toBe('kept\nrefused\n')
    const twice = await inside('true', ['--bind', spec, '--bind', spec.replace('/mnt', '/srv')])
    expect([twice.status, twice.stderr]).toEqual([255, expect.stringMatching(/in use by another process/)])
  })
})

describe.skipIf(!can('userns', 'fuse', 'overlay'))('changes in memory', () => {
  it('have the size that is asked for', async () => {
    const script = 'head -c 3000000 /dev/zero > /big 2>/dev/null; wc -c < /big'
    expect((await inside(script, ['--writable-tmpfs=1M'])).stdout).toMatch(/^10[0-9]{5}\n$/)
    expect((await inside(script, [], { env: { SINGULARITY_WRITABLE_TMPFS: '64M' } })).stdout).toBe(
      '3000000\n',
    )
    expect((await inside(script, ['--writable-tmpfs'])).stdout).toBe('3000000\n')
    expect((await inside(script, ['--writable-tmpfs=false'])).stdout).toBe('')
    expect((await inside('true', ['--writable-tmpfs=2X'])).stderr).toMatch(
      /true, false or a size such as 512M/,
    )
  })
})

describe.skipIf(!can('userns', 'fuse'))('an underlay', () => {
  it('has the image, and what is brought in, also where the image has no place for it', async () => {
    const flags = [
      '--underlay',
      '--bind',
      '/etc/hostname:/made/by/hand',
      '--bind',
      `${images.folder}:/opt/more/here`,
    ]
    const { stdout, stderr, status } = await inside(
      'cat /opt/hello.txt; cat /made/by/hand; ls /opt/more/here | grep -c sandbox; ls -l /opt | grep -c total; touch /x /opt/x /opt/more/x 2>/dev/null || echo refused',
      flags,
    )
    const hostname = readFileSync('/etc/hostname', 'utf8')
    expect([status, stdout, stderr]).toEqual([0, expect.stringContaining(`${hostname}1\n1\nrefused\n`), ''])
    expect(stdout).toMatch(/^hello/i)
  })

  it('never follows a link of the image to a directory of the host', async () => {
    const tree = copyInto(images.folder, images.sandbox, 'underlay-tree')
    const victim = folder()
    rmSync(join(tree, 'srv'), { recursive: true })
    symlinkSync(victim, join(tree, 'srv'))
    give(tree)
    const bindings = ['--bind', `${images.folder}:${images.folder}`, '--bind', '/etc:/srv/made/here']
    expect((await exec(['--underlay', ...bindings, tree, 'true'])).status).toBe(255)
    expect(readdirSync(victim)).toEqual([])
  })

  it('leaves a sandbox as it is', async () => {
    const before = readdirSync(join(images.sandbox, 'opt'))
    await exec(['--underlay', '--bind', '/etc:/opt/new/place', images.sandbox, 'touch', '/opt/x'])
    expect(readdirSync(join(images.sandbox, 'opt'))).toEqual(before)
  })
})

describe.skipIf(!can('root', 'overlay', 'ext3'))('the real root', () => {
  it('has overlays of every kind too', async () => {
    const asRoot = { as: 'self', cwd: '/' } as const
    const changes = at('root.img')
    expect((await create(['--sparse', changes], asRoot)).status).toBe(0)
    const flags = ['--overlay', changes]
    expect((await inside('rm -r /madness; mkdir /madness; echo kept > /new', flags, asRoot)).status).toBe(0)
    expect(fsck(changes)).toBe('')
    expect((await inside('cat /new; ls /madness | wc -l', [`--overlay=${changes}:ro`], asRoot)).stdout).toBe(
      'kept\n0\n',
    )
    expect((await inside('cat /opt/hello.txt > /new', ['--underlay'], asRoot)).status).not.toBe(0)
  })
})

/** Ids in an ext3 are those of who wrote it, so both have to be the same user. */
const isPeersUser = () => testUser().name === process.env.SING_PEER_USER

describe.skipIf(!can('peer', 'ext3') || !isPeersUser())('beside the peer', () => {
  it('each uses the overlays of the other', async () => {
    const shared = temporaryFolder()
    spawnSync('chmod', ['0777', shared])
    const image = copyInto(shared, images.everything)
    const ours = join(shared, 'ours.img')
    const theirs = join(shared, 'theirs.img')
    await create(['--sparse', ours])
    const folders = { folders: [shared], cwd: shared }
    expect((await peer(['overlay', 'create', '--sparse', '--size', '64', theirs], folders)).status).toBe(0)
    for (const overlay of [ours, theirs]) {
      spawnSync('chmod', ['0666', overlay])
      const words = (script: string) => ['exec', '--overlay', overlay, image, 'sh', '-c', script]
      expect((await sing(words('echo 1 > /one; rm /opt/hello.txt'), { cwd: shared })).status).toBe(0)
      const seen = 'cat /one; test -e /opt/hello.txt || echo gone'
      expect(
        (await peer(words(`${seen}; echo 2 > /two; rm -r /madness; mkdir /madness`), folders)).stdout,
      ).toBe('1\ngone\n')
      expect((await sing(words(`${seen}; cat /two; ls /madness | wc -l`), { cwd: shared })).stdout).toBe(
        '1\ngone\n2\n0\n',
      )
    }
  })
})
