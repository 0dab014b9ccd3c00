/** Texts from metadata of packages: paragraphs of fields, and values that are fit to be passed on. */

import type { Buffer } from 'node:buffer'
import { SingError } from '../../core/errors.ts'
import type { Package } from '../types.ts'

export type Fields = ReadonlyMap<string, string>

const longestName = 256
const longestText = 4096
const deepestJson = 64

/** Fields of `Key: value` lines, the keys in lower case; a line that begins with a blank goes on with the one before (deb822(5)). */
export function fieldsOf(paragraph: string): Fields {
  const fields = new Map<string, string>()
  let key = ''
  for (const line of paragraph.split('\n')) {
    if (/^[ \t]/.test(line)) {
      if (key !== '') fields.set(key, `${fields.get(key)}\n${line.trim()}`)
      continue
    }
    const colon = line.indexOf(':')
    key = colon > 0 ? line.slice(0, colon).toLowerCase() : ''
    if (key !== '' && !fields.has(key)) fields.set(key, line.slice(colon + 1).trim())
    else key = ''
  }
  return fields
}

/** The parts of a text, one at a time: there may be millions. `separator` is global. */
export function* partsOf(text: string, separator: RegExp): Generator<string> {
  let start = 0
  for (const { 0: between, index } of text.matchAll(separator)) {
    yield text.slice(start, index)
    start = index + between.length
  }
  yield text.slice(start)
}

export function* paragraphs(text: string): Generator<Fields> {
  for (const one of partsOf(text, /\n[ \t]*\n+/g)) if (one.trim() !== '') yield fieldsOf(one)
}

/** The lines before the first empty one: the header of a mail, which Python's packages have. */
export const headOf = (text: string): Fields =>
  paragraphs(text.replaceAll('\r\n', '\n')).next().value ?? new Map()

/** One line of text without control characters, cut where nobody reads on; undefined for nothing. */
export function line(value: unknown, longest = longestText): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim()
  if (text === '') return undefined
  return text.length > longest ? `${text.slice(0, longest - 1).toWellFormed()}…` : text.toWellFormed()
}

/** The package, unless its name or its version cannot be one. */
export function named(
  one: Omit<Package, 'name' | 'version'> & { name: unknown; version: unknown },
): Package[] {
  const [name, version] = [line(one.name, longestName + 1), line(one.version, longestName + 1)]
  if (name === undefined || version === undefined) return []
  return name.length > longestName || version.length > longestName ? [] : [{ ...one, name, version }]
}

export const damaged = (reason: string): SingError => new SingError('IMAGE_FORMAT', reason)

/** How deep lists and objects of a text lie in each other, not counting what is in its strings. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0]
  let isString = false
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at]
    if (sign === '"') isString = !isString
    else if (isString) at += sign === '\\' ? 1 : 0
    else if (sign === '[' || sign === '{') deepest = Math.max(deepest, ++depth)
    else if (sign === ']' || sign === '}') depth -= 1
  }
  return deepest
}

/** The object that a JSON document holds. @throws SingError IMAGE_FORMAT when it is none, or nested too deep */
export function jsonObject(bytes: Buffer): Readonly<Record<string, unknown>> {
  const text = bytes.toString().replace(/^\ufeff/, '')
  if (depthOf(text) > deepestJson) throw damaged(`its JSON is nested deeper than ${deepestJson} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged('it is no JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw damaged('it is no JSON object')
  return value as Record<string, unknown>
}

/** A member of what may be an object. */
export const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** An address of the web; undefined for anything else. */
export function webAddress(value: unknown): string | undefined {
  const text = line(value)
  return text !== undefined &&
    /^(https?|ftp|git\+https?|git):\/\/[^\s"<>\\^`{|}]+$/i.test(text) &&
    URL.canParse(text)
    ? text
    : undefined
}
