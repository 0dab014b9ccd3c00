/** Perform a launch spec: become the container, or start it and wait. */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { SingError } from '../core/errors.ts'
import { programPath } from '../native/paths.ts'
import { replaceKeeping } from '../native/replace.ts'
import { encodeSpec, type LaunchSpec } from '../plan/spec.ts'

type Execve = (file: string, args: readonly string[], environment: Readonly<Record<string, string>>) => never

/** Both engines have it (Node since 22.15); the type definitions of the oldest one do not. */
const { execve } = process as unknown as { execve: Execve }

const E2BIG = 7

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
  const starter = programPath('sing-starter')
  const args = ['sing-starter', ...encodeSpec(spec)]
  try {
    // Loading the addon costs a millisecond, and process.execve is as good where nothing was handed in.
    if (descriptors.length === 0) return execve(starter, args, spec.process.environment)
    const errno = replaceKeeping(starter, args, spec.process.environment, descriptors)
    throw Object.assign(new Error(`errno ${errno}`), { code: errno === E2BIG ? 'E2BIG' : undefined })
  } catch (error) {
    throw startError(error)
  }
}

export type RunOptions = {
  /** `inherit` hands on the descriptor; `ignore` is /dev/null; a function gets the output line by line. */
  readonly stdin?: 'inherit' | 'ignore'
  readonly onLine?: ((line: string) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

const signalNumbers: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
}

/** The keys of a terminal signal its whole foreground job: the child has got these, a second one would be one too many. */
const fromKeys: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']

/** Whether we are in the foreground job of a terminal. proc_pid_stat(5), fields 5 and 8. */
function isForeground(): boolean {
  const text = readFileSync('/proc/self/stat', 'latin1')
  const [, , group, , , foreground] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return group === foreground
}

function splitLines(onLine: (line: string) => void): { push: (chunk: Buffer) => void; end: () => void } {
  let rest = ''
  return {
    push(chunk) {
      const lines = (rest + chunk.toString('utf8')).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine(line)
    },
    end() {
      if (rest) onLine(rest)
    },
  }
}

/**
 * Start the spec as a child and wait. Resolves with its exit status, 128 + n when signal n ended it.
 * Signals that reach us meanwhile are handed on; what they do is the child's business.
 */
export function run(spec: LaunchSpec, options: RunOptions = {}): Promise<number> {
  const { stdin = 'inherit', onLine } = options
  const output = onLine ? 'pipe' : 'inherit'
  const child = spawn(programPath('sing-starter'), encodeSpec(spec), {
    env: { ...spec.process.environment },
    stdio: [stdin, output, output],
  })
  const handOn = (name: NodeJS.Signals) => {
    if (!(fromKeys.includes(name) && isForeground())) child.kill(name)
  }
  for (const name of forwarded) process.on(name, handOn)
  options.signal?.addEventListener('abort', () => child.kill('SIGTERM'), { once: true })
  if (onLine) {
    for (const stream of [child.stdout, child.stderr]) {
      const lines = splitLines(onLine)
      stream?.on('data', lines.push)
      stream?.on('end', lines.end)
    }
  }
  return new Promise<number>((resolve, reject) => {
    child.on('error', (error) => reject(startError(error)))
    child.on('close', (code, signal) => resolve(code ?? 128 + (signalNumbers[signal ?? ''] ?? 0)))
  }).finally(() => {
    for (const name of forwarded) process.off(name, handOn)
  })
}
