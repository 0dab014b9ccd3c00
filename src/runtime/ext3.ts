/**
 * The files of an ext3, only read: fuse2fs serves them in a mount namespace of its own, where they are reached through its process.
 * When this process ends, however it does, so do that program, its namespace and the mount.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { SingError, shown } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Window } from '../image/open.ts'
import { programPath } from '../native/paths.ts'
import { planHostProgram } from '../plan/section.ts'
import { encodeSpec } from '../plan/spec.ts'

export type Ext3 = AsyncDisposable & {
  /** Its root directory, as this process sees it. */
  readonly root: string
}

const patience = 200
const pause = 50
/** Characters of what the program says. */
const longestWords = 4096

function requireProgram({ file }: Window, facts: HostFacts): string {
  const refuse = (why: string, hint: string): never => {
    throw new SingError('HOST_TOOL', `cannot read the ext3 in ${shown(file)}: ${why}`, { hint })
  }
  if (!facts.fuse)
    refuse('/dev/fuse cannot be used', 'Ask the administrator for access to /dev/fuse (mode 0666)')
  return (
    facts.fuse2fs ??
    refuse('the program fuse2fs is missing', 'Install the package fuse2fs (Fedora: e2fsprogs-fuse2fs)')
  )
}

const deviceOf = (path: string): number | undefined => {
  try {
    return statSync(path).dev
  } catch {
    return undefined
  }
}

/** Resolves when something is mounted there, false when the program has ended before. */
async function appears(root: string, before: number | undefined, child: ChildProcess): Promise<boolean> {
  for (
    let attempt = 0;
    attempt < patience && child.exitCode === null && child.signalCode === null;
    attempt += 1
  ) {
    const device = deviceOf(root)
    if (device !== undefined && device !== before) return true
    await sleep(pause)
  }
  return false
}

/** Serve an ext3 at the empty directory `at`. Needs to be root, of a user namespace at least. @throws SingError HOST_TOOL, OVERLAY */
export async function openExt3(window: Window, at: string, facts: HostFacts): Promise<Ext3> {
  const { file, offset } = window
  // As containers do it (addon/starter/layers.c): the file stays as it is, to the last byte, and nobody's rights count.
  const options = `offset=${offset},fakeroot,allow_other,default_permissions,ro,norecovery`
  const program = [requireProgram(window, facts), '-f', file, at, '-o', options]
  const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const spec = planHostProgram({ program, environment, cwd: '/', devices: undefined }, facts, false)
  const before = deviceOf(at)
  const child = spawn(programPath('sing-starter'), encodeSpec(spec), {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text) => {
      said = (said + String(text)).slice(-longestWords)
    })
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => resolve())
    child.on('error', () => resolve())
  })
  const end = async () => {
    child.kill('SIGTERM')
    await ended
  }
  const root = `/proc/${child.pid}/root${at}`
  if (await appears(root, before, child)) return { root, [Symbol.asyncDispose]: end }
  await end()
  const words = said.trim().split('\n').at(-1) || 'it ended without a word'
  throw new SingError('OVERLAY', `cannot read the ext3 in ${shown(file)}: fuse2fs: ${shown(words)}`)
}
