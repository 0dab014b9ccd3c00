/** `.dockerignore`: what of the context is not there for a build. The last pattern that fits a path or a directory above it counts. */

import { posix } from 'node:path'
import { mistake } from '../types.ts'
import { compilePattern, matches, type Pattern } from './glob.ts'

type Rule = { readonly pattern: Pattern; readonly keeps: boolean; readonly text: string }

export type Ignore = {
  /** Whether a path of the context (without a slash in front) is left out. */
  readonly ignores: (path: string) => boolean
  /** Whether something below an ignored directory could be kept: then it must be looked through. */
  readonly mayKeepBelow: (path: string) => boolean
  readonly isEmpty: boolean
}

/** More are no list any more. */
const mostRules = 10_000

/** Read the lines of a .dockerignore. @throws SingError DEFINITION for a pattern that is wrong */
export function readIgnore(text: string, name: string): Ignore {
  const rules: Rule[] = []
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const rule = readRule(line, name, index + 1)
    if (rule) rules.push(rule)
    if (rules.length > mostRules) throw mistake(name, index + 1, `there are more than ${mostRules} patterns`)
  }
  return ignoreOf(rules)
}

/** The same for patterns that stand in `--exclude`. */
export function ignorePatterns(patterns: readonly string[], name: string, line: number): Ignore {
  return ignoreOf(patterns.flatMap((pattern) => readRule(pattern, name, line) ?? []))
}

function readRule(line: string, name: string, number: number): Rule | undefined {
  const trimmed = line.trim()
  if (line.startsWith('#') || trimmed === '') return undefined
  const keeps = trimmed.startsWith('!')
  const written = keeps ? trimmed.slice(1).trim() : trimmed
  if (written === '') throw mistake(name, number, 'there is no pattern behind the !')
  const text = posix
    .normalize(written)
    .replace(/^\/(?=.)/, '')
    .replace(/(.)\/$/, '$1')
  const pattern = compilePattern(text, 'ignore')
  if (!pattern)
    throw mistake(
      name,
      number,
      `the pattern ${written} is wrong`,
      'a [ needs its ], and a \\ a sign behind it',
    )
  return { pattern, keeps, text }
}

function ignoreOf(rules: readonly Rule[]): Ignore {
  const kept = rules.filter(({ keeps }) => keeps)
  return {
    ignores: (path) => rules.reduce((ignored, rule) => (fits(rule, path) ? !rule.keeps : ignored), false),
    mayKeepBelow: (path) => kept.some(({ text }) => /[*?[]/.test(text) || text.startsWith(`${path}/`)),
    isEmpty: rules.length === 0,
  }
}

/** Whether the rule stands for the path, or for a directory above it. */
function fits({ pattern }: Rule, path: string): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
    if (matches(pattern, path.slice(0, end))) return true
  }
  return false
}
