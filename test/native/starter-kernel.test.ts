/** A kernel that refuses a system call: the launch ends with the starter's sentence about it, and nothing has run. */

import { constants } from 'node:os'
import { expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { type Changes, launchThrough, makeScene, makeSpec } from './starter.ts'

/** Numbers of system calls: x86-64, ARM64. */
const calls = {
  capget: [125, 90],
  capset: [126, 91],
  chdir: [80, 49],
  clone: [56, 220],
  fchdir: [81, 50],
  mount: [165, 40],
  pivot_root: [155, 41],
  prctl: [157, 167],
  prlimit64: [302, 261],
  sethostname: [170, 161],
  umount2: [166, 39],
  unshare: [272, 97],
} as const

const architectures = ['x64', 'arm64']
const column = architectures.indexOf(process.arch)
const scene = makeScene()

const cases: [
  call: keyof typeof calls,
  error: keyof typeof constants.errno,
  sentence: string,
  changes?: Changes,
][] = [
  ['prlimit64', 'EPERM', 'cannot read the limit of open files: Operation not permitted'],
  ['unshare', 'EPERM', 'cannot create a user namespace: Operation not permitted'],
  [
    'unshare',
    'ENOSPC',
    'cannot create a user namespace: No space left on device (user.max_user_namespaces is reached)',
  ],
  ['clone', 'EAGAIN', 'cannot enter the pid namespace: ', { namespaces: ['user', 'mount', 'pid'] }],
  ['mount', 'EPERM', 'cannot keep mounts from the host: Operation not permitted'],
  ['fchdir', 'EACCES', 'cannot enter the new root: Permission denied'],
  ['pivot_root', 'EPERM', 'cannot enter the new root: pivot_root: Operation not permitted'],
  ['umount2', 'EPERM', 'cannot detach the old root: Operation not permitted'],
  ['chdir', 'EACCES', 'cannot enter the new root: Permission denied'],
  [
    'sethostname',
    'EPERM',
    'cannot set the host name node: Operation not permitted',
    { namespaces: ['user', 'mount', 'uts'], hostname: 'node' },
  ],
  ['prctl', 'EPERM', 'cannot refuse new privileges: Operation not permitted'],
  ['capget', 'EPERM', 'cannot read capabilities: Operation not permitted'],
  ['capset', 'EPERM', 'cannot drop capabilities: Operation not permitted'],
]

it.skipIf(!can('userns') || column < 0).each(cases)(
  '%s with %s ends in: %s',
  async (call, error, sentence, changes = {}) => {
    const filter = `${calls[call][column]}=${constants.errno[error]}`
    const spec = makeSpec(scene.root, ['id'], changes)
    const { status, stdout, stderr } = await launchThrough(scene, ['without', filter], spec)
    expect(stderr).toContain(`FATAL:   ${sentence}`)
    expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
  },
)
