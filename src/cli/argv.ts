/**
 * Cuts a command line into what is ours and what belongs to the container, before anything else looks at it
 * (pure). Words of ours come out in pairs, `--name` and value, with the names and values that the table of
 * flags knows.
 */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import { parseSize } from '../core/units.ts'
import type { Flag } from './options.ts'

export type GlobalCut = {
  readonly globals: readonly string[]
  readonly help: boolean
  readonly version: boolean
  /** The command and everything behind it. */
  readonly rest: readonly string[]
}

export type CommandCut = {
  readonly ours: readonly string[]
  readonly help: boolean
  /** Positional arguments; for an action the image and what belongs to the container. */
  readonly args: readonly string[]
}

const helpFlag: Flag = { name: 'help', short: 'h', kind: 'boolean', help: 'show this help' }
const versionFlag: Flag = { name: 'version', kind: 'boolean', help: 'show the version' }

const trueWords = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
const falseWords = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False'])

/** A boolean in the spellings that the peers accept; undefined for any other word. */
export function parseBoolean(word: string): boolean | undefined {
  if (trueWords.has(word)) return true
  return falseWords.has(word) ? false : undefined
}

/** The value of a boolean flag: true, false, or what else it may have, as it is; undefined for any other word. */
export function parseToggle({ optionalValue }: Flag, word: string): boolean | string | undefined {
  const truth = parseBoolean(word)
  if (truth !== undefined || optionalValue === undefined) return truth
  return (optionalValue === 'size' ? parseSize(word) : optionalValue.includes(word)) ? word : undefined
}

/** What the value of a boolean flag can be, for messages. */
export function toggleWords({ optionalValue }: Flag): string {
  if (optionalValue === undefined) return 'true or false'
  return optionalValue === 'size'
    ? 'true, false or a size such as 512M'
    : `true, false or one of ${optionalValue.join(', ')}`
}

/** An integer in decimal digits; undefined for any other word. */
export function parseInteger(word: string): number | undefined {
  const value = Number(word)
  return /^[+-]?\d+$/.test(word) && Number.isSafeInteger(value) ? value : undefined
}

type Given = { readonly flag: Flag; readonly value: string }
type Step = {
  readonly given: readonly Given[] /** Index of the next word to look at. */
  readonly next: number
}

const usage = (sentence: string, hint?: string): SingError => new SingError('USAGE', sentence, { hint })

const unit = ({ placeholder = 'number' }: Flag): string =>
  placeholder === 'number' ? '' : ` (${placeholder})`

function checkedValue(flag: Flag, value: string, asGiven: string): string {
  if (flag.kind === 'boolean') {
    const truth = parseToggle(flag, value)
    if (truth === undefined) throw usage(`${asGiven} is ${toggleWords(flag)}, not "${shown(value)}"`)
    return String(truth)
  }
  if (flag.kind === 'number') {
    const number = parseInteger(value)
    if (number === undefined)
      throw usage(`${asGiven} needs a whole number${unit(flag)}, not "${shown(value)}"`)
    return String(number)
  }
  return value
}

function findLong(name: string, flags: readonly Flag[]): Flag | undefined {
  return flags.find((flag) => flag.name === name || flag.aliases?.includes(name))
}

/**
 * The value of a flag that takes one: what is attached to it, else the next word, whatever that looks like.
 */
function takeValue(
  flag: Flag,
  asGiven: string,
  attached: string | undefined,
  words: readonly string[],
  at: number,
): Step {
  const value = attached ?? words[at + 1]
  if (value === undefined)
    throw usage(`${asGiven} needs a value${flag.placeholder ? `: ${asGiven} <${flag.placeholder}>` : ''}`)
  return {
    given: [{ flag, value: checkedValue(flag, value, asGiven) }],
    next: attached === undefined ? at + 2 : at + 1,
  }
}

/** Flags that may stand here, and those that belong before the command. */
type Table = { readonly flags: readonly Flag[]; readonly globals: readonly Flag[] }

/** Flags of Docker and its kin that people type from habit, and what does the same here. */
const habits: Readonly<Record<string, string>> = {
  it: 'A terminal is handed on without any flag: sing exec IMAGE COMMAND, or sing shell IMAGE',
  rm: 'Nothing stays of a container: leave --rm out',
  v: 'Host paths are brought in by --bind SOURCE:DESTINATION',
  volume: 'Host paths are brought in by --bind SOURCE:DESTINATION',
  publish: 'Ports are mapped by --net --network-args portmap=8080:80/tcp',
  entrypoint: 'sing exec IMAGE COMMAND runs any command in place of the runscript',
  detach: 'sing instance start IMAGE NAME runs it in the background',
  name: 'sing instance start IMAGE NAME names a container',
  gpus: 'GPUs are brought in by --nv or --rocm',
}

const habit = (name: string): string | undefined => (Object.hasOwn(habits, name) ? habits[name] : undefined)

function unknownLong(name: string, { flags, globals }: Table): SingError {
  if (findLong(name, globals)) {
    return usage(
      `unknown flag: --${shown(name)}`,
      `--${name} is a global option: write it before the command`,
    )
  }
  const visible = flags.filter(({ hidden }) => !hidden)
  const near = suggest(
    name,
    visible.map((known) => known.name),
  )
  return usage(`unknown flag: --${shown(name)}`, habit(name) ?? (near && `Did you mean --${near}?`))
}

function readLong(words: readonly string[], at: number, table: Table): Step {
  const [, name = '', , attached] = /^--([^=]*)(=([\s\S]*))?$/.exec(words[at] ?? '') ?? []
  const flag = findLong(name, table.flags)
  if (!flag) throw unknownLong(name, table)
  if (flag.kind !== 'boolean') return takeValue(flag, `--${name}`, attached, words, at)
  return { given: [{ flag, value: checkedValue(flag, attached ?? 'true', `--${name}`) }], next: at + 1 }
}

/**
 * Letters behind one dash: booleans, of which the last may be a flag that takes the rest or the next word as
 * value.
 */
function readShort(words: readonly string[], at: number, { flags }: Table): Step {
  const word = words[at] ?? ''
  const given: Given[] = []
  for (let index = 1; index < word.length; index += 1) {
    const letter = word[index] ?? ''
    const flag = flags.find(({ short }) => short === letter)
    if (!flag) {
      const place = word.length > 2 ? ` in ${shown(word)}` : ''
      throw usage(`unknown flag: -${shown(letter)}${place}`, habit(word.slice(1)) ?? habit(letter))
    }
    const behind = word.slice(index + 1)
    const attached = behind.startsWith('=') ? behind.slice(1) : undefined
    if (flag.kind !== 'boolean') {
      const step = takeValue(flag, `-${letter}`, attached ?? (behind || undefined), words, at)
      return { given: [...given, ...step.given], next: step.next }
    }
    given.push({ flag, value: checkedValue(flag, attached ?? 'true', `-${letter}`) })
    if (attached !== undefined) break
  }
  return { given, next: at + 1 }
}

const isFlag = (word: string): boolean => word.length > 1 && word.startsWith('-')

type Cut = { readonly given: readonly Given[]; readonly args: readonly string[] }

/** `interspersed`: flags may also stand between and behind the arguments. The first `--` ends the flags. */
function cut(words: readonly string[], table: Table, interspersed: boolean): Cut {
  const given: Given[] = []
  const args: string[] = []
  let at = 0
  while (at < words.length) {
    const word = words[at] ?? ''
    if (word === '--') return { given, args: [...args, ...words.slice(at + 1)] }
    if (!isFlag(word)) {
      if (!interspersed) return { given, args: words.slice(at) }
      args.push(word)
      at += 1
      continue
    }
    const step = word.startsWith('--') ? readLong(words, at, table) : readShort(words, at, table)
    given.push(...step.given)
    at = step.next
  }
  return { given, args }
}

const isOn = (given: readonly Given[], asked: Flag): boolean =>
  given.findLast(({ flag }) => flag === asked)?.value === 'true'

const toWords = (given: readonly Given[], flags: readonly Flag[]): string[] =>
  given.filter(({ flag }) => flags.includes(flag)).flatMap(({ flag, value }) => [`--${flag.name}`, value])

/**
 * Cut off the flags before the command.
 * @throws SingError USAGE for a flag that there is not, or one without its value
 */
export function cutGlobals(argv: readonly string[], flags: readonly Flag[]): GlobalCut {
  const { given, args } = cut(argv, { flags: [...flags, helpFlag, versionFlag], globals: [] }, false)
  return {
    globals: toWords(given, flags),
    help: isOn(given, helpFlag),
    version: isOn(given, versionFlag),
    rest: args,
  }
}

/**
 * Cut what follows the command. In an action everything from the first argument (the image) on belongs to the
 * container; other commands take their flags anywhere. `globals` are known for the hint that they belong
 * elsewhere.
 * @throws SingError USAGE for a flag that there is not, or one without its value
 */
export function cutCommand(
  words: readonly string[],
  flags: readonly Flag[],
  globals: readonly Flag[],
  action: boolean,
): CommandCut {
  // Behind the command's own flags: it may use -h for something else.
  const { given, args } = cut(words, { flags: [...flags, helpFlag], globals }, !action)
  return { ours: toWords(given, flags), help: isOn(given, helpFlag), args }
}

/**
 * Check the number of positional arguments.
 * @throws SingError USAGE naming how many there may be
 */
export function checkCount(args: readonly string[], [least, most]: readonly [number, number]): void {
  if (args.length >= least && args.length <= most) return
  const endless = most === Number.POSITIVE_INFINITY
  const range = endless ? `at least ${least}` : least === most ? least || 'no' : `${least} to ${most}`
  const noun = least === 1 && (endless || most === 1) ? 'argument' : 'arguments'
  throw usage(`needs ${range} ${noun}, got ${args.length}`)
}
