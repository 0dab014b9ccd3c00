/** Files of --env-file: assignments in shell syntax, evaluated with the caller's environment. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { reasonOf, SingError } from '../core/errors.ts'

const assignment = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=/gm

/**
 * Prints the variables named by its arguments, NUL-separated, after the file was read. Its text comes on stdin: a pipe, as
 * `--env-file <(command)` gives one, can be read only once.
 */
const script = `_sing_text=$(cat) && exec </dev/null && eval "$_sing_text" >/dev/null || exit 1
for n; do eval "printf '%s\\0' \\"\\\${$n-}\\""; done`

/**
 * The assignments of a file in the order of first appearance.
 * @throws SingError ENVIRONMENT when the file cannot be read or the shell rejects it
 */
export function readEnvironmentFile(
  path: string,
  environment: Readonly<Record<string, string>>,
): [string, string][] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new SingError('ENVIRONMENT', `--env-file ${path}: ${reasonOf(error)}`, { cause: error })
  }
  const names = [...new Set(Array.from(text.matchAll(assignment), (match) => match[1] ?? ''))]
  if (names.length === 0) return []
  const answer = spawnSync('/bin/sh', ['-c', script, path, ...names], {
    env: { ...environment },
    input: text,
    encoding: 'utf8',
    maxBuffer: 16 << 20,
  })
  if (answer.status !== 0) {
    const reason = answer.stderr?.trim().split('\n').at(-1) || 'the shell rejects it'
    throw new SingError('ENVIRONMENT', `--env-file ${path}: ${reason}`)
  }
  const values = answer.stdout.split('\0')
  return names.map((name, index) => [name, values[index] ?? ''])
}
