/** Capabilities one by one, other users, system call filters of the user, and FUSE programs, on the kernel. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compileSeccomp } from '../../src/plan/seccomp.ts'
import type { LaunchSpec } from '../../src/plan/spec.ts'
import { can, hasProgram } from '../helpers/can.ts'
import { asRoot, bind, type Changes, directoryRoot, launch, makeScene, makeSpec, rootIds } from './starter.ts'

const scene = makeScene()
const self = { as: 'self' } as const

/** The payload reads its own status through a proc that is bound in. */
const withProc = () => [...directoryRoot(scene.root), bind('/proc', '/proc', { trusted: true })]
const status = async (changes: Changes, options = {}) => {
  const { stdout, stderr } = await launch(
    makeSpec(scene.root, ['cat', '/proc/self/status'], { ops: withProc(), ...changes }),
    options,
  )
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(stdout)?.[1]
  const set = (name: string) => BigInt(`0x${field(name)}`)
  return { stderr, field, set }
}

const NET_RAW = 1n << 13n

const filterOf = (profile: object): LaunchSpec['security']['seccomp'] => {
  const target = {
    architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    capabilities: [],
    kernel: '6.1.0',
  } as const
  const { flags, program } = compileSeccomp(JSON.stringify(profile), 'p.json', target)
  return { flags, program }
}
const denying = (names: string[], action: string, more: object = {}) =>
  filterOf({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names, action, ...more }] })

describe.skipIf(!can('userns'))('a user', () => {
  it('has no capability', async () => {
    const { set, field } = await status({})
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect([name, set(name)]).toEqual([name, 0n])
    expect(field('NoNewPrivs')).toBe('1')
  })

  it('can have single ones of the own namespace, through an exec', async () => {
    const { set } = await status({ security: { capabilities: '0x2000' } })
    for (const name of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect([name, set(name)]).toEqual([name, NET_RAW])
  })

  it('as root inside can be without single ones', async () => {
    const all = (1n << 41n) - 1n
    const { set } = await status({
      ids: rootIds(),
      security: { capabilities: `0x${(all & ~NET_RAW).toString(16)}` },
    })
    for (const name of ['CapPrm', 'CapEff', 'CapBnd']) expect([name, set(name) & NET_RAW]).toEqual([name, 0n])
    expect(set('CapEff') & 1n).toBe(1n)
    expect(set('CapInh')).toBe(0n)
  })

  it('hears that it cannot be somebody else', async () => {
    const security = { capabilities: 'all', user: { uid: 99, gid: 99, groups: [] } } as const
    const { stderr } = await launch(makeSpec(scene.root, ['id'], { ids: rootIds(), security }))
    expect(stderr).toBe('FATAL:   cannot set supplementary groups: Operation not permitted\n')
  })

  it('hears that a label cannot be had', async () => {
    const security = { label: { module: 'apparmor', text: 'no-such-profile' } } as const
    const { stderr } = await launch(makeSpec(scene.root, ['id'], { security }))
    expect(stderr).toMatch(/^FATAL: {3}cannot take the AppArmor profile no-such-profile: \S.*\n$/)
    const context = { label: { module: 'selinux', text: 'no_t' } } as const
    const other = await launch(makeSpec(scene.root, ['id'], { security: context }))
    expect(other.stderr).toMatch(/^FATAL: {3}cannot take the SELinux context no_t: \S.*\n$/)
  })
})

describe.skipIf(!can('userns'))('a system call filter', () => {
  const run = (seccomp: LaunchSpec['security']['seccomp'], words: string[], changes: Changes = {}) =>
    launch(makeSpec(scene.root, words, { ...changes, security: { ...changes.security, seccomp } }))

  it('answers in place of the kernel', async () => {
    const filter = denying(['open', 'openat'], 'SCMP_ACT_ERRNO', { errnoRet: 95 })
    const { stdout } = await run(filter, ['touch', '/tmp/x'])
    expect(stdout).toContain('Operation not supported')
  })

  it('ends the payload with SIGSYS', async () => {
    for (const action of ['SCMP_ACT_KILL', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_TRAP']) {
      const outcome = await run(denying(['uname'], action), ['hostname'])
      expect([action, outcome.status]).toEqual([action, 159])
    }
  })

  it('may forbid whatever the starter needs before', async () => {
    const names = [
      'mount',
      'umount2',
      'pivot_root',
      'unshare',
      'setns',
      'prctl',
      'capset',
      'chdir',
      'fork',
      'clone',
    ]
    const pid: Changes = { namespaces: ['user', 'mount', 'pid'], process: { init: true } }
    const filter = denying([...names, 'clone3', 'wait4', 'kill', 'socket'], 'SCMP_ACT_KILL_PROCESS')
    expect(await run(filter, ['exit', '7'], pid)).toMatchObject({ status: 7, stderr: '' })
  })

  it('can forbid the payload itself', async () => {
    const { status: code, stderr } = await run(denying(['execve'], 'SCMP_ACT_ERRNO', { errnoRet: 13 }), [
      'id',
    ])
    expect(stderr).toContain('cannot run /bin/probe: Permission denied')
    expect(code).toBe(255)
  })

  it('compares arguments', async () => {
    const args = [{ index: 1, value: 99, op: 'SCMP_CMP_EQ' }]
    const filter = denying(['setresuid', 'setresuid32'], 'SCMP_ACT_KILL', { args })
    expect((await run(filter, ['setid', '98'])).stdout).toContain('setresuid')
    expect((await run(filter, ['setid', '99'])).status).toBe(159)
  })

  it('stacks with our own', async () => {
    const changes: Changes = { ids: rootIds(), security: { capabilities: 'all', filter: 'fakeroot' } }
    const words = ['chown', '/etc', '12', '34', '--', 'touch', '/tmp/x']
    const { stdout } = await run(
      denying(['open', 'openat'], 'SCMP_ACT_ERRNO', { errnoRet: 95 }),
      words,
      changes,
    )
    expect(stdout).toMatch(/^chown: ok\n.*Operation not supported/s)
  })

  it('that the kernel does not take is told', async () => {
    const { stderr } = await run({ flags: 0, program: 'ff00000000000000' }, ['id'])
    expect(stderr).toBe('FATAL:   cannot install the seccomp profile: Invalid argument\n')
  })
})

describe.skipIf(!can('root'))('root', () => {
  it('keeps just what is named, and never asks for what it has not', async () => {
    const { set } = await status({ ...asRoot, security: { capabilities: '0x1002000' } }, self)
    const mine = await status({ ...asRoot, security: { capabilities: 'all' } }, self)
    expect(set('CapEff')).toBe(mine.set('CapPrm') & 0x1002000n)
    expect(set('CapBnd')).toBe(mine.set('CapBnd') & 0x1002000n)
  })

  it('becomes somebody else with other groups, and without capabilities', async () => {
    const user = { uid: 99, gid: 98, groups: [97, 96] }
    const { set, field } = await status({ ...asRoot, security: { user } }, self)
    expect(field('Uid')).toBe('99\t99\t99\t99')
    expect(field('Gid')).toBe('98\t98\t98\t98')
    expect(field('Groups')?.trim()).toBe('96 97')
    expect(set('CapEff')).toBe(0n)
  })

  it('becomes somebody else with a capability', async () => {
    const user = { uid: 99, gid: 98, groups: [] }
    const { set } = await status({ ...asRoot, security: { user, capabilities: '0x2000' } }, self)
    expect(set('CapEff')).toBe(NET_RAW)
    expect(set('CapAmb')).toBe(NET_RAW)
  })

  it('can let setuid programs of the image work', async () => {
    const ops = [...directoryRoot(scene.root), { op: 'allow-setuid', at: '/' } as const]
    const flags = async (operations: LaunchSpec['ops']) =>
      (await launch(makeSpec(scene.root, ['flags', '/'], { ...asRoot, ops: operations }), self)).stdout
    expect(await flags(directoryRoot(scene.root))).toContain('nosuid')
    expect(await flags(ops)).not.toContain('nosuid')
    expect(await flags(ops)).toContain('nodev')
  })
})

const squashfuse = '/usr/bin/squashfuse_ll'

describe.skipIf(!can('userns', 'fuse') || !hasProgram('squashfuse_ll') || !hasProgram('mksquashfs'))(
  'a FUSE program of the host',
  () => {
    const image = join(scene.folder, 'data.sqfs')
    const fuse = (words: string[], changes: Changes = {}) =>
      launch(
        makeSpec(scene.root, ['cat', '/mnt/file'], {
          ...changes,
          ops: [
            ...directoryRoot(scene.root),
            { op: 'fuse', at: '/mnt', missing: 'fail', side: 'host', words, environment: ['HOME=/'] },
          ],
        }),
        { cwd: scene.folder },
      )

    it('serves a place in the container', async () => {
      const tree = join(scene.folder, 'served')
      mkdirSync(tree)
      writeFileSync(join(tree, 'file'), 'served\n')
      execFileSync('mksquashfs', [tree, image, '-quiet', '-no-progress', '-comp', 'gzip'])
      expect(await fuse([squashfuse, image, '-f'])).toMatchObject({ status: 0, stdout: 'served\n' })
      expect(await fuse([squashfuse, 'data.sqfs'])).toMatchObject({ status: 0, stdout: 'served\n' })
    })

    it('that does not exist is told', async () => {
      const { stderr, status: code } = await fuse(['/none/fs', '-f'])
      expect(stderr).toBe(
        'FATAL:   cannot mount /none/fs at /mnt: running /none/fs: No such file or directory\n',
      )
      expect(code).toBe(255)
    })

    it('that ends at once is told', async () => {
      const { stderr } = await fuse(['/bin/true'])
      expect(stderr).toBe(
        'FATAL:   cannot mount /bin/true at /mnt: /bin/true ended before it served anything\n',
      )
    })
  },
)
