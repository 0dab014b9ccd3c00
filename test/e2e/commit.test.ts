/** `sing commit`: what was changed in a container is what the new image holds. */

import { type ChildProcess, spawn } from 'node:child_process'
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
import { join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { mountsOf, processesOf } from '../helpers/left.ts'
import {
  program as executable,
  file,
  link,
  opaque,
  squashfsOf,
  whiteout,
  writeOciSif,
} from '../helpers/oci-sif.ts'
import {
  commandLine,
  environment,
  type Outcome,
  program,
  type RunOptions,
  run,
  sing,
} from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'
import { until } from '../native/starter.ts'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const self: RunOptions = { as: 'self' }

let count = 0
function changesFolder(): string {
  const path = at(`changes-${count++}`)
  mkdirSync(path)
  give(path)
  return path
}
const newImage = (): string => at(`new-${count++}.sif`)

const must = async (args: readonly string[], options: RunOptions = {}): Promise<Outcome> => {
  const outcome = await sing(args, { cwd: folder, ...options })
  if (outcome.status !== 0) throw new Error(`sing ${args.join(' ')}: ${outcome.stderr}`)
  return outcome
}

const tools = [
  'sh',
  'ls',
  'cat',
  'rm',
  'mv',
  'mkdir',
  'chmod',
  'chown',
  'ln',
  'find',
  'sort',
  'stat',
  'touch',
  'sleep',
  'test',
  'echo',
  'id',
  'mkfifo',
  'readlink',
]

/** A tree with everything that can be changed. */
function makeBase(): string {
  const root = at('base')
  for (const directory of [
    'bin',
    'etc',
    'data/kept',
    'data/gone',
    'data/replaced/old',
    'data/mode',
    'home',
    'tmp',
    'proc',
    'sys',
    'dev',
  ])
    mkdirSync(join(root, directory), { recursive: true })
  writeFileSync(join(root, 'bin/busybox'), readFileSync('/bin/busybox'), { mode: 0o755 })
  for (const name of tools) symlinkSync('busybox', join(root, 'bin', name))
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n')
  for (const name of [
    'kept/file',
    'gone/file',
    'replaced/old/file',
    'changed',
    'removed',
    'moved',
    'file-to-directory',
    'mode/file',
  ])
    writeFileSync(join(root, 'data', name), `${name}\n`)
  mkdirSync(join(root, 'data/directory-to-link'))
  symlinkSync('changed', join(root, 'data/link'))
  give(root)
  return root
}

/** What people do in a container. */
const change = [
  'cd /data',
  'echo changed >changed',
  'rm removed',
  'rm -r gone',
  'rm -r replaced && mkdir replaced && echo new >replaced/new',
  'mv moved moved-away',
  'rm file-to-directory && mkdir file-to-directory && echo inside >file-to-directory/inside',
  'rm -r directory-to-link && ln -s kept directory-to-link',
  'rm link && ln -s /etc/shadow link',
  'chmod 700 mode && chmod 640 mode/file',
  'mkdir -p new/deep && echo text >new/deep/file && ln new/deep/file new/hard && mkfifo new/pipe',
  'chmod 4755 new/deep/file',
].join(' && ')

/** Everything about every file, with contents. */
const look = [
  'find /data /etc /home | sort | while read -r f; do',
  'stat -c "%n %F %a %u:%g %h" "$f" 2>/dev/null || true;',
  'if test -L "$f"; then readlink "$f"; elif test -f "$f"; then cat "$f"; fi; done',
].join(' ')
const clean = ['--no-home', '--no-mount', 'tmp,cwd,bind-paths']

async function view(flags: readonly string[], image: string, options: RunOptions = {}): Promise<string[]> {
  const { stdout } = await must(['exec', '--fakeroot', ...clean, ...flags, image, 'sh', '-c', look], options)
  // Mount points for files of the host are no change, and directories have as many links as the file system likes.
  return stdout
    .split('\n')
    .filter((line) => !/^\/etc\/(hosts|resolv\.conf|localtime|passwd|group) /.test(line))
    .map((line) => (/ directory /.test(line) ? line.replace(/ \d+$/, '') : line))
}

let base: string
beforeAll(async () => {
  base = at('base.sif')
  await must(['build', base, makeBase()])
})

/** What is left beside what was there. */
const leftovers = () => readdirSync(folder).filter((name) => name.includes('partial'))
const scratch = at('scratch')
const scratchLeft = () => readdirSync(scratch)

describe.skipIf(!can('userns', 'overlay'))('commit of a directory', () => {
  it.each([
    ['as a user with a range of ids', ['--fakeroot'], []],
    ['as a user with a single id', ['--fakeroot', '--ignore-subuid'], ['--ignore-subuid']],
    ['as a user who was not root inside', [], []],
  ] as const)('makes an image of what the container showed: %s', async (_, flags, committing) => {
    const changes = changesFolder()
    await must(['exec', ...flags, ...clean, '--overlay', changes, base, 'sh', '-c', change])
    const shown = await view(['--overlay', `${changes}:ro`], base)
    const target = newImage()
    await must(['commit', ...committing, '--overlay', changes, target, base])
    expect(await view([], target)).toEqual(shown)
    expect(shown).toContain('/data/replaced/new regular file 644 0:0 1')
    expect(shown.join('\n')).not.toContain('/data/removed')
    expect(leftovers()).toEqual([])
  })

  it('keeps owners of a range of ids', async () => {
    const changes = changesFolder()
    const script = 'echo text >/data/owned && chown 12:34 /data/owned && chown 5:6 /data/kept/file'
    await must(['exec', '--fakeroot', ...clean, '--overlay', changes, base, 'sh', '-c', script])
    const target = newImage()
    await must(['commit', '-o', changes, target, base])
    const shown = await view([], target)
    expect(shown).toEqual(
      expect.arrayContaining([
        '/data/owned regular file 644 12:34 1',
        '/data/kept/file regular file 644 5:6 1',
      ]),
    )
  })

  it.skipIf(!can('root'))('works for root', async () => {
    const changes = changesFolder()
    const script = `${change} && chown 12:34 /data/new/deep`
    await must(['exec', ...clean, '--overlay', changes, base, 'sh', '-c', script], self)
    const shown = await view(['--overlay', `${changes}:ro`], base, self)
    const target = newImage()
    await must(['commit', '--overlay', changes, target, base], self)
    expect(await view([], target, self)).toEqual(shown)
    expect(shown).toContain('/data/new/deep directory 755 12:34')
    // The marks of root's overlays nobody else can read.
    const other = await sing(['commit', '--ignore-subuid', '--overlay', changes, newImage(), base], {
      cwd: folder,
    })
    expect(other.status).toBe(255)
    expect(other.stderr).toContain('its changes belong to another user')
  })

  it('takes commits one after the other, and several overlays, the last on top', async () => {
    const [one, two] = [changesFolder(), changesFolder()]
    const write = (changes: string, image: string, script: string) =>
      must(['exec', ...clean, '--overlay', changes, image, 'sh', '-c', script])
    await write(one, base, 'echo one >/data/both; echo one >/data/one; rm /data/removed')
    await write(two, base, 'echo two >/data/both; echo two >/data/two; rm -r /data/gone')
    const first = newImage()
    await must(['commit', '-o', `${one}:ro`, '-o', two, '-m', 'both', first, base])
    const shown = await must(['exec', first, 'cat', '/data/both', '/data/one', '/data/two'])
    expect(shown.stdout).toBe('two\none\ntwo\n')
    await must(['exec', first, 'sh', '-c', '! test -e /data/removed && ! test -e /data/gone'])
    const three = changesFolder()
    await write(three, first, 'echo three >/data/both')
    const second = newImage()
    await must(['commit', '-o', three, second, first])
    expect((await must(['exec', second, 'cat', '/data/both'])).stdout).toBe('three\n')
    const { stdout } = await must(['inspect', '--deffile', second])
    expect(stdout).toMatch(/^# committed \S+: .*: both\n# committed \S+: .*\nbootstrap: localimage\n/)
  })

  it('keeps definition, scripts, environment and labels, and adds its own', async () => {
    const definition = at('said.def')
    writeFileSync(
      definition,
      `Bootstrap: localimage\nFrom: ${base}\n%environment\n  export SAID=so\n%runscript\n  echo "ran $SAID"\n%labels\n  Kept yes\n`,
    )
    give(definition)
    const said = newImage()
    await must(['build', said, definition])
    const target = newImage()
    await must([
      'commit',
      '--overlay',
      changesFolder(),
      '--label',
      'Own=label = 1',
      '--message',
      'a\nb',
      target,
      said,
    ])
    expect((await must(['run', target])).stdout).toBe('ran so\n')
    const { stdout: labels } = await must(['inspect', target])
    expect(labels).toContain('Kept: yes\n')
    expect(labels).toContain('Own: label = 1\n')
    expect(labels).toContain(`org.label-schema.usage.sing.commit.base: ${said}\n`)
    expect((await must(['inspect', '--deffile', target])).stdout).toContain(
      `: ${said} with ${folder}/changes-`,
    )
    expect((await must(['inspect', '--deffile', target])).stdout).toContain(': a b\nBootstrap: localimage')
  })

  it('copies what is unchanged as it lies there', async () => {
    const changes = changesFolder()
    await must(['exec', ...clean, '--overlay', changes, base, 'touch', '/data/new'])
    const target = newImage()
    await must(['commit', '-o', changes, target, base])
    expect(Math.abs(statSync(target).size - statSync(base).size)).toBeLessThanOrEqual(8192)
  })

  it('gives the same bytes with SOURCE_DATE_EPOCH', async () => {
    const changes = changesFolder()
    await must(['exec', ...clean, '--overlay', changes, base, 'touch', '/data/new'])
    const targets = [newImage(), newImage()]
    const env = { SOURCE_DATE_EPOCH: '1700000000' }
    for (const target of targets) await must(['commit', '-o', changes, target, base], { env })
    const [one, two] = targets.map((target) => readFileSync(target))
    expect(one?.equals(two ?? Buffer.of())).toBe(true)
    const { stdout } = await must(['inspect', targets[0] ?? ''])
    expect(stdout).toContain('commit.date: 2023-11-14T22:13:20Z\n')
  })

  it('makes a sandbox', async () => {
    const changes = changesFolder()
    await must(['exec', ...clean, '--overlay', changes, base, 'sh', '-c', change])
    const target = at('committed-box')
    await must(['commit', '--sandbox', '--overlay', changes, target, base])
    expect(readFileSync(join(target, 'data/changed'), 'utf8')).toBe('changed\n')
    expect(existsSync(join(target, 'data/removed'))).toBe(false)
    expect(readdirSync(join(target, 'data/replaced'))).toEqual(['new'])
  })

  it('does not change the overlay', async () => {
    const changes = changesFolder()
    await must(['exec', ...clean, '--overlay', changes, base, 'sh', '-c', change])
    const listing = async () => (await run(['find', changes, '-printf', '%p %y %m %s %T@ %C@\n'])).stdout
    const before = await listing()
    await must(['commit', '-o', changes, newImage(), base])
    expect(await listing()).toBe(before)
  })

  it('leaves out mount points that the container needed', async () => {
    const changes = changesFolder()
    await must(['exec', '--overlay', changes, base, 'touch', '/data/new'])
    const target = at(`box-${count++}`)
    await must(['commit', '--sandbox', '-o', changes, target, base])
    expect(readdirSync(join(target, 'home'))).toEqual([])
    expect(readFileSync(join(target, 'etc/passwd'), 'utf8')).toContain('root:')
  })
})

describe.skipIf(!can('userns', 'overlay', 'ext3', 'fuse'))('commit of an ext3', () => {
  const create = async (...words: string[]) => {
    const path = at(`changes-${count++}.img`)
    await must(['overlay', 'create', '--size', '64', ...words, path])
    return path
  }

  it.each([['--fakeroot'], []])('applies the marks of fuse-overlayfs: %s', async (...flags) => {
    const changes = await create(...flags)
    await must(['exec', ...flags, ...clean, '--overlay', changes, base, 'sh', '-c', change])
    const shown = await view(['--overlay', `${changes}:ro`], base)
    const before = readFileSync(changes)
    const target = newImage()
    await must(['commit', '--overlay', changes, target, base])
    const owners = (lines: string[]) =>
      flags.length > 0 ? lines : lines.map((line) => line.replace(/ \d+:\d+/, ''))
    expect(owners(await view([], target))).toEqual(owners(shown))
    expect(shown.join('\n')).not.toContain('.wh.')
    expect(readFileSync(changes).equals(before)).toBe(true)
    expect(processesOf(folder)).toEqual([])
  })

  it('takes the one in a SIF by itself', async () => {
    const image = newImage()
    await run(['cp', base, image])
    await must(['overlay', 'create', '--size', '64', image])
    await must(['exec', ...clean, '--writable', image, 'sh', '-c', change])
    const target = newImage()
    await must(['commit', target, image])
    expect(statSync(target).size).toBeLessThan(16 * 1024 * 1024)
    expect((await must(['exec', target, 'cat', '/data/changed', '/data/replaced/new'])).stdout).toBe(
      'changed\nnew\n',
    )
    await must(['exec', target, 'sh', '-c', '! test -e /data/removed && ! test -e /data/replaced/old'])
  })

  it.skipIf(!can('root'))('works for root', async () => {
    const changes = await create()
    await must(['exec', ...clean, '--overlay', changes, base, 'sh', '-c', change], self)
    const target = newImage()
    await must(['commit', '--overlay', changes, target, base], self)
    const words = [
      'sh',
      '-c',
      'cat /data/replaced/new && ! test -e /data/removed && ! test -e /data/replaced/old',
    ]
    expect((await must(['exec', target, ...words], self)).stdout).toBe('new\n')
  })

  it('refuses one whose changes are a link', async () => {
    const tree = at(`tree-${count++}`)
    mkdirSync(tree)
    symlinkSync('/etc', join(tree, 'upper'))
    const changes = at(`changes-${count++}.img`)
    await run(['/sbin/mke2fs', '-q', '-t', 'ext3', '-d', tree, changes, '64M'], self)
    give(changes)
    const { status, stderr } = await sing(['commit', '-o', changes, newImage(), base], { cwd: folder })
    expect(status).toBe(255)
    expect(stderr).toContain('upper is no directory')
  })

  it('refuses one that is no ext3 inside', async () => {
    const changes = await create()
    const bytes = readFileSync(changes)
    // The superblock stays.
    bytes.fill(0xff, 4096, 4_000_000)
    writeFileSync(changes, bytes)
    const { status, stderr } = await sing(['commit', '-o', changes, newImage(), base], { cwd: folder })
    expect(status).toBe(255)
    expect(stderr).toContain('cannot read the ext3 in')
    expect(processesOf(folder)).toEqual([])
  })
})

describe.skipIf(!can('userns'))('commit of other things', () => {
  it('takes a sandbox as it is', async () => {
    const box = at('box')
    await must(['build', '--sandbox', box, base])
    await must([
      'exec',
      '--writable',
      ...clean,
      box,
      'sh',
      '-c',
      'echo in box >/data/changed; rm /data/removed',
    ])
    const target = newImage()
    await must(['commit', target, box])
    expect((await must(['exec', target, 'cat', '/data/changed'])).stdout).toBe('in box\n')
    await must(['exec', target, 'sh', '-c', '! test -e /data/removed'])
  })

  it('takes layers of an OCI-SIF, and a squashfs over them', async () => {
    const lowest = {
      'bin/sh': executable(readFileSync('/bin/busybox')),
      'bin/cat': link('sh'),
      'a/below': file('1\n'),
      'b/below': file('2\n'),
    }
    const layers = [
      await squashfsOf(lowest),
      await squashfsOf({ 'a/below': whiteout, 'a/above': file('3\n') }),
    ]
    const image = await writeOciSif(newImage(), {
      layers,
      config: { Cmd: ['sh', '-c', 'cat /a/above /b/over'], Env: ['PATH=/bin'] },
    })
    const over = at('over.sqfs')
    writeFileSync(over, await squashfsOf({ b: opaque, 'b/over': file('4\n') }))
    give(folder)
    const target = newImage()
    await must(['commit', '-o', over, target, image])
    expect((await must(['run', target])).stdout).toBe('3\n4\n')
    await must(['exec', target, 'sh', '-c', '! [ -e /a/below ] && ! [ -e /b/below ]'])
  })

  it.skipIf(!can('overlay'))('takes an instance with its overlay, which goes on', async () => {
    const changes = changesFolder()
    const env = { SINGULARITY_CONFIGDIR: at('config') }
    const name = `commit${process.pid}`
    await must(['instance', 'start', ...clean, '--overlay', changes, base, name], { env })
    onTestFinished(() => void sing(['instance', 'stop', name], { env }))
    await must(['exec', `instance://${name}`, 'sh', '-c', 'echo live >/data/changed'], { env })
    for (const words of [
      [`instance://${name}`, newImage()],
      [newImage(), `instance://${name}`],
    ]) {
      const { stderr } = await must(['commit', ...words], { env })
      expect(stderr).toContain('The instance goes on')
      const target = words.find((word) => word.endsWith('.sif')) ?? ''
      expect((await must(['exec', target, 'cat', '/data/changed'])).stdout).toBe('live\n')
    }
    await must(['exec', `instance://${name}`, 'cat', '/data/changed'], { env })
  })

  it('refuses an instance that keeps nothing', async () => {
    const env = { SINGULARITY_CONFIGDIR: at('config') }
    const name = `memory${process.pid}`
    await must(['instance', 'start', '--writable-tmpfs', base, name], { env })
    onTestFinished(() => void sing(['instance', 'stop', name], { env }))
    const { status, stderr } = await sing(['commit', newImage(), `instance://${name}`], { env, cwd: folder })
    expect(status).toBe(255)
    expect(stderr).toContain('keeps no changes')
    expect(stderr).toContain('They are in memory')
    await must(['instance', 'stop', name], { env })
    const gone = await sing(['commit', newImage(), `instance://${name}`], { env, cwd: folder })
    expect(gone.stderr).toContain(`there is no instance ${name}`)
  })
})

describe.skipIf(!can('userns', 'overlay'))('commit refuses', () => {
  const refused = async (words: readonly string[], text: string, options: RunOptions = {}) => {
    const { status, stderr } = await sing(['commit', ...words], { cwd: folder, ...options })
    expect(stderr).toContain(text)
    expect(status).toBe(255)
    expect(leftovers()).toEqual([])
  }

  it('an image without changes', async () => {
    await refused([newImage(), base], 'there is nothing to commit: nothing lies over')
  })

  it('a label without a key', async () => {
    await refused(['--label', '=x', newImage(), base], '--label =x: expected key=value')
  })

  it('an overlay that is not there', async () => {
    await refused(['-o', at('none'), newImage(), base], 'none: no such file or directory')
  })

  it('a target that exists, unless forced', async () => {
    const target = newImage()
    writeFileSync(target, 'precious')
    give(target)
    const words = ['-o', changesFolder(), target, base]
    await refused(words, 'already exists')
    expect(readFileSync(target, 'utf8')).toBe('precious')
    await must(['commit', '--force', ...words])
    await must(['exec', target, 'cat', '/data/changed'])
  })

  it('to replace the image that it is made of', async () => {
    await refused(['--force', '-o', changesFolder(), base, base], 'from itself')
  })

  it('an overlay that a container writes to', async () => {
    const changes = changesFolder()
    const flag = at(`hold-${count++}`)
    const holder = start([
      'exec',
      '--bind',
      folder,
      '--overlay',
      changes,
      base,
      'sh',
      '-c',
      `touch ${flag}; sleep 60`,
    ])
    await until(() => existsSync(flag))
    await refused(['-o', changes, newImage(), base], 'it is in use by another process')
    holder.kill('SIGTERM')
    await new Promise((resolve) => holder.on('close', resolve))
  })

  it('an image with a finding, with --check', async () => {
    const changes = changesFolder()
    await must([
      'exec',
      ...clean,
      '--overlay',
      changes,
      base,
      'sh',
      '-c',
      'mkdir -p /root; echo "machine a login b password c" >/root/.netrc',
    ])
    await refused(['--check', '-o', changes, newImage(), base], '/root/.netrc:1: login')
  })

  it('an ext3 that is the image itself', async () => {
    if (!existsSync('/sbin/mke2fs')) return
    const image = at('root.img')
    await run(['/sbin/mke2fs', '-q', '-t', 'ext3', image, '8M'])
    await refused([newImage(), image], 'its root file system is an ext3')
  })

  it('changes that lie elsewhere', async () => {
    const changes = changesFolder()
    mkdirSync(join(changes, 'upper/moved'), { recursive: true })
    give(changes)
    const set = await run([
      'setfattr',
      '-n',
      'user.overlay.redirect',
      '-v',
      '/data',
      join(changes, 'upper/moved'),
    ])
    if (set.status !== 0) return
    await refused(['-o', changes, newImage(), base], 'the overlay keeps only what has changed of it')
  })
})

/** Start sing as the ordinary user. */
function start(args: readonly string[]): ChildProcess {
  const [file = '', ...words] = commandLine([program, ...args])
  const child = spawn(file, words, { cwd: folder, env: environment(), stdio: 'ignore', detached: true })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

describe.skipIf(!can('userns', 'overlay'))('a hostile overlay', () => {
  it('leads nowhere outside by links in the place of directories', async () => {
    const outside = at('outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'labels.json'), '{"precious":"yes"}')
    give(outside)
    const changes = changesFolder()
    mkdirSync(join(changes, 'upper/etc/x'), { recursive: true })
    rmSync(join(changes, 'upper/etc'), { recursive: true })
    symlinkSync('/etc', join(changes, 'upper/etc'))
    symlinkSync(outside, join(changes, 'upper/.singularity.d'))
    symlinkSync('/', join(changes, 'upper/home'))
    give(changes)
    const before = readdirSync(outside)
    const target = newImage()
    const { status } = await sing(['commit', '-o', changes, target, base], { cwd: folder })
    expect(readdirSync(outside)).toEqual(before)
    expect(readFileSync(join(outside, 'labels.json'), 'utf8')).toBe('{"precious":"yes"}')
    if (status !== 0) return expect(existsSync(target)).toBe(false)
    // The links are in the image as they are, and lead to places of the image.
    expect((await must(['exec', ...clean, target, 'readlink', '/etc'])).stdout).toBe('/etc\n')
  })

  it('is no link itself', async () => {
    const changes = changesFolder()
    symlinkSync('/etc', join(changes, 'upper'))
    give(changes)
    const target = newImage()
    const { status, stdout } = await sing(['commit', '-o', changes, target, base], { cwd: folder })
    // No changes are there: what the link leads to is none.
    expect([status, stdout]).toEqual([0, ''])
    expect(await view([], target)).toEqual(await view([], base))
  })
})

describe.skipIf(!can('userns', 'overlay'))('an interruption', () => {
  it('leaves nothing behind', async () => {
    const changes = changesFolder()
    await must([
      'exec',
      '--bind',
      folder,
      ...clean,
      '--overlay',
      changes,
      base,
      'sh',
      '-c',
      'mkdir /big; for i in 1 2 3 4; do cat /bin/busybox /bin/busybox /bin/busybox /bin/busybox >/big/$i; done',
    ])
    mkdirSync(scratch)
    give(scratch)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      const target = newImage()
      const child = start(['commit', '--tmpdir', scratch, '--compress', 'xz:9', '-o', changes, target, base])
      await until(() => scratchLeft().length > 0)
      child.kill(signal)
      const ended = await new Promise((resolve) => child.on('close', (code, by) => resolve(code ?? by)))
      expect([130, 143, 'SIGKILL']).toContain(ended)
      expect(existsSync(target)).toBe(false)
      if (signal !== 'SIGKILL') expect([leftovers(), scratchLeft()]).toEqual([[], []])
    }
    const target = newImage()
    await must(['commit', '--tmpdir', scratch, '-o', changes, target, base])
    expect(scratchLeft()).toEqual([])
    expect(mountsOf(folder)).toEqual([])
  })
})
