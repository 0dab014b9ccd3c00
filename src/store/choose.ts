/** Which entries of a cache somebody means, by type, age and name. */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import type { CacheEntry } from './contents.ts'
import { type EntryType, entryTypes } from './place.ts'

/** Words of the peers for types; what there is no such thing of here is empty. */
const synonyms: Readonly<Record<string, readonly EntryType[]>> = {
  all: entryTypes,
  oci: ['oci-tmp'],
  blobs: ['blob'],
  ipfs: [],
  'oci-sif': ['oci-tmp'],
}

const isType = (word: string): word is EntryType => (entryTypes as readonly string[]).includes(word)

function readType(word: string): readonly EntryType[] {
  if (isType(word)) return [word]
  const synonym = Object.hasOwn(synonyms, word) ? synonyms[word] : undefined
  if (synonym) return synonym
  const known = [...entryTypes, ...Object.keys(synonyms)]
  const near = suggest(word, known)
  throw new SingError('USAGE', `--type ${shown(word)}: there is no such type`, {
    hint: near ? `Did you mean ${near}?` : `Types: ${entryTypes.join(', ')}, all`,
  })
}

/** The types that the words name; all of them without any. @throws SingError USAGE for an unknown word */
export function readTypes(words: readonly string[]): EntryType[] {
  const named = new Set(words.flatMap((word) => readType(word.trim().toLowerCase())))
  return entryTypes.filter((type) => words.length === 0 || named.has(type))
}

export type Choice = {
  /** Days in which an entry was not used; undefined: however old. */
  readonly days: number | undefined
  /** Names or ids; none: all. */
  readonly names: readonly string[]
}

/** The entries that the choice means. @throws SingError USAGE for a name that none has */
export function chooseEntries(
  entries: readonly CacheEntry[],
  { days, names }: Choice,
  now: number,
): CacheEntry[] {
  const hasName = ({ id, name }: CacheEntry, word: string): boolean => word === id || word === name
  for (const word of names) {
    if (entries.some((entry) => hasName(entry, word))) continue
    throw new SingError('USAGE', `--name ${shown(word)}: there is no such entry`, {
      hint: 'See the names: sing cache list --verbose',
      status: 255,
    })
  }
  const latest = days === undefined ? Number.POSITIVE_INFINITY : now - days * 24 * 60 * 60 * 1000
  return entries.filter(
    (entry) => entry.used <= latest && (names.length === 0 || names.some((word) => hasName(entry, word))),
  )
}
