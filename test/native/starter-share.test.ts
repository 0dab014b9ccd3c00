/** One container for several processes: who makes it, who enters it, and what happens when the maker dies. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine } from '../helpers/sing.ts'
import { give } from '../helpers/temp.ts'
import { type Changes, launch, makeScene, makeSpec, start, startLine, until } from './starter.ts'

const scene = makeScene()
const withProc: Changes = {
  ops: [
    { op: 'directory', layer: 'image', from: scene.root },
    { op: 'root', layer: 'image' },
    { op: 'proc', at: '/proc', missing: 'fail' },
  ],
}
const links = ['readlink', '/proc/self/ns/mnt', '--', 'readlink', '/proc/self/ns/user', '--', 'trap']

let count = 0
function newPlace(): string {
  count += 1
  return join(scene.folder, `place${count}`)
}
const group = (place: string, name = 'group'): Changes => ({ ...withProc, share: { place, group: name } })

/** Start a member that shows its namespaces and stays. */
async function member(changes: Changes): Promise<{ namespaces: string; child: ReturnType<typeof start> }> {
  const child = start(makeSpec(scene.root, links, changes))
  const namespaces = `${await child.line()} ${await child.line()}`
  expect(await child.line()).toBe('ready')
  return { namespaces, child }
}

async function end({ child }: { child: ReturnType<typeof start> }): Promise<void> {
  child.child.kill('SIGKILL')
  await child.ended
}

describe.skipIf(!can('userns'))('processes of one group', () => {
  it('use one container, started one after the other or at once', async () => {
    const place = newPlace()
    const first = await member(group(place))
    const others = await Promise.all([1, 2, 3, 4].map(() => member(group(place))))
    expect(new Set([first, ...others].map(({ namespaces }) => namespaces)).size).toBe(1)
    const elsewhere = newPlace()
    const atOnce = await Promise.all([1, 2, 3, 4].map(() => member(group(elsewhere))))
    expect(new Set(atOnce.map(({ namespaces }) => namespaces)).size).toBe(1)
    expect(atOnce[0]?.namespaces).not.toBe(first.namespaces)
  })

  it('do not meet those of another group', async () => {
    const place = newPlace()
    const one = await member(group(place, 'one'))
    const two = await member(group(place, 'two'))
    expect(one.namespaces).not.toBe(two.namespaces)
  })

  it('may come later through whoever is left', async () => {
    const place = newPlace()
    const first = await member(group(place))
    const second = await member(group(place))
    await end(first)
    const third = await member(group(place))
    expect(third.namespaces).toBe(second.namespaces)
  })

  it('begin anew when nobody is left, and clear away what ended', async () => {
    const place = newPlace()
    const old = await member(group(place, 'old'))
    await end(old)
    const first = await member(group(place))
    await end(first)
    expect((await launch(makeSpec(scene.root, ['exit', '5'], group(place)))).status).toBe(5)
    expect(readdirSync(place)).toEqual(['group'])
    expect(readFileSync(join(place, 'group'), 'utf8').trim().split('\n')).toHaveLength(1)
  })

  it('do not believe what else stands in their file', async () => {
    const place = newPlace()
    mkdirSync(place, { mode: 0o700 })
    writeFileSync(join(place, 'group'), `1 1 1 1\nnonsense\n-1 2 3 4\n${'9'.repeat(70000)}\n`, {
      mode: 0o600,
    })
    give(place)
    const first = await member(group(place))
    const second = await member(group(place))
    expect(second.namespaces).toBe(first.namespaces)
  })

  it('do not wait for a maker that is killed halfway', async () => {
    const place = newPlace()
    // It waits between namespaces and root for an answer that never comes, and holds the lock.
    const spec = makeSpec(scene.root, links, { ...group(place), sync: { descriptor: 3 } })
    const [file = '', ...args] = commandLine(startLine(spec))
    const maker = spawn(file, args, { cwd: '/', stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })
    onTestFinished(() => void maker.kill('SIGKILL'))
    const socket = maker.stdio[3] as Duplex
    socket.on('error', () => {})
    await once(socket, 'data')
    const waiting = [member(group(place)), member(group(place))]
    await until(() => existsSync(join(place, 'group')))
    maker.kill('SIGKILL')
    const [first, second] = await Promise.all(waiting)
    expect(second?.namespaces).toBe(first?.namespaces)
  })

  it('that cannot meet in a safe place have containers of their own, and say so', async () => {
    const open = newPlace()
    mkdirSync(open)
    chmodSync(open, 0o755)
    give(open)
    const link = newPlace()
    symlinkSync(scene.folder, link)
    for (const [place, reason] of [
      [open, `${open} is not a directory of yours alone`],
      [link, `${link}: Not a directory`],
      ['/proc/none', '/proc/none: No such file or directory'],
    ] as const) {
      const { stdout, stderr, status } = await launch(makeSpec(scene.root, ['exit', '0'], group(place)))
      expect(stderr).toBe(`WARNING: the container is not shared: ${reason}\n`)
      expect({ stdout, status }).toEqual({ stdout: '', status: 0 })
    }
  })
})
