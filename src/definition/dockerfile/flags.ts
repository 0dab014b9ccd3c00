/** Flags of instructions: `--from=build`. Which there are, and what is no flag any more. */

import { excerpt } from '../lines.ts'
import { suggestion } from '../suggest.ts'
import { expandWord, type Lookup } from './expand.ts'
import { type Flag, type Place, wrong } from './types.ts'
import { splitWords } from './words.ts'

/** Flags that may come several times. */
const many: readonly string[] = ['mount', 'exclude', 'device']
/** Flags that are only there or not. */
const switches: readonly string[] = ['link', 'parents', 'keep-git-dir', 'unpack']

const known: Readonly<Record<string, readonly string[]>> = {
  FROM: ['platform'],
  RUN: ['mount', 'network', 'security', 'device'],
  COPY: ['from', 'chown', 'chmod', 'link', 'parents', 'exclude'],
  ADD: ['chown', 'chmod', 'link', 'checksum', 'keep-git-dir', 'unpack', 'exclude'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
}

/**
 * Take the flags off the beginning of what stands behind a keyword.
 * @throws SingError DEFINITION for one that the instruction does not have
 */
export function takeFlags(keyword: string, text: string, place: Place): { flags: Flag[]; rest: string } {
  const flags: Flag[] = []
  let rest = text
  while (rest.startsWith('--')) {
    const [word = ''] = splitWords(rest, place.escaper)
    rest = rest.slice(word.length).trimStart()
    if (word === '--') break
    flags.push(readFlag(keyword, word, flags, place))
  }
  return { flags, rest }
}

function readFlag(keyword: string, word: string, before: readonly Flag[], place: Place): Flag {
  const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? []
  const names = known[keyword] ?? []
  if (!names.includes(name)) {
    const hint = suggestion(name, names, (near) => `--${near}`)
    throw wrong(place, `${keyword} has no flag --${excerpt(name)}`, hint)
  }
  if (!many.includes(name) && before.some((flag) => flag.name === name))
    throw wrong(place, `${keyword} --${name} is given twice`)
  if (switches.includes(name)) {
    if (value !== undefined && !/^(true|false|1|0)$/i.test(value))
      throw wrong(place, `${keyword} --${name}=${excerpt(value)}: expected true or false`)
  } else if (!value) throw wrong(place, `${keyword} --${name} needs a value: --${name}=...`)
  return { name, value }
}

/** The value of a flag with its variables put in. */
export function flagValue(
  flags: readonly Flag[],
  name: string,
  lookup: Lookup,
  place: Place,
): string | undefined {
  const value = flags.find((flag) => flag.name === name)?.value
  return value === undefined ? undefined : expandWord(value, lookup, place)
}

/** The values of a flag that may come several times. */
export function flagValues(flags: readonly Flag[], name: string, lookup: Lookup, place: Place): string[] {
  return flags.flatMap((flag) => (flag.name === name ? expandWord(flag.value ?? '', lookup, place) : []))
}

export function hasFlag(flags: readonly Flag[], name: string): boolean {
  return flags.some((flag) => flag.name === name && !/^(false|0)$/i.test(flag.value ?? ''))
}
