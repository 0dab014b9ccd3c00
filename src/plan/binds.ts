/** The words of --bind and --mount as values: `src[:dst[:options]]` lists and `type=bind,...` fields. */

import { posix } from 'node:path'
import { SingError } from '../core/errors.ts'
import type { Window } from '../image/open.ts'

export type Bind = {
  readonly source: string
  readonly destination: string
  readonly readonly: boolean
  /** A directory inside an image file is the source, not the file itself. */
  readonly imageSource?: string
  /** Object of a SIF that is the source. */
  readonly objectId?: number
  /** The file system in the image file, once it was looked up. */
  readonly window?: Window
  /** Left out where the host does not have the source. */
  readonly optional: boolean
  /** Handed on to containers started inside. */
  readonly nested: boolean
  /** The words as the user wrote them, for messages. */
  readonly text: string
}

type Option = { name: string; value: string | undefined }

const knownOption = /^(ro|rw|optional|nonested|image-src=.*|id=.*)$/

function bindError(text: string, reason: string, hint?: string): SingError {
  return new SingError('BIND', `--bind ${text}: ${reason}`, { hint })
}

/** Split at unescaped separators; the escapes stay, for the next level. */
function splitRaw(text: string, separator: string): string[] {
  const parts = ['']
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index)
    if (character === '\\' && index + 1 < text.length) {
      parts[parts.length - 1] += character + text.charAt(index + 1)
      index += 1
    } else if (character === separator) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts
}

const withoutEscapes = (text: string): string => text.replace(/\\([,:\\])/g, '$1')

/** A comma list of bind specs; a comma also separates the options of one spec. */
function splitSpecs(list: string): string[] {
  const specs: string[] = []
  for (const piece of splitRaw(list, ',')) {
    const previous = specs.at(-1)
    const continues =
      previous !== undefined && splitRaw(previous, ':').length === 3 && knownOption.test(piece)
    if (continues) specs[specs.length - 1] = `${previous},${piece}`
    else if (piece !== '') specs.push(piece)
  }
  return specs
}

function parseOption(text: string, word: string): Option {
  if (!knownOption.test(word))
    throw bindError(
      text,
      `unknown option "${word}"`,
      'Options are ro, rw, optional, nonested, image-src=PATH and id=NUMBER',
    )
  const [name = '', ...value] = word.split('=')
  return { name, value: value.length > 0 ? withoutEscapes(value.join('=')) : undefined }
}

function objectId(text: string, value: string | undefined): number {
  const id = Number(value)
  if (!Number.isInteger(id) || id < 1)
    throw bindError(text, `id must be the number of an object, not "${value}"`)
  return id
}

function imageFields(text: string, options: readonly Option[]): Pick<Bind, 'imageSource' | 'objectId'> {
  const source = options.find(({ name }) => name === 'image-src')?.value
  const id = options.find(({ name }) => name === 'id')?.value
  return {
    ...(source === undefined ? {} : { imageSource: source }),
    ...(id === undefined ? {} : { objectId: objectId(text, id) }),
  }
}

/** Also `//` and `/x/..`. */
export const isRoot = (path: string): boolean => posix.normalize(path) === '/'

function checkPlaces(text: string, source: string, destination: string): void {
  if (!source) throw bindError(text, 'the source is empty')
  if (!destination.startsWith('/')) {
    throw bindError(
      text,
      `the destination "${destination}" is not absolute`,
      'Write it with a leading slash: --bind SOURCE:/DESTINATION',
    )
  }
  if (isRoot(destination)) throw bindError(text, 'the root of the container cannot be replaced')
}

function parseSpec(text: string): Bind {
  const [source = '', destination = '', options = '', ...more] = splitRaw(text, ':')
  if (more.length > 0) throw bindError(text, 'too many colons', 'Write a colon that belongs to a path as \\:')
  const parsed = options === '' ? [] : splitRaw(options, ',').map((word) => parseOption(text, word))
  const has = (name: string) => parsed.some((option) => option.name === name)
  const from = withoutEscapes(source)
  const at = withoutEscapes(destination) || from
  checkPlaces(text, from, at)
  return {
    source: from,
    destination: at,
    readonly: parsed.findLast(({ name }) => name === 'ro' || name === 'rw')?.name === 'ro',
    optional: has('optional'),
    nested: !has('nonested'),
    text,
    ...imageFields(text, parsed),
  }
}

/**
 * Parse the value of one --bind: `src[:dst[:opts]],...`. Commas and colons in paths are written `\,` and `\:`.
 * @throws SingError BIND
 */
export function parseBinds(list: string): Bind[] {
  return splitSpecs(list).map(parseSpec)
}

/** Parse a word of --data: `image:destination`, the files of a data container. @throws SingError BIND */
export function parseData(text: string): Bind {
  const [source = '', destination = '', ...more] = splitRaw(text, ':').map(withoutEscapes)
  if (!source || !destination.startsWith('/') || isRoot(destination) || more.length > 0)
    throw new SingError('BIND', `--data ${text}: expected IMAGE:/DESTINATION`)
  return { source, destination, readonly: true, optional: false, nested: true, text, imageSource: '/' }
}

/** Fields of a CSV record as in RFC 4180: quoted fields may hold commas and doubled quotes. */
function csvFields(text: string): string[] {
  const fields: string[] = []
  let rest = text
  for (;;) {
    const match = /^(?:"((?:[^"]|"")*)"|([^,"]*))(,|$)/.exec(rest)
    if (!match) throw new SingError('BIND', `--mount ${text}: a quote is not closed`)
    fields.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'))
    if (match[3] === '') return fields
    rest = rest.slice(match[0].length)
  }
}

const mountAliases: Record<string, string> = {
  src: 'source',
  dst: 'destination',
  target: 'destination',
  readonly: 'ro',
}
const mountFlags = new Set(['ro', 'rw', 'optional', 'nonested'])
const mountValues = new Set(['type', 'source', 'destination', 'image-src', 'id'])

function mountOptions(text: string): Map<string, string> {
  const options = new Map<string, string>()
  for (const field of csvFields(text)) {
    const [word = '', ...value] = field.split('=')
    const name = mountAliases[word] ?? word
    const good = mountFlags.has(name) ? value.length === 0 : mountValues.has(name) && value.length > 0
    if (!good) {
      throw new SingError('BIND', `--mount ${text}: unknown option "${field}"`, {
        hint: 'Options are type=bind, source=, destination=, ro, rw, optional, nonested, image-src= and id=',
      })
    }
    options.set(name, value.join('='))
  }
  return options
}

/** Parse the value of one --mount: `type=bind,source=PATH,destination=PATH[,ro][,...]`. @throws SingError BIND */
export function parseMount(text: string): Bind {
  const options = mountOptions(text)
  const need = (name: string): string => {
    const value = options.get(name)
    if (!value) throw new SingError('BIND', `--mount ${text}: ${name}= is missing`)
    return value
  }
  if (need('type') !== 'bind') {
    throw new SingError('BIND', `--mount ${text}: type "${options.get('type')}" is not supported`, {
      hint: 'Only type=bind is',
    })
  }
  const source = need('source')
  const destination = need('destination')
  if (!destination.startsWith('/'))
    throw new SingError('BIND', `--mount ${text}: the destination "${destination}" is not absolute`)
  if (isRoot(destination))
    throw new SingError('BIND', `--mount ${text}: the root of the container cannot be replaced`)
  const image = options.get('image-src')
  const id = options.get('id')
  return {
    source,
    destination,
    readonly: options.has('ro') && !options.has('rw'),
    optional: options.has('optional'),
    nested: !options.has('nonested'),
    text,
    ...(image === undefined ? {} : { imageSource: image }),
    ...(id === undefined ? {} : { objectId: objectId(text, id) }),
  }
}

const depth = (path: string): number => path.split('/').filter(Boolean).length

/** Parents first, otherwise as given; of two binds at the same place the later one is on top. */
export function sortBinds<T extends { readonly destination: string }>(binds: readonly T[]): T[] {
  return binds.toSorted((a, b) => depth(a.destination) - depth(b.destination))
}
