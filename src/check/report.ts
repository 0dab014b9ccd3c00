/** What the chosen checks find in an image, as one value for people and programs. Pure. */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import { allChecks } from './checks/index.ts'
import type { Facts } from './facts.ts'
import { type Sizes, sizesOf } from './sizes.ts'
import { type Check, type Finding, isAtLeast, type Severity, severities, type Tag, tags } from './types.ts'

/** A finding, and the check that has it. */
export type Told = Finding & Pick<Check, 'name' | 'tags'>

export type Examined = {
  readonly findings: readonly Told[]
  readonly sizes: Sizes | undefined
}

/** The tags of --tag; all of them without any. @throws SingError USAGE */
export function parseTags(words: readonly string[]): ReadonlySet<Tag> {
  if (words.length === 0 || words.includes('all')) return new Set(tags)
  for (const word of words) {
    if ((tags as readonly string[]).includes(word)) continue
    const near = suggest(word, [...tags, 'all'])
    throw new SingError('USAGE', `--tag: there are no checks "${shown(word)}"`, {
      hint: near ? `Did you mean ${near}?` : `Tags: ${tags.join(', ')}, all`,
      status: 255,
    })
  }
  return new Set(words as Tag[])
}

/** The value of --level, or of a flag like it. @throws SingError USAGE */
export function parseLevel(word: string | undefined, flag = '--level'): Severity | 'never' {
  const known = [...severities, 'never'] as const
  const level = known.find((name) => name === (word ?? 'error'))
  if (level) return level
  throw new SingError('USAGE', `${flag} ${shown(word ?? '')}: expected ${known.join(', ')}`, { status: 255 })
}

export const chosenChecks = (chosen: ReadonlySet<Tag>): Check[] =>
  allChecks.filter((check) => check.tags.some((tag) => chosen.has(tag)))

const bySeverity = (one: Finding, other: Finding): number =>
  severities.indexOf(other.severity) - severities.indexOf(one.severity)

/** Findings, the worst first. */
export function examine(facts: Facts, chosen: ReadonlySet<Tag>): Examined {
  const findings = chosenChecks(chosen).flatMap(({ name, tags: own, find }) =>
    find(facts).map((finding): Told => ({ ...finding, name, tags: own })),
  )
  return {
    findings: findings.toSorted(bySeverity),
    sizes: chosen.has('size') ? sizesOf(facts.items) : undefined,
  }
}

export const isFailed = (findings: readonly Finding[], level: Severity | 'never'): boolean =>
  level !== 'never' && findings.some(({ severity }) => isAtLeast(severity, level))

/** How many findings there are of each severity, the worst first: `1 error, 2 warnings, no notes`. */
export function countsOf(findings: readonly Finding[]): string {
  return severities
    .toReversed()
    .map((severity) => {
      const count = findings.filter((finding) => finding.severity === severity).length
      return `${count === 0 ? 'no' : count} ${severity}${count === 1 ? '' : 's'}`
    })
    .join(', ')
}
