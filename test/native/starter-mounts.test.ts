/** The operations of a launch spec on the real kernel: what appears where, with which rights, and what is refused. */

import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { testUser } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import {
  asRoot,
  bind,
  type Changes,
  directoryRoot,
  launch,
  launchThrough,
  makeScene,
  makeSpec,
  makeTree,
  overlayRoot,
} from './starter.ts'

const scene = makeScene()
const self = { as: 'self' } as const

/** A directory of the host with a file `here` in it. */
function hostDirectory(): string {
  const directory = mkdtempSync(join(scene.folder, 'host-'))
  writeFileSync(join(directory, 'here'), 'of the host\n')
  mkdirSync(join(directory, 'below'))
  give(directory)
  return directory
}

/** Run the probe in the tree with places of memory and these operations behind the root. */
const inOverlay = (ops: readonly Op[], words: readonly string[], changes: Changes = {}) =>
  launch(makeSpec(scene.root, words, { ops: [...overlayRoot(scene.root), ...ops], ...changes }))

describe.skipIf(!can('userns'))('the root', () => {
  it('is the directory, and nothing of the host is left', async () => {
    const words = ['stat', '/bin/probe', '--', 'stat', scene.root]
    const { stdout, stderr } = await launch(makeSpec(scene.root, words))
    expect(stderr).toBe('')
    expect(stdout).toContain('/bin/probe: file')
    expect(stdout).toContain(`${scene.root}: No such file or directory`)
  })

  it('takes changes of a directory when it is not read-only', async () => {
    const root = makeTree(scene, 'changeable')
    await launch(makeSpec(root, ['write', '/tmp/new', 'text']))
    expect(readFileSync(join(root, 'tmp/new'), 'utf8')).toBe('text')
  })

  it('is read-only from the operation on', async () => {
    const ops: Op[] = [...directoryRoot(scene.root), { op: 'readonly', at: '/' }]
    const { stdout } = await launch(
      makeSpec(scene.root, ['write', '/tmp/new', 'text', '--', 'flags', '/'], { ops }),
    )
    expect(stdout).toContain('/tmp/new: Read-only file system')
    expect(stdout).toContain('/: ro nosuid nodev')
  })

  it('says which directory does not exist', async () => {
    const { status, stderr } = await launch(makeSpec('/no/such/root', ['id']))
    expect({ status, stderr }).toEqual({
      status: 255,
      stderr: 'FATAL:   cannot use the directory /no/such/root: No such file or directory\n',
    })
  })

  it('cannot be made read-only where nothing is mounted', async () => {
    const ops: Op[] = [...directoryRoot(scene.root), { op: 'readonly', at: '/tmp' }]
    const { stderr } = await launch(makeSpec(scene.root, ['id'], { ops }))
    expect(stderr).toBe('FATAL:   cannot make /tmp read-only: nothing is mounted there\n')
  })
})

describe.skipIf(!can('overlay'))('an overlay', () => {
  it('takes mount points without changing the tree below', async () => {
    const { stdout } = await inOverlay(
      [bind('/etc', '/new/place'), { op: 'readonly', at: '/' }],
      ['stat', '/new/place', '--', 'touch', '/x'],
    )
    expect(stdout).toContain('/new/place: directory')
    expect(stdout).toContain('touch: Read-only file system')
    expect(() => readFileSync(join(scene.root, 'new'))).toThrow(/ENOENT/)
  })

  it('keeps changes in the upper layer', async () => {
    const upper = hostDirectory()
    const ops: Op[] = [
      { op: 'directory', layer: 'image', from: scene.root },
      { op: 'directory', layer: 'changes', from: upper },
      { op: 'overlay', lower: ['image'], upper: 'changes', userxattr: true },
    ]
    const first = await launch(makeSpec(scene.root, ['write', '/etc/kept', 'kept\n'], { ops }))
    const second = await launch(makeSpec(scene.root, ['cat', '/etc/kept'], { ops }))
    expect([first.stderr, second.stdout]).toEqual(['', 'kept\n'])
    expect(readFileSync(join(upper, 'upper/etc/kept'), 'utf8')).toBe('kept\n')
  })

  it('keeps changes in memory up to its size', async () => {
    const ops: Op[] = [
      { op: 'directory', layer: 'image', from: scene.root },
      { op: 'memory', layer: 'changes', size: 65536 },
      { op: 'overlay', lower: ['image'], upper: 'changes', userxattr: true },
    ]
    const big = 'x'.repeat(100_000)
    const words = ['write', '/small', 'x', '--', 'write', '/big', big]
    const { stdout } = await launch(makeSpec(scene.root, words, { ops }))
    expect(stdout).toContain('/small: ok')
    expect(stdout).toMatch(/\/big: (No space left on device|ok)/)
  })

  it('shows the topmost of its layers', async () => {
    const [top, bottom] = [hostDirectory(), hostDirectory()]
    writeFileSync(join(top, 'here'), 'of the top\n')
    const ops: Op[] = [
      { op: 'directory', layer: 'top', from: top },
      { op: 'directory', layer: 'bottom', from: bottom },
      { op: 'directory', layer: 'image', from: scene.root },
      { op: 'overlay', lower: ['top', 'bottom', 'image'], userxattr: true },
    ]
    const { stdout } = await launch(makeSpec(scene.root, ['cat', '/here'], { ops }))
    expect(stdout).toBe('of the top\n')
  })
})

describe.skipIf(!can('overlay'))('a bind', () => {
  it('shows a directory of the host without its setuid bits and devices', async () => {
    const { stdout } = await inOverlay(
      [bind(hostDirectory(), '/mnt/data')],
      ['cat', '/mnt/data/here', '--', 'flags', '/mnt/data'],
    )
    expect(stdout).toBe('of the host\n/mnt/data: rw nosuid nodev\n')
  })

  it('can be read-only', async () => {
    const { stdout } = await inOverlay(
      [bind(hostDirectory(), '/mnt/data', { readonly: true })],
      ['touch', '/mnt/data/new'],
    )
    expect(stdout).toBe('touch: Read-only file system\n')
  })

  it('can be read-only together with the mounts below it', async () => {
    const ops = [
      { op: 'tmpfs', at: '/mnt/below', missing: 'create', size: 0, mode: 0o755 } as const,
      bind('/proc', '/p', { readonly: true, trusted: true }),
      bind('/dev', '/d', { readonly: true, trusted: true }),
    ]
    const { stdout } = await inOverlay(ops, ['flags', '/d', '--', 'flags', '/d/pts', '--', 'flags', '/p'])
    expect(stdout).toMatch(/^\/d: ro.*\n\/d\/pts: ro.*\n\/p: ro.*\n$/)
  })

  it('keeps devices effective when it is trusted', async () => {
    const { stdout } = await inOverlay(
      [bind('/dev/null', '/dev/null', { trusted: true }), bind('/dev/zero', '/dev/zero')],
      ['null', '/dev/null', '--', 'null', '/dev/zero'],
    )
    expect(stdout).toBe('null: ok\nnull: Permission denied\n')
  })

  it('of a file makes a file', async () => {
    const { stdout } = await inOverlay([bind(join(hostDirectory(), 'here'), '/a/b/c')], ['cat', '/a/b/c'])
    expect(stdout).toBe('of the host\n')
  })

  it('finds its source below a directory that an earlier bind covers', async () => {
    const host = hostDirectory()
    const ops = [
      { op: 'tmpfs', at: '/tmp', missing: 'create', size: 0, mode: 0o1777 } as const,
      bind(host, host),
    ]
    const { stdout } = await inOverlay(ops, ['cat', join(host, 'here')])
    expect(stdout).toBe('of the host\n')
  })

  it.each([
    [
      'a source that does not exist',
      bind('/no/such', '/mnt'),
      'cannot bind /no/such at /mnt: /no/such: No such file or directory',
    ],
    [
      'a file over a directory',
      bind('/etc/passwd', '/mnt'),
      'cannot bind /etc/passwd at /mnt: /etc/passwd is a file and /mnt is a directory',
    ],
    [
      'a directory over a file',
      bind('/etc', '/bin/probe'),
      'cannot bind /etc at /bin/probe: /etc is a directory and /bin/probe is none',
    ],
    [
      'a place that does not exist',
      bind('/etc', '/none', { missing: 'fail' }),
      'cannot bind /etc at /none: /none does not exist in the container',
    ],
    [
      'a place below a file',
      bind('/etc', '/bin/probe/x'),
      'cannot bind /etc at /bin/probe/x: /bin/probe/x: Not a directory',
    ],
    [
      'a name that is too long',
      bind('/etc', `/${'x'.repeat(300)}`),
      `cannot bind /etc at /${'x'.repeat(300)}: /${'x'.repeat(300)}: File name too long`,
    ],
  ])('is refused for %s', async (_, op, sentence) => {
    const { status, stderr } = await inOverlay([op], ['id'])
    expect({ status, stderr }).toEqual({ status: 255, stderr: `FATAL:   ${sentence}\n` })
  })

  it('that is soft warns and goes on', async () => {
    const { status, stderr, stdout } = await inOverlay(
      [bind('/no/such', '/mnt', { soft: true })],
      ['env', 'PWD'],
    )
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'PWD=/\n' })
    expect(stderr).toBe('WARNING: cannot bind /no/such at /mnt: /no/such: No such file or directory\n')
  })

  it('is left out where its place is missing and may be', async () => {
    const ops = [
      bind('/etc', '/none', { missing: 'skip' }),
      bind('/etc', '/bin/probe/x', { missing: 'skip' }),
    ]
    const { status, stdout } = await inOverlay(ops, ['stat', '/none'])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '/none: No such file or directory\n' })
  })

  it('names the place that cannot be made in a read-only directory', async () => {
    const ops = [bind(hostDirectory(), '/mnt', { readonly: true }), bind('/etc', '/mnt/new')]
    const { stderr } = await inOverlay(ops, ['id'])
    expect(stderr).toMatch(
      /cannot bind \/etc at \/mnt\/new: making the directory new of \/mnt\/new: Read-only/,
    )
  })

  it('explains why mounts below its source cannot be left out', async () => {
    const { stderr } = await inOverlay([bind('/', '/mnt', { recursive: false })], ['id'])
    expect(stderr).toMatch(/cannot bind \/ at \/mnt: Invalid argument \(other mounts lie below it/)
  })
})

describe.skipIf(!can('overlay'))('memory and the file systems of the kernel', () => {
  it('a tmpfs has its mode and size', async () => {
    const op = { op: 'tmpfs', at: '/mnt', missing: 'fail', size: 4096, mode: 0o1777 } as const
    const words = ['stat', '/mnt', '--', 'flags', '/mnt', '--', 'write', '/mnt/x', 'x'.repeat(9000)]
    const { stdout } = await inOverlay([op], words)
    expect(stdout).toMatch(/\/mnt: directory 1777/)
    expect(stdout).toMatch(/\/mnt: rw nosuid nodev/)
  })

  it('proc shows the pid namespace of the container', async () => {
    const { stdout } = await inOverlay(
      [{ op: 'proc', at: '/proc', missing: 'create' }],
      ['readlink', '/proc/self', '--', 'flags', '/proc'],
      { namespaces: ['user', 'mount', 'pid'] },
    )
    expect(stdout).toBe('/proc/self -> 1\n/proc: rw nosuid nodev noexec\n')
  })

  it("proc is the host's where the kernel makes no fresh one", async () => {
    const { stdout, status } = await inOverlay(
      [{ op: 'proc', at: '/proc', missing: 'create' }],
      ['flags', '/proc', '--', 'stat', '/proc/self/status'],
    )
    expect(status).toBe(0)
    expect(stdout).toMatch(/\/proc: rw nosuid nodev.*\n.*status: file/)
  })

  it.each([
    ['a fresh one for an own network', ['user', 'mount', 'net']],
    ["the host's otherwise", ['user', 'mount']],
  ] as const)('sysfs is %s', async (_, namespaces) => {
    const ops: Op[] = [{ op: 'sysfs', at: '/sys', missing: 'create' }]
    const { stdout } = await inOverlay(ops, ['stat', '/sys/kernel'], { namespaces })
    expect(stdout).toMatch(/\/sys\/kernel: directory/)
  })

  it('devpts and mqueue are new', async () => {
    const ops: Op[] = [
      { op: 'devpts', at: '/dev/pts', missing: 'create' },
      { op: 'symlink', at: '/dev/ptmx', to: 'pts/ptmx' },
      { op: 'mqueue', at: '/dev/mqueue', missing: 'create' },
    ]
    const words = ['stat', '/dev/pts/ptmx', '--', 'flags', '/dev/mqueue', '--', 'readlink', '/dev/ptmx']
    const { stdout } = await inOverlay(ops, words, { namespaces: ['user', 'mount', 'ipc'] })
    expect(stdout).toMatch(
      /ptmx: device 0666 .*\n\/dev\/mqueue: rw nosuid nodev noexec\n\/dev\/ptmx -> pts\/ptmx/,
    )
  })

  it.each(['proc', 'sysfs', 'devpts', 'mqueue'] as const)(
    '%s is left out where its place is missing',
    async (op) => {
      const { status } = await inOverlay([{ op, at: '/none/such', missing: 'skip' }], ['id'])
      expect(status).toBe(0)
    },
  )
})

describe.skipIf(!can('overlay'))('things made in the container', () => {
  it('directories have their mode, whatever the umask', async () => {
    const { stdout } = await inOverlay(
      [{ op: 'mkdir', at: '/a/b', mode: 0o1777 }],
      ['stat', '/a', '--', 'stat', '/a/b'],
    )
    expect(stdout).toMatch(/\/a: directory 0755.*\n\/a\/b: directory 1777/)
  })

  it('a directory cannot take the place of a file', async () => {
    const { stderr } = await inOverlay([{ op: 'mkdir', at: '/bin/probe', mode: 0o755 }], ['id'])
    expect(stderr).toBe('FATAL:   cannot make the directory /bin/probe: File exists\n')
  })

  it('a link may stand there already when it is the same', async () => {
    const ops: Op[] = [
      { op: 'symlink', at: '/l', to: '/x' },
      { op: 'symlink', at: '/l', to: '/x' },
    ]
    expect((await inOverlay(ops, ['readlink', '/l'])).stdout).toBe('/l -> /x\n')
    const { stderr } = await inOverlay([...ops, { op: 'symlink', at: '/l', to: '/y' }], ['id'])
    expect(stderr).toBe('FATAL:   cannot make the link /l: File exists\n')
  })

  it('a file has its text and mode and lives in memory', async () => {
    const op = { op: 'file', at: '/etc/made', missing: 'create', mode: 0o600, text: 'line\nüber\n' } as const
    const { stdout } = await inOverlay(
      [op],
      ['cat', '/etc/made', '--', 'stat', '/etc/made', '--', 'flags', '/etc/made'],
    )
    expect(stdout).toMatch(/^line\nüber\n\/etc\/made: file 0600 .*\n\/etc\/made: rw nosuid nodev\n$/)
  })

  it('a file cannot take the place of a directory', async () => {
    const op = { op: 'file', at: '/etc', missing: 'create', mode: 0o600, text: '' } as const
    expect((await inOverlay([op], ['id'])).stderr).toBe(
      'FATAL:   cannot put a file at /etc: Is a directory\n',
    )
  })
})

describe.skipIf(!can('overlay'))('records of passwd-like files', () => {
  const text = 'root:x:0:0:root:/root:/bin/ash\nme:x:7:7:::/bin/zsh\nother:x:1001:9::/o:\n+::::::'
  const line = 'me:x:1001:1001:Me:/home/me:/bin/sh'
  const same = [
    [0, 'me'],
    [2, '1001'],
  ] as const

  async function records(lines: (Op & { op: 'records' })['lines'], file: string | undefined = text) {
    const root = makeTree(scene, `records-${Math.random().toString(36).slice(2)}`)
    if (file !== '') writeFileSync(join(root, 'etc/passwd'), file)
    const ops: Op[] = [...overlayRoot(root), { op: 'records', at: '/etc/passwd', missing: 'create', lines }]
    return (await launch(makeSpec(root, ['cat', '/etc/passwd'], { ops }))).stdout
  }

  it('a record takes the place of all that are the same and keeps fields of the first', async () => {
    const result = 'root:x:0:0:root:/root:/bin/ash\nme:x:1001:1001:Me:/home/me:/bin/zsh\n+::::::\n'
    expect(await records([{ line, same, when: 'replace', keep: [6] }])).toBe(result)
  })

  it('a kept field that is empty gives way', async () => {
    const lines = [{ line, same: [[2, '1001']] as const, when: 'replace', keep: [6] } as const]
    expect(await records(lines)).toContain('\nme:x:1001:1001:Me:/home/me:/bin/sh\n')
  })

  it('a record is added at the end when there is none', async () => {
    expect(await records([{ line: 'new:x:5', same: [[0, 'new']], when: 'replace', keep: [1] }])).toBe(
      `${text}\nnew:x:5\n`,
    )
    expect(await records([{ line: 'new:x:5', same: [[0, 'new']], when: 'absent', keep: [] }])).toBe(
      `${text}\nnew:x:5\n`,
    )
  })

  it('a record that may be absent leaves the same one alone', async () => {
    expect(await records([{ line: 'root:y', same: [[0, 'root']], when: 'absent', keep: [] }])).toBe(
      `${text}\n`,
    )
  })

  it('a file that does not exist holds the records alone', async () => {
    expect(await records([{ line, same, when: 'replace', keep: [6] }], '')).toBe(`${line}\n`)
  })

  it('what is no text file is not read', async () => {
    const ops: Op[] = [{ op: 'records', at: '/etc', missing: 'create', lines: [] }]
    expect((await inOverlay(ops, ['id'])).stderr).toMatch(
      /cannot put a file at \/etc: there is something else/,
    )
  })
})

describe.skipIf(!can('overlay'))('links in an image', () => {
  /** A tree with links, and a directory of the host bound at /host in it. */
  async function attack(links: Readonly<Record<string, string>>, op: (host: string) => Op) {
    const root = makeTree(scene, `links-${Math.random().toString(36).slice(2)}`)
    const host = hostDirectory()
    for (const [name, to] of Object.entries(links)) symlinkSync(to, join(root, name))
    const ops = [
      ...overlayRoot(root),
      bind(host, '/host'),
      bind('/proc', '/proc', { trusted: true }),
      op(host),
    ]
    const outcome = await launch(
      makeSpec(root, ['stat', '/host/new', '--', 'stat', '/new', '--', 'stat', '/mnt/new'], { ops }),
    )
    return { ...outcome, host }
  }

  it.each<[string, Record<string, string>, Op]>([
    ['makes no directory', { l: '/host' }, { op: 'mkdir', at: '/l/new', mode: 0o755 }],
    ['makes no link', { l: '/host' }, { op: 'symlink', at: '/l/new', to: 'x' }],
    ['puts no file', { l: '/host' }, { op: 'file', at: '/l/new', missing: 'create', mode: 0o644, text: 'x' }],
    ['makes no place of a bind', { l: '/host' }, bind('/etc', '/l/new')],
    ['covers nothing that is there', { l: '/host/below' }, bind('/etc', '/l')],
    [
      'mounts no memory',
      { l: '/host/below' },
      { op: 'tmpfs', at: '/l', missing: 'fail', size: 0, mode: 0o755 },
    ],
    ['takes no relative link', { l: 'host' }, bind('/etc', '/l/new')],
    ['takes no link with dots', { l: 'mnt/../../../host' }, bind('/etc', '/l/new')],
    ['takes no dangling link', { l: '/host/new' }, bind('/etc', '/l')],
    ['takes no chain of links', { a: '/b', b: 'l', l: '/host/new' }, bind('/etc', '/a')],
    ['takes no link in between', { l: '/host' }, bind('/etc', '/l/below/../new')],
    ['changes no rights', { l: '/host' }, { op: 'readonly', at: '/l' }],
  ])('lead into no directory of the host: %s', async (_, links, op) => {
    const { status, stderr, host } = await attack(links, () => op)
    expect(stderr).toMatch(/a link in the image leads \S+ into a directory of the host\n$/)
    expect(status).toBe(255)
    expect(() => readFileSync(join(host, 'new'))).toThrow(/ENOENT/)
  })

  it.each<[string, Record<string, string>, string]>([
    ['an absolute link', { l: '/mnt' }, '/l/new'],
    ['too many dots', { l: '../../../../../../../../mnt' }, '/l/new'],
    ['dots in the path', {}, '/../../mnt/./new'],
    ['a dangling link', { l: '/mnt/new' }, '/l'],
  ])('stay in the container: %s', async (_, links, at) => {
    const { stdout, stderr } = await attack(links, () => ({ op: 'mkdir', at, mode: 0o755 }))
    expect(stderr).toBe('')
    expect(stdout).toContain('/mnt/new: directory')
  })

  it('of the kernel lead to their text, not to where they point', async () => {
    const { stderr, stdout } = await attack({}, () => ({
      op: 'mkdir',
      at: '/proc/self/root/new',
      mode: 0o755,
    }))
    expect(stderr).toBe('')
    expect(stdout).toContain('/new: directory')
  })

  it('that go round in circles are refused', async () => {
    const { stderr } = await attack({ l: 'l' }, () => bind('/etc', '/l'))
    expect(stderr).toMatch(/Too many levels of symbolic links/)
  })

  it('may lead into memory of the container', async () => {
    const root = makeTree(scene, 'link-to-memory')
    symlinkSync('/run', join(root, 'var-run'))
    const ops: Op[] = [
      ...overlayRoot(root),
      { op: 'tmpfs', at: '/run', missing: 'create', size: 0, mode: 0o755 },
      { op: 'mkdir', at: '/var-run/new', mode: 0o755 },
    ]
    const { stdout } = await launch(makeSpec(root, ['stat', '/run/new'], { ops }))
    expect(stdout).toContain('/run/new: directory')
  })

  it('of the host itself are followed inside', async () => {
    const host = hostDirectory()
    symlinkSync('below', join(host, 'l'))
    const ops = [bind(host, '/host'), { op: 'mkdir', at: '/host/l/new', mode: 0o755 } as const]
    const { stdout } = await inOverlay(ops, ['stat', '/host/below/new'])
    expect(stdout).toContain('/host/below/new: directory')
  })

  it('need not be told apart by a number that old kernels do not give', async () => {
    const root = makeTree(scene, 'links-old')
    const host = hostDirectory()
    symlinkSync('/host', join(root, 'l'))
    const ops = [...overlayRoot(root), bind(host, '/host'), bind('/etc', '/l/new')]
    // statx
    const { stderr } = await launchThrough(
      scene,
      ['without', '332=38,291=38'],
      makeSpec(root, ['id'], { ops }),
    )
    expect(stderr).toMatch(/a link in the image leads/)
  })
})

describe.skipIf(!can('overlay'))('without the system calls of later kernels', () => {
  const old = ['without', '442=38,436=38,332=38'] // mount_setattr, close_range, statx

  it.runIf(process.arch === 'x64')('binds have the same rights', async () => {
    const ops = [
      ...overlayRoot(scene.root),
      bind(hostDirectory(), '/mnt', { readonly: true }),
      bind(hostDirectory(), '/data'),
      bind('/dev', '/dev', { readonly: true, trusted: true }),
      { op: 'readonly', at: '/' } as const,
    ]
    const words = ['/mnt', '/data', '/dev', '/dev/pts', '/'].flatMap((place) => ['flags', place, '--'])
    const { stdout, stderr } = await launchThrough(scene, old, makeSpec(scene.root, words, { ops }))
    expect(stderr).toBe('')
    expect(stdout).toMatch(
      /^\/mnt: ro nosuid nodev\n\/data: rw nosuid nodev\n\/dev: ro.*\n\/dev\/pts: ro.*\n\/: ro/,
    )
  })

  it.runIf(process.arch === 'x64')('the status of a pid namespace comes back', async () => {
    const changes = { namespaces: ['user', 'mount', 'pid'], process: { init: true } } as const
    const { status } = await launchThrough(scene, old, makeSpec(scene.root, ['exit', '7'], changes))
    expect(status).toBe(7)
  })
})

describe.skipIf(!can('root'))('for real root', () => {
  it.runIf(process.arch === 'x64')('a root that cannot be pivoted is entered all the same', async () => {
    const spec = makeSpec(scene.root, ['stat', scene.root, '--', 'id'], {
      ...asRoot,
      security: { capabilities: 'all' },
    })
    // pivot_root, as when the machine runs from its initramfs
    const { stdout } = await launchThrough(scene, ['without', '155=22'], spec, self)
    expect(stdout).toMatch(/: No such file or directory\nuid=0 /)
  })

  it('flags of the source stay on its bind', async () => {
    const ops = [...directoryRoot(scene.root), bind('/proc', '/mnt', { recursive: false })]
    const { stdout, stderr } = await launch(makeSpec(scene.root, ['flags', '/mnt'], { ...asRoot, ops }), self)
    expect(stderr).toBe('')
    expect(stdout).toMatch(/\/mnt: rw nosuid nodev/)
  })
})

describe.skipIf(!can('userns'))('on the tree of the host', () => {
  it('operations act in the private mount namespace', async () => {
    const host = hostDirectory()
    const ops: Op[] = [
      bind('/etc', join(host, 'below')),
      { op: 'file', at: join(host, 'here'), missing: 'fail', mode: 0o644, text: 'of the container\n' },
    ]
    const process = {
      programs: [[scene.probe, 'cat', join(host, 'here'), '--', 'stat', join(host, 'below/passwd')]],
    }
    const { stdout } = await launch(makeSpec('', [], { root: 'host', ops, process }))
    expect(stdout).toMatch(/^of the container\n.*passwd: file/)
    expect(readFileSync(join(host, 'here'), 'utf8')).toBe('of the host\n')
  })

  it('a fresh proc can lie over the old one', async () => {
    const process = { programs: [[scene.probe, 'readlink', '/proc/self']] }
    const ops: Op[] = [{ op: 'proc', at: '/proc', missing: 'fail' }]
    const namespaces = ['user', 'mount', 'pid'] as const
    const { stdout } = await launch(makeSpec('', [], { root: 'host', ops, process, namespaces }))
    expect(stdout).toBe('/proc/self -> 1\n')
  })

  it('nothing has to be mounted at all', async () => {
    const { uid } = testUser()
    const process = { programs: [[scene.probe, 'id', '--', 'cwd']], directories: ['/tmp'] }
    const { stdout } = await launch(
      makeSpec('', [], { root: 'host', ops: [], process, namespaces: ['user'] }),
    )
    expect(stdout).toMatch(new RegExp(`uid=${uid} .*\\ncwd=/tmp\\n`))
  })
})
