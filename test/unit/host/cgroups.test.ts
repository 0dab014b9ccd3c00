/** What the kernel's tables say about our cgroups. */

import { describe, expect, it } from 'vitest'
import { parseMounts, parseOwn, placeBelow, readDeviceNumber, scopeOf } from '../../../src/host/cgroups.ts'

describe('the mounts of cgroups', () => {
  it('are those of both versions, with blanks in their places', () => {
    const text = [
      '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
      '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct',
      '41 31 0:38 /docker/1 /mnt/a\\040b rw,relatime - cgroup2 cgroup2 rw,nsdelegate',
      '',
    ].join('\n')
    expect(parseMounts(text)).toEqual([
      { root: '/', at: '/sys/fs/cgroup/cpu,cpuacct', type: 'cgroup', options: ['rw', 'cpu', 'cpuacct'] },
      { root: '/docker/1', at: '/mnt/a b', type: 'cgroup2', options: ['rw', 'nsdelegate'] },
    ])
  })
})

describe('a scope', () => {
  const manager = '/sys/fs/cgroup/user.slice/user-7.slice/user@7.service'

  it.each([
    [`${manager}/app.slice/run-1.scope`, { unit: 'run-1.scope', session: true }],
    ['/sys/fs/cgroup/system.slice/run-2.scope', { unit: 'run-2.scope', session: false }],
    ['/sys/fs/cgroup/user.slice/user-7.slice/session-1.scope', { unit: 'session-1.scope', session: false }],
  ])('is %s', (directory, scope) => expect(scopeOf(directory)).toEqual({ directory, ...scope }))

  it.each(['/sys/fs/cgroup', `${manager}/init.scope/below`, '/sys/fs/cgroup/system.slice/ssh.service'])(
    'is not %s',
    (directory) => expect(scopeOf(directory)).toBeUndefined(),
  )
})

describe('our cgroup', () => {
  it('is known by controller', () => {
    const own = parseOwn('9:name=systemd:/\n8:cpu,cpuacct:/a\n0::/user.slice/b:c\n')
    expect(Object.fromEntries(own)).toEqual({
      'name=systemd': '/',
      cpu: '/a',
      cpuacct: '/a',
      '': '/user.slice/b:c',
    })
  })

  it.each([
    ['/', '/sys/fs/cgroup', '/a/b', '/sys/fs/cgroup/a/b'],
    ['/', '/sys/fs/cgroup', '/', '/sys/fs/cgroup'],
    ['/docker/1', '/sys/fs/cgroup', '/docker/1', '/sys/fs/cgroup'],
    ['/docker/1', '/sys/fs/cgroup', '/docker/1/x', '/sys/fs/cgroup/x'],
    ['/docker/1', '/sys/fs/cgroup', '/docker/10', undefined],
    ['/docker/1', '/sys/fs/cgroup', '/', undefined],
  ])('lies below the mount of %s', (root, at, own, directory) => {
    expect(placeBelow({ root, at }, own)).toBe(directory)
  })
})

describe('the number of a block device', () => {
  it('is nothing for what is none', () => {
    expect(readDeviceNumber('/dev/null')).toBeUndefined()
    expect(readDeviceNumber('/no/such/device')).toBeUndefined()
  })
})
