/** Perform a launch spec: become the container, or start it and wait. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import type { Duplex } from 'node:stream'
import { SingError } from '../core/errors.ts'
import { LineReader } from '../core/lines.ts'
import { lookAtProcess } from '../host/process.ts'
import { programPath } from '../native/paths.ts'
import { replaceKeeping } from '../native/replace.ts'
import { encodeSpec, keysOf, type LaunchSpec } from '../plan/spec.ts'
import type { OutputPipes } from './output.ts'

type Execve = (file: string, args: readonly string[], environment: Readonly<Record<string, string>>) => never

/** Both engines have it (Node since 22.15); the type definitions of the oldest one do not. */
const { execve } = process as unknown as { execve: Execve }

/** The variable that tells a command that it runs within its limits already. */
export const scopeMark = 'SING_IN_SCOPE'

const E2BIG = 7
/** For a program to end that was asked to. */
const PATIENCE_MS = 3000

function startError(error: unknown): SingError {
  const code = (error as { code?: string }).code
  if (code === 'E2BIG') {
    return new SingError(
      'ENVIRONMENT',
      'cannot start the container: the arguments and the environment are too large',
      {
        hint: 'A single argument or variable holds at most 128 KiB; start with --cleanenv, or raise the stack limit (ulimit -s)',
        cause: error,
      },
    )
  }
  return new SingError('INTERNAL', `cannot start the starter: ${(error as Error).message}`, { cause: error })
}

/**
 * Replace this process: same pid, so signals, terminal and exit status need no help. Does not return.
 * `descriptors` are those that the caller handed in besides 0 to 2; they stay open.
 */
export function replace(spec: LaunchSpec, descriptors: readonly number[]): never {
  const args = ['sing-starter', ...encodeSpec(spec)]
  return replaceBy(programPath('sing-starter'), args, spec.process.environment, [
    ...descriptors,
    ...keysOf(spec),
  ])
}

/** The same for any program. */
export function replaceBy(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  descriptors: readonly number[],
): never {
  try {
    // Loading the addon costs a millisecond, and process.execve is as good where nothing was handed in.
    if (descriptors.length === 0) return execve(file, args, environment)
    const errno = replaceKeeping(file, args, environment, descriptors)
    throw Object.assign(new Error(`errno ${errno}`), { code: errno === E2BIG ? 'E2BIG' : undefined })
  } catch (error) {
    throw startError(error)
  }
}

export type RunOptions = {
  /** `inherit` hands on the descriptor; `ignore` is /dev/null; a function gets the output line by line. */
  readonly stdin?: 'inherit' | 'ignore'
  readonly onLine?: ((line: string) => void) | undefined
  /** Where it writes to; closed here. */
  readonly output?: OutputPipes | undefined
  readonly signal?: AbortSignal | undefined
  /** Descriptors that the caller handed in besides 0 to 2; the child has them too. */
  readonly descriptors?: readonly number[]
  /**
   * For a spec with `sync`: called with the pid when the namespaces exist; the launch goes on with the text that it
   * resolves with, and not at all when it rejects.
   */
  readonly between?: ((pid: number) => Promise<string>) | undefined
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const

/** The keys of a terminal signal its whole foreground job: the child has got these, a second one would be one too many. */
const fromKeys: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGTSTP']

/** Whether we are in the foreground job of a terminal. proc_pid_stat(5), fields 5 and 8. */
function isForeground(): boolean {
  const [, , group, , , foreground] = lookAtProcess('self')?.fields ?? []
  return group !== undefined && group === foreground
}

type Stdio = 'inherit' | 'ignore' | 'pipe' | number

/** One entry for each descriptor of the child; those that nobody names stay closed. */
function stdioOf(
  spec: LaunchSpec,
  { stdin = 'inherit', onLine, output, descriptors = [] }: RunOptions,
): Stdio[] {
  const handed = [...descriptors, ...keysOf(spec)]
  const most = Math.max(2, spec.sync?.descriptor ?? 0, ...handed)
  return Array.from({ length: most + 1 }, (_, fd): Stdio => {
    if (fd === 0) return stdin
    if (fd <= 2) return output?.descriptors[fd - 1] ?? (onLine ? 'pipe' : 'inherit')
    if (fd === spec.sync?.descriptor) return 'pipe'
    return handed.includes(fd) ? fd : 'ignore'
  })
}

function start(spec: LaunchSpec, options: RunOptions): ChildProcess {
  const given = { env: { ...spec.process.environment }, stdio: stdioOf(spec, options) } satisfies SpawnOptions
  try {
    return spawn(programPath('sing-starter'), encodeSpec(spec), given)
  } finally {
    options.output?.release()
  }
}

/** Ask a child to end, and end it when it does not: with the starter goes everything that it started. */
function end(child: ChildProcess): void {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  child.once('exit', () => clearTimeout(timer))
}

/** Answer a starter that waits in its namespaces. Resolves without a question when it ends before. */
async function answer(
  child: ChildProcess,
  socket: Duplex,
  between: NonNullable<RunOptions['between']>,
): Promise<void> {
  socket.on('error', () => {})
  const ended = once(child, 'exit').then(() => false)
  if (
    !(await Promise.race([
      once(socket, 'data').then(
        () => true,
        () => false,
      ),
      ended,
    ]))
  )
    return
  try {
    socket.end(`${await between(child.pid ?? 0)}\0`)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/**
 * Start the spec as a child and wait. Resolves with its exit status, 128 + n when signal n ended it.
 * Signals that reach us meanwhile are handed on; what they do is the child's business.
 */
export function run(spec: LaunchSpec, options: RunOptions = {}): Promise<number> {
  const { onLine, between, output } = options
  const child = start(spec, options)
  const handOn = (name: NodeJS.Signals) => {
    if (!(fromKeys.includes(name) && isForeground())) child.kill(name)
  }
  const stop = () => {
    handOn('SIGTSTP')
    process.kill(process.pid, 'SIGSTOP')
  }
  for (const name of forwarded) process.on(name, handOn)
  process.on('SIGTSTP', stop)
  options.signal?.addEventListener('abort', () => end(child), { once: true })
  if (onLine) {
    for (const stream of [child.stdout, child.stderr]) {
      const lines = new LineReader(onLine)
      stream?.on('data', (bytes: Buffer) => lines.push(bytes))
      stream?.on('end', () => lines.end())
    }
  }
  const socket = spec.sync && (child.stdio[spec.sync.descriptor] as Duplex | null | undefined)
  const answered = socket && between ? answer(child, socket, between) : undefined
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', (error) => reject(startError(error)))
    child.on('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
  })
  answered?.catch(() => {})
  return ended
    .then(async (status) => {
      await answered
      await output?.heard
      return status
    })
    .finally(() => {
      for (const name of forwarded) process.off(name, handOn)
      process.off('SIGTSTP', stop)
    })
}
