/** What somebody who mistyped a word may have meant. */

/**
 * How many characters must be put in, left out, changed or swapped with their neighbour to get from one word
 * to the other.
 */
export function distance(from: string, to: string): number {
  let before: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1]
      let steps = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      )
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (row > 1 && column > 1 && swapped) steps = Math.min(steps, (before[column - 2] ?? 0) + 1)
      current.push(steps)
    }
    before = previous
    previous = current
  }
  return previous[to.length] ?? 0
}

const longest = 40

/** The known word nearest to `word`: at most two slips away, or one that it is the beginning of. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  if (word.length > longest) return undefined
  const allowed = word.length < 4 ? 1 : 2
  const ranked = known
    .map((candidate) => ({ candidate, steps: distance(word, candidate) }))
    .sort((one, other) => one.steps - other.steps)
  const [nearest] = ranked
  if (nearest && nearest.steps <= allowed) return nearest.candidate
  return word.length >= 2 ? known.find((candidate) => candidate.startsWith(word)) : undefined
}
