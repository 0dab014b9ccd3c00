/** `RUN --mount=type=cache,target=/root/.cache`: what is there only while a command runs. */

import { posix } from 'node:path'
import { excerpt } from '../lines.ts'
import { suggestion } from '../suggest.ts'
import { type Place, wrong } from './types.ts'

export type RunMount =
  /** Of a stage or an image, or without `from` of the context. What is written with `rw` is forgotten. */
  | {
      readonly kind: 'bind'
      readonly from: string | undefined
      readonly source: string
      readonly target: string
      readonly writable: boolean
    }
  | {
      readonly kind: 'cache'
      readonly id: string
      readonly target: string
      readonly readonly: boolean
      readonly sharing: Sharing
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly size: number }
  /** There is no way to give it: the command runs without it when it may. */
  | { readonly kind: 'secret' | 'ssh'; readonly id: string; readonly required: boolean }

export type Sharing = 'shared' | 'private' | 'locked'

const keysOf: Readonly<Record<string, readonly string[]>> = {
  bind: ['target', 'source', 'from', 'readwrite', 'readonly'],
  cache: ['target', 'id', 'readonly', 'readwrite', 'sharing', 'from', 'source', 'mode', 'uid', 'gid'],
  tmpfs: ['target', 'size'],
  secret: ['id', 'target', 'env', 'required', 'mode', 'uid', 'gid'],
  ssh: ['id', 'target', 'required', 'mode', 'uid', 'gid'],
}

const aliases: Readonly<Record<string, string>> = {
  dst: 'target',
  destination: 'target',
  src: 'source',
  rw: 'readwrite',
  ro: 'readonly',
}

/** Read the value of a `--mount`, its variables put in. @throws SingError DEFINITION */
export function readMount(text: string, directory: string, place: Place): RunMount {
  const words = new Map(fieldsOf(text).map((field) => readField(field, place)))
  const kind = words.get('type') ?? 'bind'
  words.delete('type')
  const keys = keysOf[kind]
  if (!keys) {
    const hint = suggestion(kind, Object.keys(keysOf)) ?? `known: ${Object.keys(keysOf).join(', ')}`
    throw wrong(place, `--mount=type=${excerpt(kind)}: there is no such type`, hint)
  }
  for (const key of words.keys()) {
    if (!keys.includes(key))
      throw wrong(place, `--mount=type=${kind} does not know ${excerpt(key)}`, suggestion(key, keys))
  }
  const reader = new MountReader(words, kind, directory, place)
  switch (kind) {
    case 'cache':
      return reader.cache()
    case 'tmpfs':
      return { kind, target: reader.target(), size: reader.size('size') }
    case 'secret':
    case 'ssh':
      return { kind, id: reader.word('id') ?? 'default', required: reader.flag('required') }
  }
  return {
    kind: 'bind',
    from: reader.word('from'),
    source: reader.word('source') ?? '.',
    target: reader.target(),
    writable: reader.flag('readwrite') || (words.has('readonly') && !reader.flag('readonly')),
  }
}

/** Fields are cut at commas; one with a comma in it stands between double quotes. */
function fieldsOf(text: string): string[] {
  const fields = text.match(/(?:"[^"]*"|[^",])+/g) ?? []
  return fields.map((field) => field.replace(/^"(.*)"$/s, '$1'))
}

function readField(field: string, place: Place): [string, string] {
  const [, name = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(field.trim()) ?? []
  const key = name.toLowerCase()
  if (key === '') throw wrong(place, `--mount: expected key=value, got ${excerpt(field)}`)
  return [aliases[key] ?? key, value]
}

class MountReader {
  readonly #words: ReadonlyMap<string, string>
  readonly #kind: string
  readonly #directory: string
  readonly #place: Place

  constructor(words: ReadonlyMap<string, string>, kind: string, directory: string, place: Place) {
    this.#words = words
    this.#kind = kind
    this.#directory = directory
    this.#place = place
  }

  #refuse(key: string, expected: string): Error {
    const value = excerpt(this.word(key) ?? '')
    return wrong(this.#place, `--mount=type=${this.#kind}: ${key}=${value}: expected ${expected}`)
  }

  word(key: string): string | undefined {
    return this.#words.get(key) || undefined
  }

  flag(key: string): boolean {
    const word = this.#words.get(key)
    if (word === undefined) return false
    if (!/^(|true|false|1|0)$/i.test(word)) throw this.#refuse(key, 'true or false')
    return !/^(false|0)$/i.test(word)
  }

  target(): string {
    const target = this.word('target')
    if (target === undefined) throw wrong(this.#place, `--mount=type=${this.#kind} needs a target`)
    return posix.resolve('/', this.#directory, target)
  }

  #number(key: string, otherwise: number, base: 8 | 10, most: number): number {
    const word = this.word(key)
    if (word === undefined) return otherwise
    const number = (base === 8 ? /^[0-7]{1,5}$/ : /^\d{1,10}$/).test(word) ? Number.parseInt(word, base) : -1
    if (number < 0 || number > most) throw this.#refuse(key, base === 8 ? 'a mode such as 0755' : 'a number')
    return number
  }

  /** Bytes; 0 for what the system gives. */
  size(key: string): number {
    const word = this.word(key)
    if (word === undefined) return 0
    const [, digits = '', unit = ''] = /^(\d{1,12})([kmg]?)b?$/i.exec(word) ?? []
    if (digits === '') throw this.#refuse(key, 'a size such as 64m')
    return Number(digits) * 1024 ** ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase())
  }

  cache(): RunMount {
    if (this.word('from') !== undefined || this.word('source') !== undefined)
      throw wrong(this.#place, '--mount=type=cache begins empty here: from and source are not supported')
    const target = this.target()
    const sharing = this.word('sharing') ?? 'shared'
    if (sharing !== 'shared' && sharing !== 'private' && sharing !== 'locked')
      throw this.#refuse('sharing', 'shared, private or locked')
    return {
      kind: 'cache',
      id: this.word('id') ?? target,
      target,
      readonly: this.flag('readonly'),
      sharing,
      mode: this.#number('mode', 0o755, 8, 0o7777),
      uid: this.#number('uid', 0, 10, 2 ** 32 - 2),
      gid: this.#number('gid', 0, 10, 2 ** 32 - 2),
    }
  }
}
