/** Reads the words that are ours, and the environment twins of flags that were not given, into values. */

import { SingError, shown } from '../core/errors.ts'
import { parseInteger, parseToggle, toggleWords } from './argv.ts'
import type { Flags, Origins } from './command.ts'
import type { Flag } from './options.ts'

export type Parsed = {
  readonly flags: Flags
  /** Where each value comes from: one origin, or one for each entry of a list. */
  readonly origins: Origins
  /** Warnings about flags that are accepted without effect. */
  readonly notices: readonly string[]
}

type Value = string | boolean | number | readonly string[]
type Environment = Readonly<Record<string, string>>

/** Our own spelling first, then those of the peers; the newer one wins. */
const prefixes = ['SING_', 'APPTAINER_', 'SINGULARITY_'] as const
const isTwin = (variable: string): boolean => prefixes.some((prefix) => variable.startsWith(prefix))

const parserConfiguration = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  // The word behind a flag is its value whatever it looks like: --env -x=1, --home --.
  'nargs-eats-options': true,
} as const

/** What the parser is to take the words of a flag for. */
function wordType({ kind, optionalValue }: Flag): 'boolean' | 'number' | 'string' {
  return kind === 'list' || optionalValue ? 'string' : kind
}

/**
 * Values of words in pairs of `--name` and value. The parser is loaded only when there are some, and told
 * only of the flags that are there: it costs a millisecond, and as much again for the whole table. It gets
 * the value as a word of its own because it takes quotes off one that follows a `=`.
 */
async function readWords(words: readonly string[], flags: readonly Flag[]): Promise<Map<string, Value>> {
  if (words.length === 0) return new Map()
  const { default: parser } = await import('yargs-parser')
  const present = flags.filter(({ name }) => words.includes(`--${name}`))
  const named = (isWanted: (type: ReturnType<typeof wordType>) => boolean) =>
    present.filter((flag) => isWanted(wordType(flag))).map(({ name }) => name)
  const parsed: Record<string, unknown> = parser([...words], {
    boolean: named((type) => type === 'boolean'),
    number: named((type) => type === 'number'),
    string: named((type) => type === 'string'),
    narg: Object.fromEntries(named((type) => type !== 'boolean').map((name) => [name, 1])),
    configuration: parserConfiguration,
  })
  const known = present.filter(({ name }) => parsed[name] !== undefined)
  return new Map(known.map((flag) => [flag.name, toValue(flag, parsed[flag.name])]))
}

const trimmed = (text: string, separator: string | RegExp): string[] =>
  text
    .split(separator)
    .map((entry) => entry.trim())
    .filter(Boolean)

/** The last word of a flag counts; a list keeps all of them. */
function toValue(flag: Flag, given: unknown): Value {
  if (flag.kind !== 'list') {
    const last = (Array.isArray(given) ? given.at(-1) : given) as Value
    return flag.optionalValue ? (parseToggle(flag, String(last)) ?? last) : last
  }
  const entries = [given].flat().map(String).filter(Boolean)
  return flag.split === 'commas' ? entries.flatMap((entry) => trimmed(entry, ',')) : entries
}

type Twin = { readonly variable: string; readonly text: string }

/** Variables that are set for a flag, the strongest first. An empty or blank one counts as unset. */
function findTwins(flag: Flag, environment: Environment): Twin[] {
  const keys = flag.env ?? []
  const set = (variables: readonly string[]): Twin[] => {
    const variable = variables.find((name) => environment[name]?.trim())
    return variable === undefined ? [] : [{ variable, text: environment[variable] ?? '' }]
  }
  return keys.flatMap((key) =>
    set([...prefixes.map((prefix) => prefix + key), ...(flag.unprefixed ? [key] : [])]),
  )
}

function splitTwin(text: string, split: Flag['split']): string[] {
  if (split === 'never') return [text]
  return split === 'lines' ? trimmed(text, /\r?\n/) : trimmed(text, ',')
}

function twinValue(flag: Flag, { variable, text }: Twin): Value {
  const refuse = (expected: string) =>
    new SingError('ENVIRONMENT', `the variable ${variable} is "${shown(text)}": expected ${expected}`, {
      hint: `It stands for --${flag.name}; unset it or correct it`,
    })
  switch (flag.kind) {
    case 'boolean': {
      const truth = parseToggle(flag, text.trim())
      if (truth === undefined) throw refuse(toggleWords(flag))
      return truth
    }
    case 'number': {
      const number = parseInteger(text.trim())
      if (number === undefined) throw refuse('a whole number')
      return number
    }
    case 'string':
      return text
    case 'list':
      return splitTwin(text, flag.split)
  }
}

/** A value that a configuration file gives a flag, with the words that name its place. */
export type Default = { readonly value: Value; readonly origin: string }
export type Defaults = ReadonlyMap<string, readonly Default[]>

const none: Defaults = new Map()

/** A value with the names it came by, for messages. */
export type Found = { readonly value: Value | undefined; readonly origins: readonly string[] }

const entriesOf = (value: Value): readonly string[] => (Array.isArray(value) ? value : [String(value)])

/** Lists that add up: those of configuration files, then the command line, then the environment. */
function addUp(
  flag: Flag,
  given: Value | undefined,
  twins: readonly Twin[],
  defaults: readonly Default[],
): Found {
  const parts = [
    ...defaults,
    ...(given === undefined ? [] : [{ value: given, origin: `--${flag.name}` }]),
    ...(flag.append || given === undefined
      ? twins.map((twin) => ({ value: twinValue(flag, twin), origin: twin.variable }))
      : []),
  ]
  if (parts.length === 0) return { value: undefined, origins: [] }
  return {
    value: parts.flatMap(({ value }) => entriesOf(value)),
    origins: parts.flatMap(({ value, origin }) => entriesOf(value).map(() => origin)),
  }
}

/** Everything else: the strongest alone counts. */
function strongest(
  flag: Flag,
  given: Value | undefined,
  [twin]: readonly Twin[],
  defaults: readonly Default[],
): Found {
  const last = defaults.at(-1)
  const [value, origin] =
    given !== undefined
      ? [given, `--${flag.name}`]
      : twin
        ? [twinValue(flag, twin), twin.variable]
        : [last?.value, last?.origin ?? '']
  const count = Array.isArray(value) ? value.length : value === undefined ? 0 : 1
  return { value, origins: Array<string>(count).fill(origin) }
}

function resolve(
  flag: Flag,
  given: Value | undefined,
  environment: Environment,
  defaults: readonly Default[],
): Found {
  const combine = flag.append || flag.adds ? addUp : strongest
  return combine(flag, given, findTwins(flag, environment), defaults)
}

const isGiven = (value: Value | undefined): boolean =>
  value !== undefined && value !== false && value !== '' && !(Array.isArray(value) && value.length === 0)

/** Refuse what cannot be had; what has no effect is told. */
function judge(flag: Flag, { value, origins: [origin] }: Found): string | undefined {
  if (!isGiven(value)) return undefined
  if (flag.refused)
    throw new SingError('UNSUPPORTED', `${origin} cannot be used`, {
      hint: capital(flag.refused),
    })
  if (flag.later) throw new SingError('UNSUPPORTED', `${origin} is not available yet: ${flag.later}`)
  return flag.notice
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** Values of flags that no command line gives: of the environment and of `defaults`, nothing of them judged. */
export function standingFlags(
  flags: readonly Flag[],
  environment: Environment,
  defaults: Defaults,
): ReadonlyMap<string, Found> {
  const found = flags.map((flag): [string, Found] => [
    flag.name,
    resolve(flag, undefined, environment, defaults.get(flag.name) ?? []),
  ])
  return new Map(found.filter(([, { value }]) => value !== undefined))
}

/**
 * Values of the flags: words of the command line (as `argv` cut them), then the environment, then `defaults`.
 * @throws SingError for a variable that no value can be read from, and for flags that cannot be had
 */
export async function parseFlags(
  words: readonly string[],
  flags: readonly Flag[],
  environment: Environment,
  defaultsFor: (chosen: (flag: Flag) => Found) => Defaults = () => none,
): Promise<Parsed> {
  const given = await readWords(words, flags)
  const defaults = defaultsFor((flag) => resolve(flag, given.get(flag.name), environment, []))
  const found: Record<string, Value> = {}
  const origins: Record<string, readonly string[]> = {}
  const notices: string[] = []
  // Every start comes here with a hundred flags, and most without any variable for them.
  const hasTwins = Object.keys(environment).some(isTwin)
  for (const flag of flags) {
    const { name } = flag
    if (!hasTwins && !flag.unprefixed && !given.has(name) && !defaults.has(name)) continue
    const result = resolve(flag, given.get(name), environment, defaults.get(name) ?? [])
    const notice = judge(flag, result)
    if (notice) notices.push(notice)
    if (result.value === undefined) continue
    found[name] = result.value
    origins[name] = result.origins
  }
  return { flags: found, origins, notices }
}
