/** The nearest known word for a mistyped one. */

/** Single edits (insert, delete, replace, swap of neighbours) between two words; for short words only. */
export function distance(a: string, b: string): number {
  const row = (index: number): number[] =>
    Array.from({ length: b.length + 1 }, (_, j) => (index === 0 ? j : 0))
  let before: number[] = []
  let last = row(0)
  for (let i = 1; i <= a.length; i += 1) {
    const current = row(i)
    current[0] = i
    for (let j = 1; j <= b.length; j += 1) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1)
      }
      current[j] = least
    }
    before = last
    last = current
  }
  return last[b.length] ?? 0
}

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
