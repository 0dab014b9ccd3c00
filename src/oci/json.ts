/** Values of JSON documents from outside, read with a sentence for everything that is not as it should be. */

import type { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'

export type Fields = Readonly<Record<string, unknown>>

/** Reads parts of one document. A member that is absent or null is an empty value: Go writes both. */
export type Reader = {
  refuse(reason: string, hint?: string): SingError
  fields(value: unknown, path: string): Fields
  list(value: unknown, path: string, limit: number): readonly unknown[]
  text(value: unknown, path: string): string
  texts(value: unknown, path: string, limit: number): string[]
  /** An object whose members are texts. */
  map(value: unknown, path: string): Record<string, string>
}

const absent = (value: unknown): boolean => value === undefined || value === null

/** `what` names the document: `the manifest of docker://registry.example/app:1`. */
export function newReader(what: string): Reader {
  const refuse = (reason: string, hint?: string) =>
    new SingError('IMAGE_FORMAT', `${shown(what)} is damaged: ${shown(reason)}`, { hint })
  const wrong = (path: string, expected: string) => refuse(`${path || 'it'} is not ${expected}`)

  function fields(value: unknown, path: string): Fields {
    if (absent(value)) return {}
    if (typeof value !== 'object' || Array.isArray(value)) throw wrong(path, 'an object')
    return value as Fields
  }

  function list(value: unknown, path: string, limit: number): readonly unknown[] {
    if (absent(value)) return []
    if (!Array.isArray(value)) throw wrong(path, 'a list')
    if (value.length > limit) throw refuse(`${path} has ${value.length} entries, more than ${limit}`)
    return value
  }

  /** No text of an image may hold a zero byte: neither a path nor a variable can. */
  function text(value: unknown, path: string): string {
    if (absent(value)) return ''
    if (typeof value !== 'string' || value.includes('\0')) throw wrong(path, 'a text')
    return value
  }

  return {
    refuse,
    fields,
    list,
    text,
    texts: (value, path, limit) =>
      list(value, path, limit).map((entry, index) => text(entry, `${path}[${index}]`)),
    map: (value, path) =>
      Object.fromEntries(
        Object.entries(fields(value, path)).map(([key, entry]) => [key, text(entry, `${path}.${key}`)]),
      ),
  }
}

/** The object that a document holds. */
export function parseFields(bytes: Buffer, reader: Reader): Fields {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw reader.refuse('it is not JSON')
  }
  if (absent(value)) throw reader.refuse('it is empty')
  return reader.fields(value, '')
}
