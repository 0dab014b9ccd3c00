/**
 * Patterns of `%files`, as a shell understands them: braces, variables, `*`, `?` and `[...]`. In a pattern a backslash takes
 * the meaning from the sign behind it; quotes have no meaning any more. Pure: directories are listed by the caller.
 */

import { SingError, shown } from '../core/errors.ts'
import { escapePattern, plainWord } from '../definition/words.ts'
import { expandBraces } from './braces.ts'

/** Longest pattern that is looked at, in UTF-16 units. */
const longest = 8192

export type Surroundings = {
  /** The value of a variable, undefined when it is not set. */
  readonly variable: (name: string) => string | undefined
  /** Names in a directory, in any order; none for what is no directory. '' is where relative paths begin. */
  readonly list: (directory: string) => readonly string[]
  readonly exists: (path: string) => boolean
}

/** One step of a pattern: a plain name, or a test of names. */
type Step = { readonly name: string } | { readonly matches: (name: string) => boolean }

/**
 * The paths that a pattern stands for, each with its braces' order kept and otherwise sorted by name. A part without
 * wildcards stands for itself, whether it exists or not; one with wildcards that match nothing stands for no path.
 * Throws DEFINITION for variables that are not set, for commands, and for patterns out of all proportion.
 */
export function expandPattern(pattern: string, surroundings: Surroundings): string[] {
  if (pattern.length > longest) throw new SingError('DEFINITION', `a pattern is longer than ${longest} signs`)
  return expandBraces(pattern).flatMap((one) =>
    expandWildcards(expandVariables(one, surroundings.variable), surroundings),
  )
}

/** Put in the values of `$NAME`, `${NAME}` and a leading `~`; the values are plain text. */
export function expandVariables(pattern: string, variable: Surroundings['variable']): string {
  const value = (name: string): string => {
    const found = variable(name)
    if (found === undefined) throw new SingError('DEFINITION', `the variable ${name} is not set`)
    return escapePattern(found)
  }
  const home = /^~(?=\/|$)/.test(pattern) ? value('HOME') + pattern.slice(1) : pattern
  return home.replace(
    /\\.|\$(?:(\w+)|\{(\w+)\}|(\())/gs,
    (whole, plain?: string, braced?: string, command?: string) => {
      if (command) throw new SingError('DEFINITION', `commands are not run in %files: ${shown(pattern)}`)
      const name = plain ?? braced
      return name === undefined ? whole : value(name)
    },
  )
}

function expandWildcards(pattern: string, { list, exists }: Surroundings): string[] {
  const steps = splitSteps(pattern)
  if (steps.every((step) => 'name' in step)) return [plainWord(pattern)]
  let found = ['']
  for (const [index, step] of steps.entries()) {
    const end = index < steps.length - 1 ? '/' : ''
    if ('name' in step) found = found.map((path) => `${path}${step.name}${end}`)
    else {
      found = found.flatMap((path) =>
        [...list(path)]
          .filter(step.matches)
          .sort()
          .map((name) => `${path}${name}${end}`),
      )
    }
  }
  return found.filter(exists)
}

/** The pattern cut at its slashes. */
function splitSteps(pattern: string): Step[] {
  return pattern.split('/').map((part) => {
    const tests = compile(part)
    if (tests.every((test) => test.kind === 'sign')) return { name: plainWord(part) }
    return { matches: (name) => matchesName(tests, Array.from(name)) }
  })
}

type Test =
  | { readonly kind: 'sign'; readonly sign: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'many' }
  | { readonly kind: 'set'; readonly has: (sign: string) => boolean }

function compile(part: string): Test[] {
  const signs = Array.from(part)
  const tests: Test[] = []
  for (let index = 0; index < signs.length; index += 1) {
    const sign = signs[index] as string
    const set = sign === '[' ? readSet(signs, index + 1) : undefined
    if (set) {
      tests.push({ kind: 'set', has: set.has })
      index = set.end
    } else if (sign === '*') tests.push({ kind: 'many' })
    else if (sign === '?') tests.push({ kind: 'any' })
    else {
      if (sign === '\\' && index + 1 < signs.length) index += 1
      tests.push({ kind: 'sign', sign: signs[index] as string })
    }
  }
  return tests
}

const classes: Readonly<Record<string, RegExp>> = {
  alnum: /[\p{L}\p{N}]/u,
  alpha: /\p{L}/u,
  blank: /[ \t]/,
  digit: /[0-9]/,
  lower: /\p{Ll}/u,
  punct: /[!-/:-@[-`{-~]/,
  space: /\s/,
  upper: /\p{Lu}/u,
  xdigit: /[0-9A-Fa-f]/,
}

/** The set whose first sign is at `start`; undefined when it does not end, and the bracket is a sign like others. */
function readSet(
  signs: readonly string[],
  start: number,
): { has: (sign: string) => boolean; end: number } | undefined {
  const negative = signs[start] === '!' || signs[start] === '^'
  const tests: ((sign: string) => boolean)[] = []
  let index = negative ? start + 1 : start
  for (let first = true; index < signs.length; first = false) {
    if (signs[index] === ']' && !first) {
      return { has: (sign) => tests.some((test) => test(sign)) !== negative, end: index }
    }
    const named = signs[index] === '[' && signs[index + 1] === ':' ? readClass(signs, index + 2) : undefined
    if (named) {
      tests.push(named.has)
      index = named.next
      continue
    }
    if (signs[index] === '\\') index += 1
    const low = signs[index] ?? ''
    const isRange = signs[index + 1] === '-' && signs[index + 2] !== ']' && signs[index + 2] !== undefined
    const high = isRange ? (signs[index + 2] as string) : low
    tests.push((sign) => sign >= low && sign <= high)
    index += isRange ? 3 : 1
  }
  return undefined
}

function readClass(
  signs: readonly string[],
  start: number,
): { has: (sign: string) => boolean; next: number } | undefined {
  const end = signs.indexOf(':', start)
  if (end < 0 || end - start > 6 || signs[end + 1] !== ']') return undefined
  const test = classes[signs.slice(start, end).join('')]
  return test && { has: (sign) => test.test(sign), next: end + 2 }
}

/** Whether a name passes; going back only to the last star keeps the work at name times pattern. */
function matchesName(tests: readonly Test[], name: readonly string[]): boolean {
  if (name[0] === '.' && !(tests[0]?.kind === 'sign' && tests[0].sign === '.')) return false
  let at = 0
  let index = 0
  let star = -1
  let starAt = 0
  while (at < name.length) {
    const test = tests[index]
    if (test?.kind === 'many') {
      star = index
      starAt = at
      index += 1
    } else if (test && passes(test, name[at] as string)) {
      index += 1
      at += 1
    } else if (star >= 0) {
      index = star + 1
      starAt += 1
      at = starAt
    } else return false
  }
  return tests.slice(index).every((test) => test.kind === 'many')
}

function passes(test: Test, sign: string): boolean {
  switch (test.kind) {
    case 'sign':
      return test.sign === sign
    case 'set':
      return test.has(sign)
    case 'any':
    case 'many':
      return true
  }
}
