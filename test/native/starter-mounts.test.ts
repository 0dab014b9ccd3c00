/** The operations of a launch spec on the real kernel: what appears where, with which rights, and what is refused. */

import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { testUser } from '../helpers/sing.ts'
import {
  asRoot,
  bind,
  type Changes,
  directoryRoot,
  hostDirectory,
  launch,
  launchThrough,
  makeScene,
  makeSpec,
  makeTree,
  overlayRoot,
} from './starter.ts'

const scene = makeScene()
const self = { as: 'self' } as const

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
    const upper = hostDirectory(scene)
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

  it.each(['upper', 'work'])('lets no link of the upper layer lead changes elsewhere: %s', async (part) => {
    const [upper, elsewhere] = [hostDirectory(scene), hostDirectory(scene)]
    symlinkSync(elsewhere, join(upper, part))
    const ops: Op[] = [
      { op: 'directory', layer: 'image', from: scene.root },
      { op: 'directory', layer: 'changes', from: upper },
      { op: 'overlay', lower: ['image'], upper: 'changes', userxattr: true },
    ]
    const { stderr } = await launch(makeSpec(scene.root, ['id'], { ops }))
    expect(stderr).toBe(
      `FATAL:   cannot mount the overlay: ${part} of the layer that takes changes is no directory\n`,
    )
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
    const [top, bottom] = [hostDirectory(scene), hostDirectory(scene)]
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

describe.skipIf(!can('overlay'))('without the system calls of later kernels', () => {
  const old = ['without', '442=38,436=38,332=38'] // mount_setattr, close_range, statx

  it.runIf(process.arch === 'x64')('binds have the same rights', async () => {
    const ops = [
      ...overlayRoot(scene.root),
      bind(hostDirectory(scene), '/mnt', { readonly: true }),
      bind(hostDirectory(scene), '/data'),
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
    const host = hostDirectory(scene)
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
