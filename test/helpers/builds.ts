/** Builds in a folder of their own, watched while they run, and what they leave behind. */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type IPty, spawn as spawnTerminal } from '@lydell/node-pty'
import { mountsOf, processesOf } from './left.ts'
import { commandLine, environment, type Outcome, program, projectRoot, sing } from './sing.ts'
import { give, temporaryFolder } from './temp.ts'

export const base: string = join(projectRoot, 'fixtures/images/everything.sif')
/** Lines 1 and 2 of a definition. */
export const header: string = `Bootstrap: localimage\nFrom: ${base}\n`

export type BuildFolder = {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
  readonly write: (name: string, text: string) => string
  /** `sing build` of a definition behind the header, unless it has its own. */
  readonly build: (text: string, ...flags: string[]) => Promise<Outcome>
}

/** A folder with temporary files and a cache of its own. */
export function buildFolder(): BuildFolder {
  const path = temporaryFolder()
  for (const name of ['tmp', 'cache']) {
    mkdirSync(join(path, name))
    give(join(path, name))
  }
  const env = { SINGULARITY_TMPDIR: join(path, 'tmp'), SINGULARITY_CACHEDIR: join(path, 'cache') }
  const write = (name: string, text: string): string => {
    writeFileSync(join(path, name), text)
    give(join(path, name))
    return join(path, name)
  }
  const build = (text: string, ...flags: string[]) => {
    write('x.def', /^bootstrap/i.test(text) ? text : header + text)
    return sing(['build', ...flags, 'x.sif', 'x.def'], { cwd: path, env })
  }
  return { path, env, write, build }
}

/** Whatever a build left that is neither what it was given nor its cache: files, processes, mounts. Processes may take a moment to end. */
export async function leftBy({ path }: BuildFolder, given: readonly string[] = []): Promise<string[]> {
  for (let waits = 0; processesOf(path).length > 0 && waits < 100; waits += 1) await pause(50)
  const own = new Set(['tmp', 'cache', 'x.def', ...given])
  const files = readdirSync(path).filter((name) => !own.has(name))
  const temporary = readdirSync(join(path, 'tmp')).map((name) => `tmp/${name}`)
  return [...files, ...temporary, ...processesOf(path), ...mountsOf(path)]
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A program on a terminal. */
export type Terminal = {
  readonly text: () => string
  readonly type: (keys: string) => void
  /** Resolves when the screen shows this; rejects when the program ends before. */
  readonly shows: (what: RegExp) => Promise<void>
  readonly status: Promise<number>
}

/** Start `sing` on a terminal. */
export function onTerminal(args: readonly string[], { path, env }: BuildFolder): Terminal {
  const [file = '', ...rest] = commandLine([program, ...args])
  const terminal: IPty = spawnTerminal(file, rest, {
    cwd: path,
    env: environment({ env }),
    cols: 100,
    rows: 30,
  })
  let text = ''
  let ended = false
  terminal.onData((data) => {
    text += data
  })
  const status = new Promise<number>((resolve) =>
    terminal.onExit(({ exitCode, signal }) => {
      ended = true
      resolve(signal ? 128 + signal : exitCode)
    }),
  )
  const shows = async (what: RegExp) => {
    while (!what.test(text)) {
      if (ended) throw new Error(`it ended without showing ${what}:\n${text}`)
      await pause(20)
    }
  }
  return { text: () => text, type: (keys) => terminal.write(keys), shows, status }
}

/** A program in a process group of its own, as a job of a shell. */
export type Job = {
  readonly pid: number
  readonly shows: (what: RegExp) => Promise<void>
  readonly status: Promise<number>
}

/** Start `sing` as a job in the background. */
export function inBackground(args: readonly string[], { path, env }: BuildFolder): Job {
  const [file = '', ...rest] = commandLine([program, ...args])
  const child: ChildProcess = spawn(file, rest, {
    cwd: existsSync(path) ? path : '/',
    env: environment({ env }),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
  }
  const status = new Promise<number>((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : -1))),
  )
  const shows = async (what: RegExp) => {
    while (!what.test(text)) {
      if (child.exitCode !== null) throw new Error(`it ended without showing ${what}:\n${text}`)
      await pause(20)
    }
  }
  return { pid: child.pid ?? 0, shows, status }
}
