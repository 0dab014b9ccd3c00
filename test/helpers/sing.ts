/** Runs `sing` and other programs as an ordinary user, also when the tests themselves run as root. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants, userInfo } from 'node:os'
import { join } from 'node:path'

export type Outcome = {
  /** Exit status; 128 + n when signal n ended it. */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export type RunOptions = {
  /** Added to the small environment every program gets; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Default: the user's home. */
  readonly cwd?: string
  /** What the program reads from stdin; nothing by default. */
  readonly input?: string | Uint8Array
  /** Whom to be: the ordinary user, or whoever runs the tests. */
  readonly as?: 'user' | 'self'
  /** Milliseconds until the program is killed. */
  readonly timeout?: number
}

export type User = {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** The project's root folder. */
export const projectRoot = join(import.meta.dirname, '..', '..')

/** The `sing` under test: the checkout's, or the one that SING_TEST_PROGRAM names. */
export const program = process.env.SING_TEST_PROGRAM ?? join(projectRoot, 'bin', 'sing')

const isRoot = process.getuid?.() === 0
let knownUser: User | undefined

/** The ordinary user of the tests: whoever runs them, and `sing-test` (made when missing) for root. */
export function testUser(): User {
  knownUser ??= isRoot ? ordinaryUser(process.env.SING_TEST_USER ?? 'sing-test') : currentUser()
  return knownUser
}

function currentUser(): User {
  const { username, uid, gid, homedir } = userInfo()
  return { name: username, uid, gid, home: homedir }
}

function ordinaryUser(name: string): User {
  // Test files run at the same time: one makes the user, the others wait for it.
  const make = 'id "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$1"'
  spawnSync('flock', ['/tmp/.sing-test-user', 'sh', '-c', make, 'sh', name], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const { stdout } = spawnSync('getent', ['passwd', name], { encoding: 'utf8' })
  const [, , uid, gid, , home] = stdout.trim().split(':')
  if (!uid || !gid || !home) throw new Error(`cannot make the user ${name} that tests run as`)
  return { name, uid: Number(uid), gid: Number(gid), home }
}

/** The command line that runs `command` as the given user. */
export function commandLine(command: readonly string[], as: 'user' | 'self' = 'user'): string[] {
  if (as === 'self' || !isRoot) return [...command]
  const { uid, gid } = testUser()
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups', ...command]
}

/** The whole environment of a program: a small fixed one, so that the caller's does not leak into results. */
export function environment(options: RunOptions = {}): Record<string, string> {
  const user = options.as === 'self' ? currentUser() : testUser()
  const base = {
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    LANG: 'C.UTF-8',
    SING_ENGINE: process.env.SING_ENGINE,
    ...options.env,
  }
  return Object.fromEntries(
    Object.entries(base).filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
}

/** Run any program to its end. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const [file = '', ...args] = commandLine(command, options.as)
  const cwd = options.cwd ?? (options.as === 'self' ? '/' : testUser().home)
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  const child = spawn(file, args, {
    cwd: existsSync(cwd) ? cwd : '/',
    env: environment(options),
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: options.timeout ?? 120_000,
    killSignal: 'SIGKILL',
  })
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  child.stdout?.on('data', (chunk: Buffer) => chunks.stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => chunks.stderr.push(chunk))
  // A program that does not read its input is no failure of the test.
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.input)
  child.on('error', reject)
  child.on('close', (code, signal) => {
    const stdout = Buffer.concat(chunks.stdout).toString()
    const stderr = Buffer.concat(chunks.stderr).toString()
    resolve({ status: code ?? 128 + signalNumber(signal), stdout, stderr })
  })
  return promise
}

/** Run `sing` with these arguments. */
export function sing(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return run([program, ...args], options)
}

function signalNumber(name: NodeJS.Signals | null): number {
  return name === null ? 0 : (constants.signals[name] ?? 0)
}
