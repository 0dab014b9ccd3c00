/** Changes directives in the text of a `singularity.conf`, line by line; everything else stays as it is (pure). */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import {
  confNames,
  type Directive,
  directives,
  launchTwins,
  readConf,
  readTruth,
  withoutEffect,
} from './schema.ts'

/** A directive by its name in such a file. */
export type ConfDirective = {
  readonly name: string
  readonly list: boolean
  readonly initial: readonly string[]
  /** What values look like; undefined where it has no effect and nobody looks. */
  readonly expected: string | undefined
  readonly isGood: (value: string) => boolean
  /** Why it has no effect here. */
  readonly ineffective: string | undefined
}

function ofDirective(name: string, { type, confType = type, initial }: Directive): ConfDirective {
  return {
    name,
    list: confType.list ?? false,
    initial: confType.write(initial),
    expected: confType.expected,
    isGood: (value) => confType.read([value]) !== undefined,
    ineffective: undefined,
  }
}

/**
 * The directive of a name, however it is spaced.
 * @throws SingError naming the nearest one for a name that nobody knows
 */
export function findConfDirective(asked: string): ConfDirective {
  const name = asked.trim().toLowerCase().replace(/\s+/g, ' ')
  const directive = [...directives.values()].find(({ conf }) => conf === name)
  if (directive) return ofDirective(name, directive)
  const twin = launchTwins.find(({ conf }) => conf === name)
  if (twin) {
    const isGood = (value: string) => readTruth(value) !== undefined
    const initial = [twin.when ? 'no' : 'yes']
    return { name, list: false, initial, expected: 'yes or no', isGood, ineffective: undefined }
  }
  if (Object.hasOwn(withoutEffect, name)) {
    const ineffective = withoutEffect[name]
    return { name, list: false, initial: [''], expected: undefined, isGood: () => true, ineffective }
  }
  const near = suggest(name, confNames())
  throw new SingError('USAGE', `"${shown(asked)}" is no directive`, {
    status: 255,
    hint: near ? `Did you mean "${near}"?` : 'See: sing config list --all',
  })
}

type Line = { readonly index: number; readonly value: string }

function linesOf(lines: readonly string[], name: string): Line[] {
  return lines.flatMap((line, index) => {
    const [, found = '', value = ''] = /^\s*([a-z][a-z _-]*?)\s*=\s*(.*?)\s*$/i.exec(line) ?? []
    return found.toLowerCase().replace(/\s+/g, ' ') === name ? [{ index, value }] : []
  })
}

function toLines(text: string): string[] {
  const lines = text.split('\n')
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}

const toText = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

/** Values that hold with this file, one for each line of a list. */
export function confValues(text: string, { name, list, initial }: ConfDirective): readonly string[] {
  const said = linesOf(toLines(text), name)
  const values = said.map(({ value }) => value).filter(Boolean)
  if (list) return said.length > 0 ? values : initial
  return values.length > 0 ? values.slice(-1) : initial
}

/** All lines of the directive replaced by ones with these values, where the first of them was. */
function withValues(text: string, name: string, values: readonly string[]): string {
  const lines = toLines(text)
  const old = linesOf(lines, name)
  const at = old[0]?.index ?? lines.length
  const isOld = new Set(old.map(({ index }) => index))
  const put = values.map((value) => `${name} = ${value}`.trimEnd())
  const before = lines.slice(0, at)
  const behind = lines.slice(at).filter((_, index) => !isOld.has(at + index))
  return toText([...before, ...put, ...behind])
}

function requireGood({ name, expected, isGood }: ConfDirective, value: string): void {
  if (!/[\n\r]/.test(value) && isGood(value)) return
  throw new SingError('USAGE', `${name} = ${shown(value)}: expected ${expected ?? 'one line'}`, {
    status: 255,
  })
}

/**
 * Set the directive; a list gets one more value.
 * @throws SingError for a value that it cannot have
 */
export function setConf(text: string, directive: ConfDirective, value: string): string {
  requireGood(directive, value)
  const values = directive.list
    ? [...confValues(text, directive).filter((old) => old !== value), value]
    : [value]
  return checked(withValues(text, directive.name, values), directive.name)
}

/**
 * Take one value out of a list, or back what was set.
 * @throws SingError for a value that is not there
 */
export function unsetConf(text: string, directive: ConfDirective, value: string | undefined): string {
  if (!directive.list) return resetConf(text, directive)
  const values = confValues(text, directive)
  if (value === undefined || !values.includes(value)) {
    throw new SingError('USAGE', `${directive.name} has no value "${shown(value ?? '')}"`, {
      status: 255,
      hint: values.length > 0 ? `It has: ${values.join(', ')}` : 'It has none',
    })
  }
  const left = values.filter((old) => old !== value)
  return withValues(text, directive.name, left.length > 0 ? left : [''])
}

/** Back to the default. */
export const resetConf = (text: string, { name }: ConfDirective): string => withValues(text, name, [])

/** What was written must be read without a complaint. */
function checked(text: string, name: string): string {
  readConf(text, name)
  return text
}
