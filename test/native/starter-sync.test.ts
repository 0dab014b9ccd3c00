/** The stop between the namespaces and the rest: who waits for what, and what happens when nobody answers. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex, Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine, run } from '../helpers/sing.ts'
import { bind, type Changes, launch, makeScene, makeSpec, overlayRoot, startLine, until } from './starter.ts'

const scene = makeScene()

type Stopped = {
  readonly child: ChildProcess
  readonly socket: Duplex
  readonly life: Duplex
  /** Resolves at the end: exit status, and what was printed. */
  readonly ended: Promise<{ status: number | null; stdout: string; stderr: string }>
}

/** Start a spec with a socket at descriptor 3, and another one at 4. */
function begin(words: readonly string[], changes: Changes = {}): Stopped {
  const spec = makeSpec(scene.root, words, { sync: { descriptor: 3, life: 4 }, ...changes })
  const [file = '', ...args] = commandLine(startLine(spec))
  const child = spawn(file, args, {
    cwd: '/',
    env: spec.process.environment,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const collect = (stream: Readable | null): string[] => {
    const chunks: string[] = []
    stream?.on('data', (chunk) => chunks.push(String(chunk)))
    return chunks
  }
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const ended = once(child, 'close').then(([status]) => ({
    status,
    stdout: stdout.join(''),
    stderr: stderr.join(''),
  }))
  const [socket, life] = [child.stdio[3] as Duplex, child.stdio[4] as Duplex]
  for (const stream of [socket, life]) stream.on('error', () => {})
  return { child, socket, life, ended }
}

const ready = async ({ socket }: Stopped): Promise<string> => String((await once(socket, 'data'))[0])
const withAnswer: Changes = {
  ops: [...overlayRoot(scene.root), { op: 'answer', at: '/etc/resolv.conf', missing: 'create', mode: 0o644 }],
}

/** The process outside shows its name instead of the spec; from then on at the latest it takes signals for the payload. */
const handsOnSignals = ({ pid }: ChildProcess): boolean =>
  readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', '') === 'sing-starter'

describe.skipIf(!can('userns', 'overlay'))('a launch that is asked to wait', () => {
  it('says when its namespaces exist, and goes on with the answer', async () => {
    const stopped = begin(['cat', '/etc/resolv.conf'], {
      ...withAnswer,
      namespaces: ['user', 'mount', 'net'],
    })
    expect(await ready(stopped)).toBe('!')
    const network = readlinkSync(`/proc/${stopped.child.pid}/ns/net`)
    expect(network).not.toBe(readlinkSync('/proc/self/ns/net'))
    stopped.socket.write('nameserver 10.0.0.1\n\0')
    expect(await stopped.ended).toEqual({ status: 0, stdout: 'nameserver 10.0.0.1\n', stderr: '' })
  })

  it('takes an answer in pieces, and an empty one', async () => {
    const pieces = begin(['cat', '/etc/resolv.conf'], withAnswer)
    await ready(pieces)
    pieces.socket.write('nameserver ')
    await until(() => true)
    pieces.socket.write('::1\n')
    pieces.socket.write('\0')
    expect((await pieces.ended).stdout).toBe('nameserver ::1\n')
    const empty = begin(['cat', '/etc/resolv.conf'], withAnswer)
    await ready(empty)
    empty.socket.write('\0')
    expect(await empty.ended).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  it('ends without a word when nobody answers', async () => {
    const stopped = begin(['id'])
    await ready(stopped)
    stopped.socket.destroy()
    expect(await stopped.ended).toEqual({ status: 255, stdout: '', stderr: '' })
  })

  it('refuses an answer without end', async () => {
    const stopped = begin(['id'])
    await ready(stopped)
    stopped.socket.write('x'.repeat(64 * 1024))
    stopped.socket.end()
    const { status, stderr } = await stopped.ended
    expect(stderr).toBe('FATAL:   the answer about the namespaces is longer than 65536 bytes\n')
    expect(status).toBe(255)
  })

  it.each([
    ['without a pid namespace', ['user', 'mount'], false],
    ['as process 1', ['user', 'mount', 'pid'], false],
    ['below an init', ['user', 'mount', 'pid'], true],
  ] as const)('leaves no descriptor of it to the payload %s', async (_, namespaces, init) => {
    const stopped = begin(['fds'], { namespaces, process: { init } })
    await ready(stopped)
    stopped.socket.write('\0')
    expect((await stopped.ended).stdout).not.toMatch(/socket/)
  })

  it('lets others see the end of a container with processes of its own', async () => {
    const stopped = begin(['sleep', '600'], { namespaces: ['user', 'mount', 'pid'], process: { init: true } })
    await ready(stopped)
    let closed = false
    stopped.life.on('close', () => {
      closed = true
    })
    stopped.life.resume()
    stopped.socket.write('\0')
    await once(stopped.socket, 'close')
    expect(closed).toBe(false)
    await until(() => handsOnSignals(stopped.child))
    stopped.child.kill('SIGTERM')
    expect((await stopped.ended).status).toBe(143)
    await until(() => closed)
  })
})

describe('a network to join', () => {
  const joined = (path: string, changes: Changes = {}) =>
    launch(makeSpec(scene.root, ['id'], { joinNetwork: path, ...changes }))
  const sentence = (text: string) => `FATAL:   cannot join the network ${text}\n`

  it('must be one', async () => {
    const missing = join(scene.folder, 'none')
    expect((await joined(missing)).stderr).toBe(sentence(`${missing}: No such file or directory`))
    expect((await joined('/etc/passwd')).stderr).toBe(sentence('/etc/passwd: it is no network namespace'))
    expect((await joined('/proc/self/ns/uts')).stderr).toBe(
      sentence('/proc/self/ns/uts: it is no network namespace'),
    )
  })

  it('must be ours', async () => {
    const { status, stderr } = await joined('/proc/self/ns/net')
    expect(stderr).toBe(sentence('/proc/self/ns/net: Operation not permitted'))
    expect(status).toBe(255)
  })

  it.skipIf(!can('userns'))('is entered by who has the right to', async () => {
    const spec = makeSpec(scene.root, ['readlink', '/proc/self/ns/net'], {
      joinNetwork: '/NETWORK',
      namespaces: ['mount'],
      ids: { uids: [], gids: [], setgroups: 'allow' },
      ops: [...overlayRoot(scene.root), bind('/proc', '/proc', { trusted: true })],
      security: { capabilities: 'all' },
    })
    // Root of a user namespace makes a network beside its own, and the payload joins it.
    const script = `
      unshare --net sleep 60 & other=$!
      while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
      readlink /proc/$other/ns/net
      "\${@//NETWORK//proc/$other/ns/net}"
      kill $other`
    const command = ['unshare', '-Ur', 'bash', '-c', script, 'bash', ...startLine(spec)]
    const { stdout, stderr } = await run(command, { cwd: '/' })
    const [other, inside] = stdout.trim().split('\n')
    expect(stderr).toBe('')
    expect(inside).toContain(other)
  })
})
