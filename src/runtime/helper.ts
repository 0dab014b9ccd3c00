/**
 * The program of a user that connects a container's network: pasta or slirp4netns, from outside, by the container's pid.
 *
 *   engine ----- starts ---> pasta or slirp4netns         a session of its own: no keys of the terminal
 *      `-------- starts ---> keeper (sh)                  waits for the end of its stdin, then ends the program
 *
 * The other end of the keeper's stdin is with the engine, or with the process outside of an instance: however that ends,
 * the program does not outlive it.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Stream, Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { startTime } from '../host/process.ts'
import { type NetworkPlan, type Port, pastaResolver } from '../plan/network.ts'

type HelperPlan = NetworkPlan & { readonly kind: 'helper' }

/** A process by pid and the time it started at, which no later one has. */
export type HelperRecord = { readonly kind: 'helper'; readonly pid: number; readonly started: string }

const refuse = (sentence: string, cause?: unknown): never => {
  throw new SingError('NETWORK', sentence, { cause })
}

const portWords = (ports: readonly Port[], protocol: Port['protocol']): string => {
  const own = ports.filter((port) => port.protocol === protocol)
  return own.length === 0 ? 'none' : own.map(({ host, container }) => `${host}:${container}`).join(',')
}

/** What a program wrote into its file of errors, on one line. */
function complaint(path: string): string {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !/syslog$|^sent tapfd|^received tapfd|^Starting slirp|^\* /.test(line))
  return shown(lines.slice(0, 3).join('; ')) || 'it ended without a word'
}

/** Programs are content with a part of what they are to listen on, or say nothing useful. */
async function requireFree({ host, protocol }: Port): Promise<void> {
  const listener =
    protocol === 'tcp' ? createServer().listen(host, '0.0.0.0') : createSocket('udp4').bind(host, '0.0.0.0')
  try {
    await once(listener, 'listening')
  } catch (error) {
    refuse(`cannot map the port ${host}/${protocol} of this machine: ${reasonOf(error)}`, error)
  }
  await new Promise<void>((resolve) => void listener.close(() => resolve()))
}

/** How long a program may take to be ready. */
const patience = 10_000

function failed({ program }: HelperPlan, errors: string): never {
  return refuse(`${program} cannot connect the container: ${complaint(errors)}`)
}

/** The environment of programs that need none. */
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

/** Resolves with the exit status, or undefined when it takes too long. */
async function exitOf(child: ChildProcess): Promise<number | null | undefined> {
  const signal = AbortSignal.timeout(patience)
  try {
    const [status] = await once(child, 'exit', { signal })
    return status
  } catch (error) {
    child.kill('SIGKILL')
    if (signal.aborted) return undefined
    throw error
  }
}

/** pasta goes into the background when it is ready. */
async function startPasta(plan: HelperPlan, target: number, folder: string): Promise<number> {
  const [pidFile, errors] = [join(folder, 'pid'), join(folder, 'errors')]
  const stderr = openSync(errors, 'w', 0o600)
  const child = spawn(
    plan.path,
    [
      ...['--quiet', '--config-net', '--no-map-gw', '--dns-forward', pastaResolver, '--pid', pidFile],
      ...['-t', portWords(plan.ports, 'tcp'), '-u', portWords(plan.ports, 'udp'), '-T', 'none', '-U', 'none'],
      String(target),
    ],
    { cwd: '/', env: environment, detached: true, stdio: ['ignore', 'ignore', stderr] },
  )
  closeSync(stderr)
  const status = await exitOf(child).catch((error) =>
    refuse(`cannot run ${plan.path}: ${reasonOf(error)}`, error),
  )
  if (status !== 0) return failed(plan, errors)
  return Number(readFileSync(pidFile, 'utf8').trim())
}

/** One request to the socket that slirp4netns listens on, for each port. */
async function mapPort(socketPath: string, { host, container, protocol }: Port): Promise<void> {
  const socket = createConnection(socketPath)
  const request = { proto: protocol, host_addr: '0.0.0.0', host_port: host, guest_port: container }
  socket.end(JSON.stringify({ execute: 'add_hostfwd', arguments: request }))
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  if (/"error"/.test(text) || !/"return"/.test(text))
    refuse(`slirp4netns cannot map the port ${host} of this machine: is it in use?`)
}

async function startSlirp(plan: HelperPlan, target: number, folder: string): Promise<number> {
  const [socket, errors] = [join(folder, 'socket'), join(folder, 'errors')]
  const stderr = openSync(errors, 'w', 0o600)
  const options = [
    '--configure',
    '--mtu=65520',
    '--disable-host-loopback',
    '--ready-fd=3',
    `--api-socket=${socket}`,
  ]
  const child = spawn(plan.path, [...options, String(target), 'tap0'], {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: ['ignore', 'ignore', stderr, 'pipe'],
  })
  closeSync(stderr)
  const ready = child.stdio[3] as Readable
  try {
    const ended = once(child, 'exit').then(() => failed(plan, errors))
    const late = setTimeout(patience, undefined, { ref: false }).then(() => failed(plan, errors))
    await Promise.race([once(ready, 'data'), ended, late])
    for (const port of plan.ports) await mapPort(socket, port)
  } catch (error) {
    child.kill('SIGKILL')
    throw error instanceof SingError ? error : refuse(`cannot run ${plan.path}: ${reasonOf(error)}`, error)
  } finally {
    ready.destroy()
  }
  child.unref()
  return child.pid ?? 0
}

/** Ends the program `$1`, if it is the one that started at `$2`, when stdin ends. Only the shell itself is used. */
const keeperScript = `
read -r _
read -r line 2>/dev/null <"/proc/$1/stat" || exit 0
pid=$1 started=$2
set -- \${line##*) }
shift 19
[ "$1" = "$started" ] && kill "$pid"`

/** Who ends the helper when nobody else does. With `life` the end of that stream counts, else the engine's own end. */
function startKeeper({ pid, started }: HelperRecord, life: Stream | undefined): Disposable {
  const keeper = spawn('/bin/sh', ['-c', keeperScript, 'sing-keeper', String(pid), started], {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: [life ?? 'pipe', 'ignore', 'ignore'],
  })
  keeper.on('error', () => {})
  keeper.unref()
  const input = keeper.stdin as (Writable & { unref?: () => void }) | null
  input?.on('error', () => {})
  input?.unref?.()
  return { [Symbol.dispose]: () => void input?.destroy() }
}

export type Helper = Disposable & { readonly record: HelperRecord }

/**
 * Connect the network of a process.
 * @throws SingError NETWORK with what the program said; nothing runs then
 */
export async function startHelper(plan: HelperPlan, target: number, life?: Stream): Promise<Helper> {
  for (const port of plan.ports) await requireFree(port)
  const folder = mkdtempSync(join(tmpdir(), 'sing-network-'))
  try {
    const start = { pasta: startPasta, slirp4netns: startSlirp }[plan.program]
    const pid = await start(plan, target, folder)
    const record = { kind: 'helper', pid, started: startTime(pid) ?? '' } as const
    const keeper = startKeeper(record, life)
    return { record, [Symbol.dispose]: () => keeper[Symbol.dispose]() }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const isRunning = ({ pid, started }: HelperRecord): boolean => startTime(pid) === started

function send({ pid }: HelperRecord, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself meanwhile.
  }
}

/** How long the program may take to end before it is killed. */
const endPatience = { tries: 100, milliseconds: 10 } as const

/** End the program and wait until it is gone. */
export async function stopHelper(record: HelperRecord): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!isRunning(record)) return
    send(record, signal)
    for (let tries = 0; tries < endPatience.tries && isRunning(record); tries += 1)
      await setTimeout(endPatience.milliseconds)
  }
}
