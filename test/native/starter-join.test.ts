/** Entering a container that runs: all of its namespaces, as a process that was not there at its start. */

import { readFileSync, readlinkSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { can } from '../helpers/can.ts'
import { asRoot, type Changes, launch, makeScene, makeSpec, rootIds, start } from './starter.ts'

const scene = makeScene()

/** Clock ticks since boot: proc_pid_stat(5), field 22. */
function startedAt(pid: number): string {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** A container that sleeps, and its process 1 or only process as seen from here. */
async function sleeping(changes: Changes, as: 'user' | 'self' = 'user'): Promise<number> {
  const { child, line } = start(makeSpec(scene.root, ['trap'], changes), { as })
  await line()
  const outside = child.pid ?? 0
  const children = readFileSync(`/proc/${outside}/task/${outside}/children`, 'utf8').trim()
  return children ? Number(children.split(' ')[0]) : outside
}

const inside = (pid: number, changes: Changes = {}): Changes => ({
  namespaces: [],
  ids: { uids: [], gids: [], setgroups: 'allow' },
  root: 'host',
  ops: [],
  join: { pid, started: startedAt(pid) },
  ...changes,
})

const kinds = ['user', 'mnt', 'pid', 'ipc', 'uts', 'net'] as const
const all: Changes = {
  namespaces: ['user', 'mount', 'pid', 'ipc', 'uts', 'net'],
  ops: [
    { op: 'directory', layer: 'image', from: scene.root },
    { op: 'root', layer: 'image' },
    { op: 'proc', at: '/proc', missing: 'fail' },
  ],
}

describe.skipIf(!can('userns'))('a process that joins', () => {
  it('is in all namespaces of the other', async () => {
    const pid = await sleeping(all)
    const links = kinds.flatMap((kind) => ['--', 'readlink', `/proc/self/ns/${kind}`]).slice(1)
    const { stdout, stderr } = await launch(makeSpec(scene.root, links, inside(pid)))
    expect(stderr).toBe('')
    const theirs = kinds.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`))
    for (const link of theirs) expect(stdout).toContain(link)
  })

  it('has a process id there, and no parent', async () => {
    const pid = await sleeping(all)
    const { stdout } = await launch(makeSpec(scene.root, ['pids'], inside(pid)))
    expect(stdout).toMatch(/^pid=\d+ ppid=0\n$/)
    expect(stdout).not.toContain('pid=1 ')
  })

  it('becomes the command without a process in between where there is no pid namespace', async () => {
    const pid = await sleeping({})
    const { child, line } = start(makeSpec(scene.root, ['pids'], inside(pid)))
    expect(await line()).toMatch(new RegExp(`^pid=${child.pid} `))
  })

  it('is the same user, or root where the container has one', async () => {
    const pid = await sleeping({ ids: rootIds() })
    const { stdout } = await launch(makeSpec(scene.root, ['id'], inside(pid)))
    expect(stdout).toContain('uid=0')
  })

  it('has none of the rights that entering took', async () => {
    const pid = await sleeping(all)
    const { stdout } = await launch(makeSpec(scene.root, ['powers'], inside(pid)))
    const { stdout: fresh } = await launch(makeSpec(scene.root, ['powers'], all))
    expect(stdout).toBe(fresh)
  })

  it('gives its status, and gets signals', async () => {
    const pid = await sleeping(all)
    expect((await launch(makeSpec(scene.root, ['exit', '7'], inside(pid)))).status).toBe(7)
    expect((await launch(makeSpec(scene.root, ['kill', '9'], inside(pid)))).status).toBe(137)
    const { child, line, ended } = start(makeSpec(scene.root, ['trap'], inside(pid)))
    expect(await line()).toBe('ready')
    child.kill('SIGTERM')
    expect(await line()).toBe('got TERM')
    expect(await ended).toBe(0)
  })

  it('ends with the container', async () => {
    const { child } = start(makeSpec(scene.root, ['trap'], all))
    const pid = child.pid ?? 0
    const first = await firstChild(pid)
    const { line, ended } = start(makeSpec(scene.root, ['trap'], inside(first)))
    await line()
    child.kill('SIGKILL')
    expect(await ended).toBe(137)
  })

  it('does not take a later process with the same id for it', async () => {
    const pid = await sleeping({})
    const join = { pid, started: String(Number(startedAt(pid)) + 1) }
    const { status, stderr } = await launch(makeSpec(scene.root, ['id'], inside(pid, { join })))
    expect(stderr).toBe(`FATAL:   cannot enter the container: process ${pid}, which it was, has ended\n`)
    expect(status).toBe(255)
  })

  it.skipIf(!can('root'))('must not be one of somebody else', async () => {
    const pid = await sleeping(asRoot, 'self')
    const { status, stderr } = await launch(makeSpec(scene.root, ['id'], inside(pid)))
    expect(stderr).toBe(`FATAL:   cannot enter the container: process ${pid}: ns/user: Permission denied\n`)
    expect(status).toBe(255)
  })

  it.skipIf(!can('root'))('may be real root in a container of root', async () => {
    const pid = await sleeping(asRoot, 'self')
    const spec = makeSpec(scene.root, ['id'], inside(pid))
    expect((await launch(spec, { as: 'self' })).stdout).toContain('uid=0')
  })
})

async function firstChild(pid: number): Promise<number> {
  for (;;) {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    if (children) return Number(children.split(' ')[0])
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
