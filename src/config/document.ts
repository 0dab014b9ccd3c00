/** The tree of a YAML file against the table of directives and the table of flags (pure). */

import { posix } from 'node:path'
import type { Flag } from '../cli/options.ts'
import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import { directives, readTruth, type Scope, type Setting, type Type } from './schema.ts'

export type Entry = { readonly key: string; readonly line: number; readonly value: Node }

export type Node =
  /** `empty`: nothing, `~` or `null` without quotes. */
  | { readonly kind: 'word'; readonly line: number; readonly text: string; readonly empty: boolean }
  /** `flow`: within brackets. */
  | { readonly kind: 'list'; readonly line: number; readonly flow: boolean; readonly items: readonly Node[] }
  | {
      readonly kind: 'map'
      readonly line: number
      readonly flow: boolean
      readonly entries: readonly Entry[]
    }

export type FlagValue = string | boolean | number | readonly string[]

/** A value for a flag of every launch. */
export type FlagDefault = { readonly flag: string; readonly value: FlagValue; readonly line: number }

export type Profile = { readonly name: string; readonly line: number; readonly flags: readonly FlagDefault[] }

/** What a file says. */
export type Reading = {
  readonly settings: readonly Setting[]
  readonly launch: readonly FlagDefault[]
  readonly profiles: readonly Profile[]
  /** Profiles that are on unless the user names others. */
  readonly profile: { readonly names: readonly string[]; readonly line: number } | undefined
}

export const emptyReading: Reading = { settings: [], launch: [], profiles: [], profile: undefined }

/** The file that is read. */
export type Place = {
  readonly file: string
  /** Whose file it is, which decides what it may say. */
  readonly scope: Scope
  /** Where `~/` leads. */
  readonly home: string | undefined
  /** Flags that a launch may have. */
  readonly flags: readonly Flag[]
}

const ranks: Readonly<Record<Scope, number>> = { site: 0, user: 1, project: 2 }
const owners: Readonly<Record<Scope, string>> = {
  site: "the site's file alone",
  user: 'the file of the site or of the user, not by that of a project',
  project: 'any file',
}

/** Line 0 is that of a value which stands in no file yet. */
const refuse = ({ file }: Place, line: number, sentence: string, hint?: string): SingError =>
  new SingError('USAGE', `${shown(file)}${line > 0 ? `:${line}` : ''}: ${sentence}`, { status: 255, hint })

/** Where `./` and `~/` lead, and whether a path writes commas and colons with a backslash. */
export type Start = {
  readonly folder: string
  readonly home: string | undefined
  readonly escapes?: boolean | undefined
}

/** A value that begins with a path of the host: `./` and `../` begin at the folder, `~/` at home. */
export function resolveHostPath(text: string, { folder, home, escapes }: Start): string {
  const quote = (path: string) => (escapes ? path.replace(/[\\:,]/g, '\\$&') : path)
  return text.replace(
    /^(|.*\b(?:source|src)=)(~|\.\.?)(?=\/|:|,|$)/,
    (whole, before: string, start: string) => {
      if (start === '~') return home === undefined ? whole : before + quote(home)
      return before + quote(posix.join(folder, start))
    },
  )
}

const startOf = ({ file, home }: Place, escapes = false): Start => ({
  folder: posix.dirname(file),
  home,
  escapes,
})

const wordOf = (node: Node): string | undefined =>
  node.kind === 'word' && !node.empty ? node.text : undefined

/** The words of a list, or one word as a list of its own. */
function wordsOf(node: Node): string[] | undefined {
  if (node.kind === 'map') return undefined
  const words = (node.kind === 'list' ? node.items : [node]).map(wordOf)
  return words.every((word) => word !== undefined) ? words : undefined
}

function told(node: Node): string {
  if (node.kind === 'list') return 'a list'
  if (node.kind === 'map') return 'keys of its own'
  return node.empty ? 'nothing' : `"${shown(node.text)}"`
}

const mismatch = (place: Place, key: string, node: Node, expected: string): SingError =>
  refuse(place, node.line, `${shown(key)}: expected ${expected}, got ${told(node)}`)

function entriesOf(place: Place, key: string, node: Node): readonly Entry[] {
  if (node.kind === 'word' && node.empty) return []
  if (node.kind !== 'map') throw mismatch(place, key, node, 'keys with values below it')
  const seen = new Map<string, number>()
  for (const { key: name, line } of node.entries) {
    const before = seen.get(name)
    if (before !== undefined)
      throw refuse(place, line, `${shown(name)} stands here for the second time (first in line ${before})`)
    seen.set(name, line)
  }
  return node.entries
}

function unknownKey(place: Place, line: number, key: string, known: readonly string[]): SingError {
  const near = suggest(key, known)
  const last = (name: string) => name.slice(name.lastIndexOf('.') + 1)
  const found = near ?? known.find((name) => last(name) === key)
  return refuse(
    place,
    line,
    `unknown key ${shown(key)}`,
    found ? `Did you mean ${found}?` : `Known here: ${known.join(', ')}`,
  )
}

/** The part of a value that is wrong, where it has parts. */
function culpritIn(node: Node, { culprit }: Type<unknown>): Node {
  if (node.kind !== 'list') return node
  const found = culprit?.(wordsOf(node) ?? [])
  return node.items.find((item) => item.kind === 'word' && item.text === found) ?? node
}

function readSetting(place: Place, key: string, node: Node): Setting {
  const directive = directives.get(key)
  if (!directive) throw new SingError('INTERNAL', `no directive ${key}`)
  const { type, scope, hostPaths } = directive
  if (ranks[place.scope] > ranks[scope])
    throw refuse(place, node.line, `${key} may be set by ${owners[scope]}`)
  const words = type.list ? wordsOf(node) : [wordOf(node)].filter((word) => word !== undefined)
  const resolved = hostPaths ? words?.map((word) => resolveHostPath(word, startOf(place))) : words
  const value = resolved && type.read(resolved)
  if (value === undefined) throw mismatch(place, key, culpritIn(node, type), type.expected)
  return { key, value, line: node.line }
}

/** `NAME: value` below `env` is as good as `NAME=value`. */
function assignmentsOf(place: Place, key: string, node: Node): string[] {
  return entriesOf(place, key, node).map(({ key: name, value }) => {
    const word = value.kind === 'word' && value.empty ? '' : wordOf(value)
    if (word === undefined) throw mismatch(place, `${key}.${name}`, value, 'a word')
    return `${name}=${word}`
  })
}

function listOf(place: Place, key: string, flag: Flag, node: Node): string[] {
  if (flag.name === 'env' && node.kind === 'map') return assignmentsOf(place, key, node)
  const words = wordsOf(node)
  if (!words) throw mismatch(place, key, node, 'a word or a list of words')
  const start = startOf(place, flag.escapes)
  const paths = flag.hostPath ? words.map((word) => resolveHostPath(word, start)) : words
  return flag.split === 'commas' ? paths.flatMap((word) => word.split(',')).map((word) => word.trim()) : paths
}

function flagValue(place: Place, key: string, flag: Flag, node: Node): FlagValue {
  if (flag.kind === 'list') return listOf(place, key, flag, node)
  const word = wordOf(node)
  switch (flag.kind) {
    case 'boolean': {
      const truth = word === undefined ? undefined : readTruth(word)
      if (truth === undefined) throw mismatch(place, key, node, 'yes or no')
      return truth
    }
    case 'number': {
      const number = Number(word)
      if (word === undefined || !/^[+-]?\d+$/.test(word) || !Number.isSafeInteger(number))
        throw mismatch(place, key, node, 'a whole number')
      return number
    }
    case 'string':
      if (word === undefined) throw mismatch(place, key, node, flag.placeholder ?? 'a word')
      return flag.hostPath ? resolveHostPath(word, startOf(place)) : word
  }
}

function readFlags(place: Place, key: string, node: Node): FlagDefault[] {
  return entriesOf(place, key, node).map(({ key: name, line, value }) => {
    const flag = place.flags.find((row) => row.name === name || row.aliases?.includes(name))
    if (!flag || flag.once) throw unknownFlag(place, line, key, name)
    if (flag.personal && place.scope === 'project') {
      throw refuse(place, line, `${key}.${flag.name} may be set by ${owners.user}`, flagHint)
    }
    return { flag: flag.name, value: flagValue(place, `${key}.${flag.name}`, flag, value), line: value.line }
  })
}

const flagHint =
  'It could run a program of this machine, or show others what is yours: use your own file, or the flag'

function unknownFlag(place: Place, line: number, key: string, name: string): SingError {
  const flag = place.flags.find((row) => row.name === name)
  if (flag) return refuse(place, line, `${key}.${name} is for the command line only`)
  const known = place.flags.filter(({ hidden, once }) => !hidden && !once).map((row) => row.name)
  const near = suggest(name, known)
  return refuse(
    place,
    line,
    `${key}: there is no flag --${shown(name)}`,
    near ? `Did you mean ${near}?` : 'See: sing help exec',
  )
}

const profileName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

function readProfiles(place: Place, node: Node): Profile[] {
  return entriesOf(place, 'profiles', node).map(({ key: name, line, value }) => {
    if (!profileName.test(name)) {
      throw refuse(place, line, `profiles: "${shown(name)}" cannot be the name of a profile`, nameHint)
    }
    return { name, line, flags: readFlags(place, `profiles.${name}`, value) }
  })
}

const nameHint = 'Letters, digits, dots, hyphens and underscores, at most 64 of them'

function readProfileNames(place: Place, node: Node): Reading['profile'] {
  const names = wordsOf(node)?.flatMap((word) => word.split(','))
  if (!names) throw mismatch(place, 'profile', node, 'the name of a profile, or a list of names')
  return { names: names.map((name) => name.trim()).filter(Boolean), line: node.line }
}

/** Directives below a group such as `mount`, or one of their own. */
function readDirectives(place: Place, prefix: string, { key: name, line, value }: Entry): Setting[] {
  const key = prefix + name
  if (directives.has(key)) return [readSetting(place, key, value)]
  const below = [...directives.keys()].filter((known) => known.startsWith(`${key}.`))
  if (below.length === 0) throw unknownKey(place, line, key, knownKeys(prefix))
  return entriesOf(place, key, value).flatMap((entry) => readDirectives(place, `${key}.`, entry))
}

const blocks = ['launch', 'profiles', 'profile']

function knownKeys(prefix: string): string[] {
  const keys = [...directives.keys()].filter((key) => key.startsWith(prefix))
  return prefix === '' ? [...new Set([...keys.map((key) => key.split('.')[0] ?? key), ...blocks])] : keys
}

/**
 * What the tree of a file says.
 * @throws SingError naming file, line and what is allowed there
 */
export function readDocument(root: Node | undefined, place: Place): Reading {
  if (root === undefined) return emptyReading
  const entries = entriesOf(place, 'the file', root)
  const block = (name: string) => entries.find(({ key }) => key === name)?.value
  const [launch, profiles, profile] = blocks.map(block)
  return {
    settings: entries
      .filter(({ key }) => !blocks.includes(key))
      .flatMap((entry) => readDirectives(place, '', entry)),
    launch: launch ? readFlags(place, 'launch', launch) : [],
    profiles: profiles ? readProfiles(place, profiles) : [],
    profile: profile ? readProfileNames(place, profile) : undefined,
  }
}
