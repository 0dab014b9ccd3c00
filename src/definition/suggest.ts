/** The nearest known word for a mistyped one. */

import { distance } from '../core/suggest.ts'

/**
 * The known word that a person most probably meant, or undefined when none is near: at most one edit for words up to
 * four letters, else two.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined
  let best: string | undefined
  let least = word.length <= 4 ? 2 : 3
  for (const candidate of known) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase())
    if (edits < least) {
      least = edits
      best = candidate
    }
  }
  return best
}

/** `did you mean X?`, or undefined when no known word is near. */
export function suggestion(
  word: string,
  known: Iterable<string>,
  show = (name: string) => name,
): string | undefined {
  const name = nearest(word, known)
  return name === undefined ? undefined : `did you mean ${show(name)}?`
}
