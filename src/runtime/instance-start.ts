/**
 * Starts a container that nobody waits for. The starter is no child of ours for long: it leaves process 1 behind, tells its
 * pid, and ends. addon/starter/instance.c draws the processes and tells what they say.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, SingError } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { type Mark, markOf, standingOf } from '../host/mark.ts'
import { programPath } from '../native/paths.ts'
import { encodeSpec, keysOf, type LaunchSpec, type Sync } from '../plan/spec.ts'
import { type Around, type AroundRecord, type Surroundings, setUp, undo } from './around.ts'
import { type Logs, sizeOf } from './instances.ts'

export type StartOptions = {
  readonly spec: LaunchSpec
  /** What has to be set up before the command: the spec then stops for it, with these descriptors. */
  readonly around: Around | undefined
  readonly logs: Logs
  /** Keep what the logs hold from an earlier life. */
  readonly append: boolean
  readonly report: Report
  /** Ends the start. */
  readonly signal: AbortSignal
}

/** An instance whose command runs. It ends when it is not confirmed. */
export type Started = {
  readonly mark: Mark
  readonly around: AroundRecord
  /** In a network of its own. */
  readonly addresses: readonly string[]
  /** Everything about it is noted: it may outlive this process. */
  readonly confirm: () => Promise<void>
  /** End it. */
  readonly abandon: () => Promise<void>
}

function openLog(path: string, append: boolean): number {
  const { O_WRONLY, O_CREAT, O_APPEND, O_TRUNC, O_NOFOLLOW } = constants
  try {
    return openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | (append ? 0 : O_TRUNC), 0o644)
  } catch (cause) {
    throw new SingError('IO', `cannot write ${path}: ${reasonOf(cause)}`, { cause })
  }
}

/** One entry for each descriptor from `first` on, up to the last key. */
function keyStdio(spec: LaunchSpec, first: number): (number | 'ignore')[] {
  const keys = keysOf(spec)
  const count = Math.max(0, ...keys.map((key) => key - first + 1))
  return Array.from({ length: count }, (_, index) =>
    keys.includes(first + index) ? first + index : 'ignore',
  )
}

function spawnStarter({ spec, around, logs, append }: StartOptions): ChildProcess {
  const out = openLog(logs.out, append)
  try {
    const err = openLog(logs.err, append)
    try {
      const ours = [
        'ignore',
        out,
        err,
        'pipe',
        'pipe',
        ...(around ? (['pipe', 'pipe'] as const) : []),
      ] as const
      return spawn(programPath('sing-starter'), encodeSpec(spec), {
        env: { ...spec.process.environment },
        detached: true,
        stdio: [...ours, ...keyStdio(spec, ours.length)],
      })
    } finally {
      closeSync(err)
    }
  } finally {
    closeSync(out)
  }
}

/** The descriptors at which an instance stops for what is set up around it. */
export const instanceSync: Sync = { descriptor: 5, life: 6 }

/** Set up what is around when the namespaces are there, which a byte says; nothing when the starter ends before. */
async function surround(
  child: ChildProcess,
  around: Around,
  report: Report,
): Promise<Surroundings | undefined> {
  const streams = child.stdio as unknown as readonly Duplex[]
  const [sync, life] = streams.slice(instanceSync.descriptor) as [Duplex, Duplex]
  for (const stream of [sync, life]) stream.on('error', () => {})
  const isReady = await Promise.race([
    once(sync, 'data').then(() => true),
    once(sync, 'close').then(() => false),
  ])
  if (!isReady) return undefined
  try {
    const surroundings = await setUp(around, child.pid ?? 0, { report, life })
    sync.end(`${surroundings.answer}\0`)
    return surroundings
  } catch (error) {
    sync.destroy()
    throw error
  }
}

/** What the starter and the payload have said, line by line and in no order, when it is over. */
async function listen(report: Duplex): Promise<string[]> {
  let text = ''
  await new Promise<void>((resolve) => {
    report.on('data', (chunk: Buffer) => {
      text += chunk
      // What the command runs could keep the report open, but not unsay this.
      if (/^up\n/m.test(text) && /^pid \d+\n/m.test(text)) resolve()
    })
    for (const event of ['end', 'error', 'close']) report.on(event, () => resolve())
  })
  return text.split('\n')
}

/** Whether the command runs: it has said so, or it was tried and nobody had to complain. */
const isUp = (lines: readonly string[]): boolean =>
  lines.includes('up') || (lines.includes('try') && !lines.includes('failed'))

const tailLength = 2000

/** The last lines that a log got since it had a size. */
function tailOf(path: string, from: number): string[] {
  const start = Math.max(from, sizeOf(path) - tailLength)
  const bytes = Buffer.alloc(tailLength)
  try {
    const file = openSync(path, 'r')
    try {
      const length = readSync(file, bytes, 0, tailLength, start)
      return bytes.toString('utf8', 0, length).split('\n').filter(Boolean).slice(-10)
    } finally {
      closeSync(file)
    }
  } catch {
    return []
  }
}

/** Kill process 1, with which all others of the instance end, and wait until it is gone. */
export async function killInstance(mark: Mark): Promise<void> {
  for (let first = true; standingOf(mark) === 'alive'; first = false) {
    if (first) signal(mark, 'SIGKILL')
    await sleep(5)
  }
}

/** Signal a process if it still is the marked one. */
export function signal(mark: Mark, name: NodeJS.Signals | number): void {
  if (standingOf(mark) !== 'alive') return
  try {
    process.kill(mark.pid, name)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ESRCH') throw error
  }
}

/**
 * Start an instance. Resolves when its command runs.
 * @throws SingError INSTANCE with the end of its logs when it does not come to that; nothing is left then
 */
export async function startInstance(name: string, options: StartOptions): Promise<Started> {
  const { logs, append, around } = options
  const before = append ? { out: sizeOf(logs.out), err: sizeOf(logs.err) } : { out: 0, err: 0 }
  const child = spawnStarter(options)
  const [report, orders] = [child.stdio[3] as Duplex, child.stdio[4] as Duplex]
  const failed = once(child, 'error').then(([cause]) => {
    throw new SingError('INTERNAL', `cannot start the starter: ${reasonOf(cause)}`, { cause })
  })
  const listening = listen(report)
  options.signal.addEventListener('abort', () => report.destroy(), { once: true })
  const ended = once(child, 'exit')
  const surroundings = around
    ? await Promise.race([surround(child, around, options.report), failed])
    : undefined
  const heard = await Promise.race([listening, failed])
  await ended // it leaves process 1 behind
  const pid = Number(heard.find((line) => line.startsWith('pid '))?.slice(4))
  const mark = pid > 0 ? markOf(pid) : undefined
  const record = surroundings?.record ?? {}
  const abandon = async () => {
    report.destroy()
    orders.destroy()
    if (mark) await killInstance(mark)
    surroundings?.[Symbol.dispose]()
    await undo(record, options.report)
  }
  if (!isUp(heard) || !mark) {
    await abandon()
    options.signal.throwIfAborted()
    const tail = [...tailOf(logs.out, before.out), ...tailOf(logs.err, before.err)]
    throw new SingError('INSTANCE', `cannot start instance ${name}: its command did not come to run`, {
      hint: tail.length > 0 ? tail.join('\n') : `It said nothing; its logs are ${logs.out} and ${logs.err}`,
    })
  }
  const confirm = async () => {
    orders.on('error', () => {}) // process 1 of --boot does not listen
    await new Promise<void>((resolve) => orders.end('k', () => resolve()))
    orders.destroy()
    report.destroy()
    surroundings?.[Symbol.dispose]()
    child.unref()
  }
  return { mark, around: record, addresses: surroundings?.addresses ?? [], confirm, abandon }
}
