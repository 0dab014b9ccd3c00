/** Build arguments: `{{ NAME }}` becomes the value that was given, else the default in `%arguments` of the stage. */

import { excerpt, isIdle, sectionName } from './lines.ts'
import { suggestion } from './suggest.ts'
import { type Arguments, largestDefinition, mistake } from './types.ts'

/** The build arguments of a run over a definition. */
export type Values = {
  readonly given: Arguments
  /** Names that some stage used. */
  readonly used: Set<string>
  /** Signs that may still be put in: values that contain each other must not fill the memory. */
  budget: number
}

/** A fresh run: nothing used yet. */
export function newValues(given: Arguments): Values {
  return { given, used: new Set(), budget: largestDefinition }
}

type Default = { readonly text: string; readonly line: number }

type Scope = {
  readonly file: string
  readonly values: Values
  readonly defaults: ReadonlyMap<string, Default>
  /** Defaults worked out so far; null while one is being worked out. */
  readonly known: Map<string, string | null>
}

const place = /\{\{[ \t]*(\w+)[ \t]*\}\}/g

/** The `NAME=default` lines of all `%arguments` of a stage. */
function readDefaults(lines: readonly string[], offset: number, file: string): Map<string, Default> {
  const defaults = new Map<string, Default>()
  let inside = false
  for (const [index, line] of lines.entries()) {
    const section = sectionName(line)
    if (section !== undefined) inside = section === 'arguments'
    else if (inside && !isIdle(line)) {
      const match = /^\s*(\w+)\s*=(.*)$/s.exec(line)
      if (!match)
        throw mistake(file, offset + index, `expected NAME=default in %arguments, got ${excerpt(line)}`)
      defaults.set(match[1] as string, { text: (match[2] as string).trim(), line: offset + index })
    }
  }
  return defaults
}

/** The value of a name, or undefined when nothing defines it. */
function lookUp(name: string, line: number, scope: Scope): string | undefined {
  scope.values.used.add(name)
  if (Object.hasOwn(scope.values.given, name)) return scope.values.given[name]
  const found = scope.known.get(name)
  if (found === null) throw mistake(scope.file, line, `build argument ${name} refers to itself`)
  if (found !== undefined) return found
  const fallback = scope.defaults.get(name)
  if (!fallback) return undefined
  scope.known.set(name, null)
  const value = fillIn(fallback.text, fallback.line, fallback.text.length, scope)
  scope.known.set(name, value)
  return value
}

/** Put in values; behind `comment` a name that nothing defines stays as it is. */
function fillIn(text: string, line: number, comment: number, scope: Scope): string {
  return text.replace(place, (whole, name: string, at: number) => {
    const value = lookUp(name, line, scope)
    if (value === undefined && at > comment) return whole
    if (value === undefined) throw undefinedArgument(name, line, scope)
    scope.values.budget -= value.length
    if (scope.values.budget < 0)
      throw mistake(scope.file, line, 'the build arguments make more than 16 MiB of text')
    return value
  })
}

function undefinedArgument(name: string, line: number, scope: Scope): Error {
  const known = [...Object.keys(scope.values.given), ...scope.defaults.keys()]
  const hint = `give it a value with --build-arg ${name}=VALUE, or a default in %arguments of this stage`
  const near = suggestion(name, known)
  return mistake(scope.file, line, `build argument ${name} is not defined`, near ? `${near}\n${hint}` : hint)
}

/**
 * The lines of a stage with build arguments filled in. Comment lines stay as they are; behind a `#` inside a line names
 * are filled in only when something defines them, as nobody can tell there what is a comment.
 * @param offset number of the first line
 */
export function expandStage(
  lines: readonly string[],
  offset: number,
  file: string,
  values: Values,
): string[] {
  const scope: Scope = { file, values, defaults: readDefaults(lines, offset, file), known: new Map() }
  return lines.map((line, index) => {
    const comment = line.indexOf('#')
    if (!line.includes('{{') || (comment >= 0 && line.slice(0, comment).trim() === '')) return line
    return fillIn(line, offset + index, comment < 0 ? line.length : comment, scope)
  })
}
