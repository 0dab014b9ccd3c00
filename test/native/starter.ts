/** Feeds launch specs to sing-starter: a small root whose program is the probe, and what a test changes about it. */

import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'
import { encodeSpec, type LaunchSpec, type Op } from '../../src/plan/spec.ts'
import {
  commandLine,
  environment,
  type Outcome,
  projectRoot,
  type RunOptions,
  run,
  testUser,
} from '../helpers/sing.ts'
import { give, temporaryFolder } from '../helpers/temp.ts'

/** The starter that `npm run build` made, or another build of it. */
export const starter = process.env.SING_TEST_STARTER ?? join(projectRoot, 'build', 'Release', 'sing-starter')

/** Temporary folders of one test file, all in one place that is gone afterwards. */
export type Scene = {
  readonly folder: string
  /** A tree with /bin/probe and a few places. */
  readonly root: string
  /** The probe outside of any container. */
  readonly probe: string
}

/** Compile the probe and lay out a root that belongs to the ordinary user. */
export function makeScene(): Scene {
  const folder = temporaryFolder()
  const probe = join(folder, 'probe')
  const source = join(projectRoot, 'fixtures', 'probe', 'probe.c')
  execFileSync('cc', ['-std=gnu11', '-O1', '-static', '-Wall', '-Wextra', source, '-o', probe])
  const root = makeTree({ folder, probe, root: '' }, 'root')
  give(folder)
  return { folder, root, probe }
}

/** A new root with the probe in it, to be changed by one test alone. */
export function makeTree(scene: Scene, name: string): string {
  const root = join(scene.folder, name)
  for (const directory of ['bin', 'etc', 'proc', 'mnt', 'tmp', 'dev']) {
    mkdirSync(join(root, directory), { recursive: true })
  }
  copyFileSync(scene.probe, join(root, 'bin', 'probe'))
  give(root)
  return root
}

/** A directory of the host with a file `here` and a directory `below` in it. */
export function hostDirectory(scene: Scene): string {
  const directory = mkdtempSync(join(scene.folder, 'host-'))
  writeFileSync(join(directory, 'here'), 'of the host\n')
  mkdirSync(join(directory, 'below'))
  give(directory)
  return directory
}

export type Changes = {
  readonly ops?: readonly Op[]
  readonly process?: Partial<LaunchSpec['process']>
  readonly security?: Partial<LaunchSpec['security']>
} & Partial<Omit<LaunchSpec, 'ops' | 'process' | 'security'>>

const one = (inside: number, outside: number) => [{ inside, outside, count: 1 }]

/** The ids of a user who is nobody else inside. */
export function ownIds(): LaunchSpec['ids'] {
  const { uid, gid } = testUser()
  return { uids: one(uid, uid), gids: one(gid, gid), setgroups: 'deny' }
}

/** The ids of a user who appears as root. */
export function rootIds(): LaunchSpec['ids'] {
  const { uid, gid } = testUser()
  return { uids: one(0, uid), gids: one(0, gid), setgroups: 'deny' }
}

/** What real root needs: no user namespace. */
export const asRoot: Changes = {
  namespaces: ['mount'],
  ids: { uids: [], gids: [], setgroups: 'allow' },
}

/** A tree as the root, as it is. */
export function directoryRoot(root: string): Op[] {
  return [
    { op: 'directory', layer: 'image', from: root },
    { op: 'root', layer: 'image' },
  ]
}

/** A tree below a layer in memory, so that places can be made. */
export function overlayRoot(root: string, userxattr = true): Op[] {
  return [
    { op: 'directory', layer: 'image', from: root },
    { op: 'overlay', lower: ['image'], userxattr },
  ]
}

/** A bind with the options of most. */
export function bind(from: string, at: string, options: Partial<Op & { op: 'bind' }> = {}): Op {
  const plain = { missing: 'create', recursive: true, readonly: false, trusted: false, soft: false } as const
  return { op: 'bind', from, at, ...plain, ...options }
}

/** A spec that runs the probe with these words. */
export function makeSpec(root: string, words: readonly string[], changes: Changes = {}): LaunchSpec {
  return {
    namespaces: ['user', 'mount'],
    ids: ownIds(),
    root: 'new',
    debug: false,
    ...changes,
    ops: changes.ops ?? directoryRoot(root),
    process: {
      programs: [['/bin/probe', ...words]],
      directories: ['/'],
      directoryRequired: false,
      environment: { PATH: '/bin', PWD: '/' },
      init: false,
      dieWithParent: false,
      ...changes.process,
    },
    security: { noNewPrivileges: true, capabilities: 'none', filter: 'none', ...changes.security },
  }
}

/** The starter's whole command line. */
export function startLine(spec: LaunchSpec): string[] {
  return [starter, ...encodeSpec(spec)]
}

/** The payload's environment is the starter's: what tests usually set is taken out. */
function startOptions(spec: LaunchSpec, options: RunOptions): RunOptions {
  const clean = {
    PATH: undefined,
    LANG: undefined,
    HOME: undefined,
    USER: undefined,
    LOGNAME: undefined,
    SING_ENGINE: undefined,
  }
  return { cwd: '/', ...options, env: { ...clean, ...spec.process.environment, ...options.env } }
}

/** Perform a spec to its end. */
export function launch(spec: LaunchSpec, options: RunOptions = {}): Promise<Outcome> {
  return run(startLine(spec), startOptions(spec, options))
}

/** Perform a spec with a program of ours in between: `caller ignores`, `without 442=38`. */
export function launchThrough(
  scene: Scene,
  words: readonly string[],
  spec: LaunchSpec,
  options: RunOptions = {},
): Promise<Outcome> {
  return run([scene.probe, ...words, ...startLine(spec)], startOptions(spec, options))
}

export type Running = {
  readonly child: ChildProcess
  /** The next line that the payload prints, undefined at the end. */
  readonly line: () => Promise<string | undefined>
  /** Resolves when nobody holds its output any more: exit status, or the signal's name. */
  readonly ended: Promise<number | string>
}

/** Start a spec and leave it running, at most as long as the test. */
export function start(spec: LaunchSpec, options: RunOptions = {}): Running {
  const [file = '', ...args] = commandLine(startLine(spec), options.as)
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit']
  const child = spawn(file, args, { cwd: '/', env: environment(startOptions(spec, options)), stdio })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = child.stdout ? createInterface({ input: child.stdout })[Symbol.asyncIterator]() : undefined
  return {
    child,
    line: async () => (await lines?.next())?.value,
    ended: once(child, 'close').then(([code, signal]) => code ?? signal),
  }
}

/** Wait until it holds; every 20 ms a look. Fails by the test's own time limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Pids of living processes whose command line holds the text; those that have ended have none. */
export function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => /^\d/.test(pid) && commandLineOf(pid).includes(text))
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** The lines of the mount table of this process. */
export function mountTable(): string {
  return readFileSync('/proc/self/mountinfo', 'utf8')
}

/** Whether the server has been built. */
export const hasServer = existsSync(join(projectRoot, 'build', 'Release', 'sing-squashfs'))
