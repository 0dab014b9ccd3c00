/**
 * Checks of the site: programs in a directory, which are run one after the other on this machine, as who checks, with the path
 * of the image. Nothing of the image runs unless such a program does it. An exit status other than 0 is a check that failed.
 */

import { spawn } from 'node:child_process'
import { readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Told } from './report.ts'
import type { Severity } from './types.ts'

export type SiteOptions = {
  readonly image: string
  readonly kind: string
  readonly environment: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** Lines of one program; more than this nobody reads. */
const mostLines = 100
const mostBytes = 64 * 1024

/** Whether nobody but root and the caller can change it, who would run what others have written. */
function isTrusted({ uid, mode }: Stats): boolean {
  return (uid === 0 || uid === process.geteuid?.()) && (mode & 0o022) === 0
}

function requireTrusted(path: string, stats: Stats): void {
  if (isTrusted(stats)) return
  throw new SingError('UNSUPPORTED', `the checks of ${shown(path)} are not run: others can change them`, {
    hint: `It has to belong to root or to you, and nobody else may write to it: chmod go-w ${shown(path)}`,
  })
}

/** Programs of the directory, by their names. @throws SingError when it cannot be read, or believed */
export function siteChecks(directory: string): string[] {
  try {
    requireTrusted(directory, statSync(directory))
    const paths = readdirSync(directory)
      .filter((name) => !name.startsWith('.') && !name.endsWith('~'))
      .toSorted()
      .map((name) => join(directory, name))
    return paths.filter((path) => {
      const stats = statSync(path)
      if (!stats.isFile() || (stats.mode & 0o111) === 0) return false
      requireTrusted(path, stats)
      return true
    })
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    throw new SingError('IO', `cannot read the checks in ${shown(directory)}: ${reasonOf(cause)}`, { cause })
  }
}

type Ended = { readonly status: number | string; readonly lines: readonly string[] }

/** Run a program to its end, or to the signal's. */
function runProgram(program: string, { image, kind, environment, signal }: SiteOptions): Promise<Ended> {
  const variables = { SING_CHECK_IMAGE: image, SING_CHECK_KIND: kind }
  const child = spawn(program, [image], {
    env: { ...environment, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  const chunks: Buffer[] = []
  let bytes = 0
  const keep = (chunk: Buffer): void => {
    if (bytes < mostBytes) chunks.push(chunk.subarray(0, mostBytes - bytes))
    bytes += chunk.length
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return new Promise((resolve, reject) => {
    child.on('error', (cause) =>
      reject(
        signal.aborted
          ? signal.reason
          : new SingError('IO', `cannot run the check ${shown(program)}: ${reasonOf(cause)}`, { cause }),
      ),
    )
    child.on('close', (code, killed) => {
      const lines = Buffer.concat(chunks)
        .toString()
        .split('\n')
        .filter((line) => line.trim() !== '')
      resolve({ status: code ?? killed ?? 'nothing', lines: lines.slice(0, mostLines) })
    })
  })
}

function toFindings(program: string, { status, lines }: Ended): Told[] {
  const isFailed = status !== 0
  const severity: Severity = isFailed ? 'error' : 'note'
  const common = {
    severity,
    path: program,
    name: program.slice(program.lastIndexOf('/') + 1),
    tags: ['site'],
  } as const
  if (lines.length === 0) return isFailed ? [{ ...common, text: `failed: exit status ${status}` }] : []
  return lines.map((text) => ({ ...common, text }))
}

/** What the programs of a directory say. @throws SingError when one of them cannot be run */
export async function runSiteChecks(directory: string, options: SiteOptions): Promise<Told[]> {
  const findings: Told[] = []
  for (const program of siteChecks(directory))
    findings.push(...toFindings(program, await runProgram(program, options)))
  return findings
}
