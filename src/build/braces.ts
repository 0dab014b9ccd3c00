/** Brace expansion of patterns: `a{b,c}` and `{1..9}`, nested too, as shells do it. Pure. */

import { SingError } from '../core/errors.ts'

/** Words that one pattern may become. */
const most = 4096

/**
 * The words that a pattern with braces stands for, in order. Braces that are escaped, do not end, or hold neither a comma
 * nor a range are plain signs, and so are those of `${NAME}`. Throws DEFINITION for more than 4096 words.
 */
export function expandBraces(pattern: string): string[] {
  let words = ['']
  let plain = 0
  for (let index = 0; index < pattern.length; index += 1) {
    if (pattern[index] === '\\') {
      index += 1
      continue
    }
    if (pattern[index] !== '{' || pattern[index - 1] === '$') continue
    const group = readGroup(pattern, index)
    if (!group) continue
    const before = pattern.slice(plain, index)
    const choices = group.range ?? group.parts.flatMap(expandBraces)
    if (words.length * choices.length > most) throw tooMany()
    words = words.flatMap((word) => choices.map((choice) => `${word}${before}${choice}`))
    index = group.end
    plain = index + 1
  }
  const rest = pattern.slice(plain)
  return words.map((word) => word + rest)
}

function tooMany(): SingError {
  return new SingError('DEFINITION', `the braces of a pattern stand for more than ${most} names`)
}

type Group = { readonly parts: readonly string[]; readonly range?: readonly string[]; readonly end: number }

/** The group that begins with the brace at `start`. */
function readGroup(pattern: string, start: number): Group | undefined {
  const parts: string[] = []
  let depth = 0
  let part = start + 1
  for (let index = start; index < pattern.length; index += 1) {
    const sign = pattern[index]
    if (sign === '\\') index += 1
    else if (sign === '{') depth += 1
    else if (sign === ',' && depth === 1) {
      parts.push(pattern.slice(part, index))
      part = index + 1
    } else if (sign === '}') {
      depth -= 1
      if (depth > 0) continue
      parts.push(pattern.slice(part, index))
      if (parts.length > 1) return { parts, end: index }
      const range = expandRange(parts[0] as string)
      return range && { parts, range, end: index }
    }
  }
  return undefined
}

/** `1..9`, `01..10`, `1..9..2`, `a..e`; undefined for anything else. */
function expandRange(text: string): string[] | undefined {
  const match = /^(?:(-?\d{1,9})\.\.(-?\d{1,9})|([A-Za-z])\.\.([A-Za-z]))(?:\.\.(-?\d{1,9}))?$/.exec(text)
  if (!match) return undefined
  const [, low, high, first, last, by] = match
  const from = first === undefined ? Number(low) : first.charCodeAt(0)
  const to = last === undefined ? Number(high) : last.charCodeAt(0)
  const step = Math.abs(Number(by ?? 1)) || 1
  const count = Math.floor(Math.abs(to - from) / step) + 1
  if (count > most) throw tooMany()
  const isPadded = [low, high].some((bound) => bound !== undefined && /^-?0\d/.test(bound))
  const width = isPadded ? Math.max(low?.length ?? 0, high?.length ?? 0) : 0
  return Array.from({ length: count }, (_, index) => {
    const value = from + (to < from ? -index : index) * step
    if (first !== undefined) return String.fromCharCode(value)
    return value < 0 ? `-${String(-value).padStart(width - 1, '0')}` : String(value).padStart(width, '0')
  })
}
