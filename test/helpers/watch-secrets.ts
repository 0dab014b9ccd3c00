/** Looks for secrets where others could find them: in command lines, environments, what is printed, and files. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { commandLine, environment, program, type RunOptions } from './sing.ts'

export type Watched = {
  readonly status: number
  readonly output: string
  /** Places where a secret was seen while the program ran. */
  readonly seen: readonly string[]
  /** Whether others of the same user could read its memory while it asked for a secret. */
  readonly wasGuarded: boolean
}

export type WatchOptions = Pick<RunOptions, 'env' | 'cwd'> & {
  readonly secrets: readonly string[]
  /** Answers to what it asks, one for each time that `asks` comes. */
  readonly answers?: readonly string[]
  readonly asks?: RegExp
}

/** Run `sing` and look at all processes, again and again, until it has ended. */
export async function watchSecrets(args: readonly string[], options: WatchOptions): Promise<Watched> {
  const { secrets, answers = [], asks = /pass(phrase|word)/gi, cwd } = options
  const [file = '', ...rest] = commandLine([program, ...args])
  const child = spawn(file, rest, { cwd, env: environment(options), stdio: 'pipe' })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk))
  child.stdin.on('error', () => {})
  const ended = new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? 255)))
  let isOver = false
  void ended.then(() => (isOver = true))
  const seen = new Set<string>()
  let [asked, isGuarded] = [0, true]
  while (!isOver) {
    for (const place of look(child, secrets)) seen.add(place)
    const questions = [...output.matchAll(asks)].length
    for (; asked < questions; asked += 1) {
      isGuarded &&= belongsToRoot(child)
      const answer = answers[asked]
      if (answer === undefined) child.stdin.end()
      else child.stdin.write(`${answer}\n`)
    }
    await sleep(1)
  }
  return { status: await ended, output, seen: [...seen], wasGuarded: isGuarded }
}

/** The kernel gives the files of a process that keeps its memory to itself to root. */
function belongsToRoot({ pid }: ChildProcess): boolean {
  const owner = quietly(() => statSync(`/proc/${pid}/mem`).uid)
  return owner === undefined || owner === 0
}

/** Until the engine runs, the shell that looks for it has the environment of the caller, and all that it starts. */
function hasBegun({ pid }: ChildProcess): boolean {
  const file = quietly(() => readlinkSync(`/proc/${pid}/exe`)) ?? ''
  return !['setpriv', 'sh', 'dash', 'bash'].includes(basename(file))
}

function look(child: ChildProcess, secrets: readonly string[]): string[] {
  const { pid: own } = child
  const isRunning = hasBegun(child)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      // What the caller put into the environment of the program itself is there.
      const places = Number(pid) === own || !isRunning ? ['cmdline'] : ['cmdline', 'environ']
      return places
        .map((place) => `/proc/${pid}/${place}`)
        .filter((path) => hasOne(quietly(() => readFileSync(path, 'latin1')) ?? '', secrets))
        .map((path) => `${path}: ${quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1'))}`)
    })
}

export const hasOne = (text: string, secrets: readonly string[]): boolean =>
  secrets.some((secret) => text.includes(secret))

/** Files below a folder that have a secret in them. */
export const filesWith = (folder: string, secrets: readonly string[]): string[] =>
  (readdirSync(folder, { recursive: true }) as string[]).filter((name) =>
    hasOne(quietly(() => readFileSync(join(folder, name), 'latin1')) ?? '', secrets),
  )

/** Processes end while one looks at them. */
function quietly<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
