/** Where limits go: machines with one version of cgroups, with both, with and without systemd, for users and root. */

import { describe, expect, it } from 'vitest'
import type { CgroupFacts, UnifiedPlace } from '../../../src/host/cgroups.ts'
import { planCgroup } from '../../../src/plan/cgroup.ts'
import type { Limits } from '../../../src/plan/limits.ts'

const nothing: CgroupFacts = { v1: {}, v2: [], systemd: undefined }
const old = (writable: boolean, ...controllers: string[]): CgroupFacts['v1'] =>
  Object.fromEntries(controllers.map((name) => [name, { directory: `/sys/fs/cgroup/${name}/job`, writable }]))
const place = (change: Partial<UnifiedPlace> = {}): UnifiedPlace => ({
  directory: '/sys/fs/cgroup/job',
  writable: true,
  controllers: ['cpu', 'memory', 'pids'],
  enabled: ['cpu', 'memory', 'pids'],
  root: false,
  ...change,
})
const session = {
  program: '/usr/bin/systemd-run',
  session: true,
  controllers: ['cpu', 'memory', 'pids'],
}

const user = { isRoot: false, systemd: true }
const root = { isRoot: true, systemd: true }
const memory: Limits = { memory: 100 }

/** The directories of a plan with the files in them. */
function groupsOf(limits: Limits, facts: CgroupFacts, options = user) {
  const plan = planCgroup(limits, facts, options)
  if (plan?.kind !== 'groups') return plan
  return Object.fromEntries(
    plan.groups.map(({ parent, settings, enable, inherit }) => [
      parent,
      [
        ...enable.map((name) => `+${name}`),
        ...inherit.map((name) => `=${name}`),
        ...settings.flatMap(({ files }) => files[0]?.name ?? []),
      ],
    ]),
  )
}

describe('cgroups of our own', () => {
  it('are none without limits', () => {
    expect(planCgroup({}, nothing, user)).toBeUndefined()
  })

  it('are one for each hierarchy of version 1', () => {
    const facts = { ...nothing, v1: old(true, 'memory', 'pids', 'cpuset') }
    expect(groupsOf({ memory: 100, swap: 200, processes: 5, cpus: '0' }, facts)).toEqual({
      '/sys/fs/cgroup/memory/job': ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'],
      '/sys/fs/cgroup/pids/job': ['pids.max'],
      '/sys/fs/cgroup/cpuset/job': ['=cpuset.mems', 'cpuset.cpus'],
    })
  })

  it('are one in a cgroup of version 2 that has the controllers', () => {
    expect(groupsOf({ memory: 100, processes: 5 }, { ...nothing, v2: [place()] })).toEqual({
      '/sys/fs/cgroup/job': ['memory.max', 'pids.max'],
    })
  })

  it('lie beside the own cgroup where that has processes and cannot hand controllers on', () => {
    const v2 = [place({ directory: '/up/own', enabled: [] }), place({ directory: '/up' })]
    expect(groupsOf(memory, { ...nothing, v2 })).toEqual({ '/up': ['memory.max'] })
  })

  it('turn controllers on where that goes', () => {
    const facts = { ...nothing, v2: [place({ root: true, enabled: ['cpu'] })] }
    expect(groupsOf(memory, facts, root)).toEqual({ '/sys/fs/cgroup/job': ['+memory', 'memory.max'] })
  })

  it('are split over both versions', () => {
    const facts = {
      ...nothing,
      v1: old(true, 'memory'),
      v2: [place({ controllers: ['io'], enabled: ['io'] })],
    }
    const limits = { memory: 100, keepOnOom: true, weight: 20, unified: { 'io.latency': 'x' } }
    expect(groupsOf(limits, facts)).toEqual({
      '/sys/fs/cgroup/memory/job': ['memory.limit_in_bytes', 'memory.oom_control'],
      '/sys/fs/cgroup/job': ['io.bfq.weight', 'io.latency'],
    })
  })
})

describe('a scope of systemd', () => {
  const scope = (properties: string[], words: string[] = ['--user']) => ({
    kind: 'scope',
    command: [
      '/usr/bin/systemd-run',
      ...words,
      '--scope',
      '--quiet',
      '--collect',
      ...['Delegate=yes', ...properties].flatMap((property) => ['-p', property]),
      '--',
    ],
  })

  it('is asked for in the session of a user whose cgroup is not its own', () => {
    const facts = { ...nothing, v2: [place({ writable: false })], systemd: session }
    expect(planCgroup({ memory: 100, processes: 5 }, facts, user)).toEqual(
      scope(['MemoryMax=100', 'TasksMax=5']),
    )
  })

  it('is asked for at the bus of a session that the environment does not tell of', () => {
    const systemd = { ...session, runtime: '/run/user/7' }
    const plain = scope(['MemoryMax=100'])
    expect(planCgroup(memory, { ...nothing, systemd }, user)).toEqual({
      kind: 'scope',
      command: [
        ...['/usr/bin/env', 'XDG_RUNTIME_DIR=/run/user/7'],
        ...plain.command,
        ...['/usr/bin/env', '-u', 'XDG_RUNTIME_DIR'],
      ],
    })
  })

  it('gives way to a cgroup of the own', () => {
    expect(groupsOf(memory, { ...nothing, v2: [place()], systemd: session })).toEqual({
      '/sys/fs/cgroup/job': ['memory.max'],
    })
  })

  it('is what root takes where systemd rules', () => {
    const facts = { ...nothing, v2: [place()], systemd: { ...session, session: false } }
    expect(planCgroup(memory, facts, root)).toEqual(scope(['MemoryMax=100'], []))
    expect(groupsOf({ unified: { 'memory.oom.group': '1' } }, facts, root)).toEqual({
      '/sys/fs/cgroup/job': ['memory.oom.group'],
    })
    expect(groupsOf(memory, facts, { ...root, systemd: false })).toEqual({
      '/sys/fs/cgroup/job': ['memory.max'],
    })
  })
})

describe('limits are refused', () => {
  const delegated = { ...session, controllers: ['memory', 'pids'] }
  const cases: [what: string, limits: Limits, facts: CgroupFacts, options: typeof user, sentence: RegExp][] =
    [
      ['without cgroups', memory, nothing, root, /no cgroup controller memory here, and there is no systemd/],
      [
        'without the controller',
        { weight: 20 },
        { ...nothing, v2: [place()] },
        user,
        /no cgroup controller io here/,
      ],
      [
        'in a cgroup of others',
        memory,
        { ...nothing, v1: old(false, 'memory') },
        user,
        /memory\/job is not yours/,
      ],
      [
        'in a full cgroup',
        memory,
        { ...nothing, v2: [place({ enabled: [] })] },
        user,
        /is not yours to divide/,
      ],
      [
        'by a systemd that does not hand out the controller',
        { quota: 5000 },
        { ...nothing, systemd: delegated },
        user,
        /systemd hands out the controllers memory pids, and not cpu/,
      ],
      [
        'without systemd where it may not be asked',
        memory,
        { ...nothing, systemd: session },
        { ...user, systemd: false },
        /^resources cannot be limited: there is no cgroup controller memory here$/,
      ],
      [
        'of version 1 on version 2',
        { keepOnOom: true },
        { ...nothing, v2: [place()] },
        user,
        /--oom-kill-disable needs cgroup v1/,
      ],
      [
        'of version 2 on version 1',
        { unified: { 'memory.high': '5' } },
        { ...nothing, v1: old(true, 'memory') },
        user,
        /no cgroup controller memory here/,
      ],
    ]
  it.each(cases)('%s', (_, limits, facts, options, sentence) => {
    expect(() => planCgroup(limits, facts, options)).toThrow(sentence)
  })
})
