/** Containers that nobody waits for: what they tell the engine, how their process 1 lives, and what ends it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Duplex, Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { can } from '../helpers/can.ts'
import { commandLine } from '../helpers/sing.ts'
import { type Changes, makeScene, makeSpec, startLine, until } from './starter.ts'

const scene = makeScene()

type Instance = {
  readonly starter: ChildProcess
  readonly orders: Duplex
  /** What was reported so far. */
  readonly heard: () => string
  readonly printed: () => string
  /** Resolves when nobody can report any more. */
  readonly silent: Promise<unknown>
  /** Resolves when nobody holds any of the pipes. */
  readonly closed: Promise<unknown>
  /** Of process 1, when it was reported. */
  readonly pid: () => Promise<number>
}

function collect(stream: Readable): () => string {
  let text = ''
  stream.on('data', (chunk) => {
    text += String(chunk)
  })
  stream.on('error', () => {})
  return () => text
}

function isAlive(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text[text.lastIndexOf(')') + 2] !== 'Z'
  } catch {
    return false
  }
}

/** `pid N` among the lines, which come in no order; 0 before it has come. */
const pidIn = (text: string): number => Number(/^pid (\d+)\n/m.exec(text)?.[1] ?? 0)

/** Start an instance; its process 1 is killed at the end of the test. */
function begin(
  words: readonly string[],
  changes: Changes = {},
  kept: { job?: number; confirming?: number } = {},
): Instance {
  const spec = makeSpec(scene.root, words, {
    namespaces: ['user', 'mount', 'pid'],
    instance: { job: kept.job ?? 0, confirming: kept.confirming ?? 0 },
    ...changes,
    process: { init: true, ...changes.process },
  })
  const [file = '', ...args] = commandLine(startLine(spec))
  const starter = spawn(file, args, {
    cwd: '/',
    env: spec.process.environment,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
  })
  const printed = collect(starter.stdout as Readable)
  collect(starter.stderr as Readable)
  const [report, orders] = [starter.stdio[3] as Duplex, starter.stdio[4] as Duplex]
  orders.on('error', () => {})
  const heard = collect(report)
  const silent = once(report, 'end')
  const closed = once(starter, 'close')
  const pid = async () => {
    await until(() => pidIn(heard()) > 0)
    return pidIn(heard())
  }
  onTestFinished(async () => {
    orders.destroy()
    const first = pidIn(heard())
    if (first > 1 && isAlive(first)) process.kill(first, 'SIGKILL')
  })
  return { starter, orders, heard, printed, silent, closed, pid }
}

/** What was reported, without numbers. */
const linesOf = ({ heard }: Instance): string[] => heard().trim().replace(/ \d+/g, '').split('\n').sort()

const titleOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[0] ?? ''

describe.skipIf(!can('userns'))('the start of an instance', () => {
  it('tells the pid of process 1, and leaves nobody outside', async () => {
    const instance = begin(['trap'])
    const [status] = await once(instance.starter, 'exit')
    expect(status).toBe(0)
    expect(titleOf(await instance.pid())).toMatch(/sing-(init|starter)/)
    await until(() => instance.printed().includes('ready'))
  })

  it('tells that a program was tried, and the end of the report that it runs', async () => {
    const instance = begin(['trap'])
    await instance.silent
    expect(linesOf(instance)).toEqual(['pid', 'try'])
  })

  it('tells that a program could not be run', async () => {
    const instance = begin([], { process: { programs: [['/none'], ['/none/either']] } })
    await instance.silent
    expect(linesOf(instance)).toEqual(['failed', 'pid', 'try'])
  })

  it('leaves the report to a script, which may end without a word', async () => {
    const instance = begin(['exit', '3'], {}, { confirming: 1 })
    await instance.silent
    expect(linesOf(instance)).toEqual(['pid'])
  })

  it('is nothing when the engine ends before it has noted it', async () => {
    const instance = begin(['trap'])
    const pid = await instance.pid()
    await until(() => instance.printed().includes('ready'))
    expect(isAlive(pid)).toBe(true)
    instance.orders.destroy()
    await until(() => !isAlive(pid))
  })
})

/** An instance that was noted and whose command runs. */
async function noted(
  words: readonly string[],
  kept: { job?: number } = {},
  changes: Changes = {},
): Promise<Instance & { readonly init: number }> {
  const instance = begin(words, changes, kept)
  const init = await instance.pid()
  await instance.silent
  instance.orders.end('k')
  return { ...instance, init }
}

describe.skipIf(!can('userns'))('process 1 of an instance', () => {
  it('outlives the engine and the command, and shows how that has ended', async () => {
    const { init } = await noted(['exit', '3'])
    await until(() => titleOf(init) === 'sing-init: ended with 3')
    expect(isAlive(init)).toBe(true)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('hands %s on, and ends with the command', async (name) => {
    const { init, printed } = await noted(['trap'])
    await until(() => printed().includes('ready'))
    process.kill(init, name)
    if (name === 'SIGINT') {
      await until(() => printed().includes('got INT'))
      process.kill(init, 'SIGTERM')
    }
    await until(() => !isAlive(init))
    await until(() => printed().includes('got TERM'))
  })

  it('hands signals on however few files the payload may open', async () => {
    const { init, printed } = await noted(['trap'], {}, { openFiles: 2 })
    await until(() => printed().includes('ready'))
    process.kill(init, 'SIGTERM')
    await until(() => !isAlive(init))
  })

  it('hands other signals on, and stays', async () => {
    const { init, printed } = await noted(['trap'])
    await until(() => printed().includes('ready'))
    process.kill(init, 'SIGUSR1')
    await until(() => printed().includes('got USR1'))
    expect(isAlive(init)).toBe(true)
  })

  it('ends by SIGPWR once the command has ended, not before', async () => {
    const { init, printed } = await noted(['trap'])
    await until(() => printed().includes('ready'))
    process.kill(init, 'SIGPWR')
    process.kill(init, 'SIGUSR2')
    await until(() => printed().includes('got USR2'))
    expect(isAlive(init)).toBe(true)
    process.kill(init, 'SIGTERM')
    await until(() => !isAlive(init))
  })

  it('ends at once when nothing is left', async () => {
    const { init } = await noted(['exit', '0'])
    await until(() => titleOf(init).includes('ended'))
    process.kill(init, 'SIGINT')
    await until(() => !isAlive(init))
  })

  it('ends what the command has left behind', async () => {
    const { init } = await noted(['background', '1000'])
    await until(() => titleOf(init).includes('ended'))
    expect(isAlive(init)).toBe(true)
    process.kill(init, 'SIGTERM')
    await until(() => !isAlive(init))
  })

  it('ends with its job', async () => {
    const [file = '', ...args] = commandLine(['sleep', '1000'])
    const job = spawn(file, args, { stdio: 'ignore' })
    onTestFinished(() => void job.kill('SIGKILL'))
    const { init, printed } = await noted(['trap'], { job: job.pid ?? 0 })
    await until(() => printed().includes('ready'))
    expect(isAlive(init)).toBe(true)
    job.kill('SIGKILL')
    await until(() => !isAlive(init))
    await until(() => printed().includes('got TERM'))
  })

  it('keeps no descriptor of the caller, and no log', async () => {
    const { init, closed } = await noted(['exit', '0'])
    await until(() => titleOf(init).includes('ended'))
    await closed
    expect(isAlive(init)).toBe(true)
  })
})
