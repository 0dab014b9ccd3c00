/** Who the payload is and what it may do: ids, capabilities, filters; and images served to it. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Op } from '../../src/plan/spec.ts'
import { can } from '../helpers/can.ts'
import { testUser } from '../helpers/sing.ts'
import { mappedIds } from './ids.ts'
import { pack } from './mount.ts'
import {
  asRoot,
  bind,
  type Changes,
  hasServer,
  launch,
  makeScene,
  makeSpec,
  makeTree,
  overlayRoot,
  ownIds,
  processesWith,
  rootIds,
  start,
  startLine,
  until,
} from './starter.ts'

const scene = makeScene()
const self = { as: 'self' } as const
const { uid, gid } = testUser()

const probe = (words: readonly string[], changes: Changes = {}) =>
  launch(makeSpec(scene.root, words, changes))

describe.skipIf(!can('userns'))('a plain user', () => {
  it('stays who they are and has no capability', async () => {
    const { stdout } = await probe(['id', '--', 'powers'])
    expect(stdout).toMatch(new RegExp(`^uid=${uid} euid=${uid} gid=${gid} `))
    expect(stdout).toContain('effective=none bounding=none no_new_privs=1 seccomp=0')
  })

  it('cannot take ids that are not theirs', async () => {
    const ids = { ...ownIds(), uids: [{ inside: 0, outside: uid + 1, count: 1 }] }
    const { status, stderr } = await probe(['id'], { ids })
    expect(stderr).toBe('FATAL:   cannot map ids: /proc/self/uid_map: Operation not permitted\n')
    expect(status).toBe(255)
  })

  it('may keep new privileges and capabilities to themselves', async () => {
    const { stdout } = await probe(['powers'], { security: { noNewPrivileges: false, capabilities: 'all' } })
    expect(stdout).toBe('effective=none bounding=some no_new_privs=0 seccomp=0\n')
  })
})

describe.skipIf(!can('userns'))('a user who appears as root', () => {
  const root: Changes = { ids: rootIds(), security: { capabilities: 'all', filter: 'fakeroot' } }
  const file = join(scene.root, 'etc', 'owned')
  writeFileSync(file, 'x')

  it('has all capabilities of their namespace', async () => {
    const { stdout } = await probe(['id', '--', 'powers'], root)
    expect(stdout).toMatch(/^uid=0 euid=0 gid=0 /)
    expect(stdout).toContain('effective=some bounding=some no_new_privs=1 seccomp=2')
  })

  it('can lose them', async () => {
    const { stdout } = await probe(['powers'], { ...root, security: { capabilities: 'none' } })
    expect(stdout).toBe('effective=none bounding=none no_new_privs=1 seccomp=0\n')
  })

  it.each([true, false])('can lose them below a filter, no_new_privs: %s', async (noNewPrivileges) => {
    const security = { capabilities: 'none', filter: 'fakeroot', noNewPrivileges } as const
    const { stdout } = await probe(['powers'], { ...root, security })
    expect(stdout).toContain('effective=none bounding=none')
    expect(stdout).toContain('seccomp=2')
  })

  it('seems to give files away and to become others', async () => {
    const words = [
      'chown',
      '/etc/owned',
      '12',
      '34',
      '--',
      'fchownat',
      '/etc/owned',
      '1',
      '2',
      '--',
      'setid',
      '33',
    ]
    const { stdout } = await probe([...words, '--', 'id'], root)
    expect(stdout).toMatch(/^chown: ok\nfchownat: ok\nsetgroups: ok\nsetresgid: ok\nsetresuid: ok\nuid=0 /)
  })

  it.runIf(process.arch === 'x64')('seems to do so in programs of 32 bits', async () => {
    const { stdout } = await probe(['chown32', '/etc/owned'], root)
    expect(stdout).toMatch(/^chown32: (ok|Function not implemented)\n$/)
  })

  it('seems to make devices, and does make pipes', async () => {
    const words = ['mknod', '/tmp/c', 'c', '--', 'mknod', '/tmp/b', 'b', '--', 'mknod', '/tmp/p', 'p']
    const ops: Op[] = [
      ...(makeSpec(scene.root, []).ops as Op[]),
      { op: 'tmpfs', at: '/tmp', missing: 'fail', size: 0, mode: 0o1777 },
    ]
    const { stdout } = await probe([...words, '--', 'stat', '/tmp/c', '--', 'stat', '/tmp/p'], {
      ...root,
      ops,
    })
    expect(stdout).toMatch(/^(mknod: ok\n){3}\/tmp\/c: No such file or directory\n\/tmp\/p: other/)
  })

  it('does not seem to without the filter', async () => {
    const words = ['chown', '/etc/owned', '12', '34', '--', 'mknod', '/tmp/c', 'c']
    const { stdout } = await probe(words, { ...root, security: { capabilities: 'all', filter: 'none' } })
    expect(stdout).toMatch(/^chown: (?!ok).*\nmknod: (?!ok)/)
    const devices = await probe(words, { ...root, security: { capabilities: 'all', filter: 'devices' } })
    expect(devices.stdout).toMatch(/^chown: (?!ok).*\nmknod: ok/)
  })
})

describe.skipIf(!can('userns', 'subuid'))('a user with a range of ids', () => {
  const root: Changes = { ids: mappedIds(), security: { capabilities: 'all', filter: 'devices' } }

  it('can give files to any of them', async () => {
    const tree = makeTree(scene, 'given')
    writeFileSync(join(tree, 'etc', 'file'), '')
    const words = ['chown', '/etc/file', '0', '0', '--', 'setid', '33', '--', 'id']
    const ops: Op[] = [
      ...(makeSpec(tree, []).ops as Op[]),
      { op: 'tmpfs', at: '/tmp', missing: 'fail', size: 0, mode: 0o1777 },
    ]
    const touched = ['touch', '/tmp/x', '--', 'chown', '/tmp/x', '12', '34', '--', 'stat', '/tmp/x', '--']
    const { stdout, stderr } = await launch(makeSpec(tree, [...touched, ...words], { ...root, ops }))
    expect(stderr).toBe('')
    expect(stdout).toContain('/tmp/x: file 0644 12:34')
    expect(stdout).toContain('setresuid: ok\nuid=33 euid=33 gid=33 groups=33\n')
  })

  it('hears what newuidmap has to say', async () => {
    const ids = { ...mappedIds(), uids: [{ inside: 0, outside: 0, count: 65536 }] }
    const { status, stderr } = await probe(['id'], { ...root, ids })
    expect(stderr).toMatch(/^FATAL: {3}cannot map ids: \/usr\/bin\/newuidmap: newuidmap: \S.*\n$/)
    expect(status).toBe(255)
  })

  it('hears that it does not exist', async () => {
    const { stderr } = await probe(['id'], { ...root, ids: mappedIds('/none/newuidmap') })
    expect(stderr).toBe('FATAL:   cannot map ids: /none/newuidmap: No such file or directory\n')
  })

  it('can start again as root of that namespace', async () => {
    const inner = makeSpec(scene.root, ['id'], { ...asRoot, security: { capabilities: 'all' } })
    const outer = { root: 'host', ops: [], process: { programs: [startLine(inner)] } } as const
    const { stdout, stderr } = await probe([], { ...root, ...outer, namespaces: ['user', 'mount'] })
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^uid=0 euid=0 gid=0 /)
  })
})

describe.skipIf(!can('root'))('real root', () => {
  it('needs no user namespace', async () => {
    const spec = makeSpec(scene.root, ['id', '--', 'powers'], {
      ...asRoot,
      security: { capabilities: 'all' },
    })
    const { stdout, stderr } = await launch(spec, self)
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^uid=0 .*\neffective=some bounding=some no_new_privs=1/)
  })

  it('loses all capabilities when it shall', async () => {
    const { stdout } = await launch(makeSpec(scene.root, ['powers'], asRoot), self)
    expect(stdout).toBe('effective=none bounding=none no_new_privs=1 seccomp=0\n')
  })

  it('has overlays without user attributes', async () => {
    const ops = overlayRoot(scene.root, false)
    const { stdout } = await launch(makeSpec(scene.root, ['touch', '/new'], { ...asRoot, ops }), self)
    expect(stdout).toBe('touch: ok\n')
  })
})

describe.skipIf(!hasServer || !can('userns', 'fuse', 'overlay'))('a squashfs image', () => {
  const tree = makeTree(scene, 'packed')
  mkdirSync(join(tree, 'opt'))
  writeFileSync(join(tree, 'opt', 'data'), 'of the image\n')
  // Behind a header, as in a SIF.
  const image = pack(tree, join(scene.folder, 'image'), '-offset', '4096')

  // The server's command line.
  const served = `--offset 4096 --size ${image.size - 4096} `

  const layer = (changes: Partial<Op & { op: 'squashfs' }> = {}): Op => ({
    op: 'squashfs',
    layer: 'image',
    file: image.path,
    offset: 4096,
    size: image.size - 4096,
    mount: 'fuse',
    ...changes,
  })
  const plain = (changes: Partial<Op & { op: 'squashfs' }> = {}): Op[] => [
    layer({ owner: { uid, gid }, ...changes }),
    { op: 'root', layer: 'image' },
  ]

  it('is the root of a plain user, with every file theirs', async () => {
    const words = ['cat', '/opt/data', '--', 'stat', '/opt/data', '--', 'flags', '/', '--', 'children']
    const { stdout, stderr } = await probe(words, { ops: plain() })
    expect(stderr).toBe('')
    expect(stdout).toMatch(
      new RegExp(`^of the image\n/opt/data: file 0644 ${uid}:${gid}\n/: ro nosuid nodev.*\nchildren: none\n`),
    )
  })

  it('can be below an overlay and take mount points', async () => {
    const ops = [
      layer({ owner: { uid, gid } }),
      { op: 'overlay', lower: ['image'], userxattr: true } as const,
    ]
    const { stdout } = await probe(['cat', '/opt/data', '--', 'stat', '/new/etc/passwd'], {
      ops: [...ops, bind('/etc', '/new/etc'), { op: 'readonly', at: '/' }],
    })
    expect(stdout).toMatch(/^of the image\n.*passwd: file/)
  })

  it('can be one of several', async () => {
    const other = makeTree(scene, 'packed-too')
    writeFileSync(join(other, 'etc', 'other'), 'of the other\n')
    const second = pack(other, join(scene.folder, 'other'))
    const ops: Op[] = [
      layer({ owner: { uid, gid } }),
      layer({ layer: 'two', file: second.path, offset: 0, size: second.size, owner: { uid, gid } }),
      { op: 'overlay', lower: ['two', 'image'], userxattr: true },
    ]
    const { stdout } = await probe(['cat', '/opt/data', '--', 'cat', '/etc/other'], { ops })
    expect(stdout).toBe('of the image\nof the other\n')
  })

  it('is the root of a pid namespace, too', async () => {
    const changes = { namespaces: ['user', 'mount', 'pid'], process: { init: true } } as const
    const { stdout, status } = await probe(['cat', '/opt/data', '--', 'children'], {
      ...changes,
      ops: plain(),
    })
    expect({ stdout, status }).toEqual({ stdout: 'of the image\nchildren: none\n', status: 0 })
  })

  it('is served as long as anybody lives in it, and no longer', async () => {
    const { child, line } = start(makeSpec(scene.root, ['sleep', '1000'], { ops: plain() }))
    expect(await line()).toBe('sleeping')
    expect(processesWith(served)).toHaveLength(1)
    child.kill('SIGKILL')
    await until(() => processesWith(served).length === 0)
  })

  it('is not served on when the launch fails', async () => {
    const { status } = await probe(['id'], { ops: [...plain(), bind('/none', '/mnt')] })
    expect(status).toBe(255)
    await until(() => processesWith(served).length === 0)
  })

  it.each([
    ['does not exist', { file: '/none' }, 'cannot open the image /none: No such file or directory'],
    ['is a directory', { file: '/etc' }, 'cannot open the image /etc: it is no file'],
    [
      'is shorter than it says',
      { size: image.size },
      `cannot open the image ${image.path}: it ends before its file system does`,
    ],
  ])('is refused when it %s', async (_, changes, sentence) => {
    const { status, stderr } = await probe(['id'], { ops: plain(changes) })
    expect({ status, stderr }).toEqual({ status: 255, stderr: `FATAL:   ${sentence}\n` })
  })

  describe.skipIf(!can('root'))('of real root', () => {
    const root: Changes = { ...asRoot, security: { capabilities: 'all' } }
    const kernel = (changes: Partial<Op & { op: 'squashfs' }> = {}): Op[] => [
      layer({ mount: 'kernel', ...changes }),
      { op: 'root', layer: 'image' },
    ]

    it('is mounted by the kernel, or through FUSE where that cannot be', async () => {
      const { stdout, stderr } = await launch(
        makeSpec('', ['cat', '/opt/data'], { ...root, ops: kernel() }),
        self,
      )
      expect({ stdout, stderr }).toEqual({ stdout: 'of the image\n', stderr: '' })
    })

    it('goes through FUSE when its owners are to be changed', async () => {
      const ops = kernel({ owner: { uid: 12, gid: 34 } })
      const { stdout } = await launch(makeSpec('', ['stat', '/opt/data'], { ...root, ops }), self)
      expect(stdout).toBe('/opt/data: file 0644 12:34\n')
    })

    it('goes through FUSE when it does not begin at a sector', async () => {
      const odd = join(scene.folder, 'odd')
      writeFileSync(odd, Buffer.concat([Buffer.alloc(100), readFileSync(image.path).subarray(4096)]))
      const ops = kernel({ file: odd, offset: 100 })
      const spec = makeSpec('', ['cat', '/opt/data'], { ...root, ops, debug: true })
      const { stdout, stderr } = await launch(spec, self)
      expect(stdout).toBe('of the image\n')
      expect(stderr).toContain('does not begin at a multiple of 512 bytes')
    })

    it('goes through FUSE when the kernel cannot read it', async () => {
      // The offset of another file system: the kernel says so at the mount, the server later.
      const ops = kernel({ offset: 512, size: image.size - 512 })
      const spec = makeSpec('', ['cat', '/opt/data'], { ...root, ops, debug: true })
      const { stderr, status } = await launch(spec, self)
      expect(stderr).toMatch(/the kernel does not mount|no loop device/)
      expect(stderr).toContain('started a server')
      expect(status).not.toBe(0)
      await until(() => processesWith(`--offset 512 --size ${image.size - 512} `).length === 0)
    })
  })
})
