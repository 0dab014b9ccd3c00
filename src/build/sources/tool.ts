/** Programs of distributions that make a root file system from outside: finding them, running them, and why they failed. */

import { lstatSync, mkdirSync, readdirSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { SingError } from '../../core/errors.ts'
import { LineReader } from '../../core/lines.ts'
import { programsIn } from '../../host/look.ts'
import type { Hear } from '../../runtime/output.ts'
import { runOnHost } from '../../runtime/section.ts'
import type { BuildTools } from '../request.ts'
import { LastLines } from '../script.ts'

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** PATH of the caller, and behind it what the PATH of users often lacks. */
export function searchPath(environment: BuildTools['environment']): string {
  return `${environment.PATH ?? ''}:${systemPath}`
}

/**
 * The path of a program of the host, by its first name that is there. `packages` says who has it, for people.
 * @throws SingError HOST_TOOL when there is none
 */
export function findTool(
  names: readonly string[],
  packages: string,
  environment: BuildTools['environment'],
): string {
  const directories = searchPath(environment).split(':')
  const [program] = names.flatMap((name) => programsIn(name, directories))
  if (program) return program
  throw new SingError('HOST_TOOL', `${names.join(' or ')} is not installed on this machine`, {
    hint: `Install the package ${packages}, or begin with another base`,
  })
}

export type ToolRun = {
  /** How people know it. */
  readonly name: string
  readonly program: readonly string[]
  /** The tree that it fills. */
  readonly root: string
  /** More than the caller's environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** It needs the processes of its own below the tree. */
  readonly proc?: boolean
  /** Directories of the host that appear in another place meanwhile. */
  readonly lent?: readonly { readonly from: string; readonly at: string }[]
  /** Statuses that are no failure. */
  readonly accepted?: readonly number[]
  /** Told each line of what it says. */
  readonly hear?: (line: string) => void
  /** What is known beside its last words when it has failed. */
  readonly explain?: () => readonly string[]
}

/** Directories that mount points are made in, before the tool has a thought about them. */
function makePlaces(root: string, { proc = false }: ToolRun): void {
  for (const name of proc ? ['dev', 'proc'] : ['dev']) {
    const path = join(root, name)
    if (!lstatSync(path, { throwIfNoEntry: false })) mkdirSync(path, { mode: 0o755 })
  }
}

/** Device nodes were lent by the host; what remains in their place are empty files. */
function removeDevicePlaces(root: string): void {
  const directory = join(root, 'dev')
  if (!lstatSync(directory, { throwIfNoEntry: false })?.isDirectory()) return
  for (const name of readdirSync(directory)) {
    const stats = lstatSync(join(directory, name))
    if (stats.isFile() && stats.size === 0) unlinkSync(join(directory, name))
  }
}

function readerOf(stream: 'stdout' | 'stderr', last: LastLines, { hear }: ToolRun): LineReader {
  return new LineReader((line) => {
    last.push(stream, line)
    hear?.(line)
  })
}

/**
 * Run a tool on a tree, with the device nodes of the host in it. What it says is told as it comes. Resolves with its status,
 * which is 0 or accepted.
 * @throws SingError HOST_TOOL
 */
export async function runTool(run: ToolRun, tools: BuildTools): Promise<number> {
  const { facts, report, signal, debug, environment } = tools
  const last = new LastLines()
  const readers = { stdout: readerOf('stdout', last, run), stderr: readerOf('stderr', last, run) }
  const hear: Hear = (stream, bytes) => {
    report({ kind: 'output', stream, bytes })
    readers[stream].push(bytes)
  }
  makePlaces(run.root, run)
  const status = await runOnHost(
    {
      program: run.program,
      environment: { ...environment, PATH: searchPath(environment), LC_ALL: 'C', ...run.environment },
      cwd: '/',
      devices: run.root,
      proc: run.proc ? run.root : undefined,
      lent: run.lent ?? [],
    },
    { facts, report, debug, signal, hear },
  )
  if (signal.aborted) throw signal.reason
  removeDevicePlaces(run.root)
  for (const reader of Object.values(readers)) reader.end()
  if (status === 0 || run.accepted?.includes(status)) return status
  const hint = [last.again, ...(run.explain?.() ?? [])].filter(Boolean).join('\n')
  throw new SingError('HOST_TOOL', `${run.name} failed with status ${status}`, hint === '' ? {} : { hint })
}
