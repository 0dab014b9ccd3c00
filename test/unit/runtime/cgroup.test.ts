/** What is said when the kernel does not take a cgroup. A cgroup is a directory of files; these are on a common file system. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { CgroupGroup } from '../../../src/plan/cgroup.ts'
import { enterCgroups, joinCgroups, removeCgroups } from '../../../src/runtime/cgroup.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const enter = (...groups: CgroupGroup[]) => enterCgroups({ kind: 'groups', groups }, process.pid)

const group = (changes: Partial<CgroupGroup> = {}): CgroupGroup => ({
  parent: temporaryFolder(),
  settings: [],
  enable: [],
  inherit: [],
  ...changes,
})

describe('a cgroup', () => {
  it('that cannot be made is named', async () => {
    const parent = join(temporaryFolder(), 'none')
    await expect(enter(group({ parent }))).rejects.toThrow(
      new RegExp(`^cannot make the cgroup ${parent}/sing-\\d+: no such file or directory`),
    )
  })

  it('whose controllers cannot be turned on is named', async () => {
    const parent = temporaryFolder()
    mkdirSync(join(parent, 'cgroup.subtree_control'))
    await expect(enter(group({ parent, enable: ['memory', 'pids'] }))).rejects.toThrow(
      `cannot turn on memory, pids in the cgroup ${parent}`,
    )
    expect(readdirSync(parent)).toEqual(['cgroup.subtree_control'])
  })

  it('without a limit that was asked for says so, and how the kernel counts swap', async () => {
    const setting = { controller: 'memory', files: [{ name: 'memory.swap.max', value: '1' }] }
    const wanted = group({ settings: [setting] })
    await expect(enter(wanted)).rejects.toMatchObject({
      message: 'cannot set memory.swap.max: the kernel has no such limit',
      hint: expect.stringContaining('swapaccount=1'),
    })
    expect(readdirSync(wanted.parent)).toEqual([])
  })

  it('that is gone cannot be entered', () => {
    const directory = join(temporaryFolder(), 'gone')
    expect(() => joinCgroups({ kind: 'cgroups', directories: [directory] }, 1)).toThrow(
      `cannot enter the cgroup ${directory}: no such file or directory`,
    )
  })

  it('of a launch that was killed is swept away; one with something in it stays', async () => {
    const wanted = group()
    const [left, used] = ['sing-4194304', 'sing-4194305'].map((name) => join(wanted.parent, name))
    for (const directory of [left, used]) mkdirSync(directory ?? '')
    writeFileSync(join(used ?? '', 'kept'), '')
    const record = await enter(wanted)
    expect([left, used].map((path) => existsSync(path ?? ''))).toEqual([false, true])
    const [directory = ''] = record.directories
    expect(readFileSync(join(directory, 'cgroup.procs'), 'utf8')).toBe(String(process.pid))
    await removeCgroups(record)
  })
})
