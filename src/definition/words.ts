/** Cutting a line of `%files` into words: quotes, backslashes and comments, with patterns left to `build/glob`. */

/** Signs that mean something in a pattern. */
const special = /[\\*?[\]{}$~,]/

/** The word as a pattern that stands for nothing but itself. */
export function escapePattern(text: string): string {
  return text.replace(/[\\*?[\]{}$~,]/g, '\\$&')
}

/** The path that a pattern without wildcards stands for: backslashes taken off. */
export function plainWord(pattern: string): string {
  return pattern.replace(/\\(.)/gsu, '$1')
}

/** How much of a word inside double quotes begins at `start` (behind the quote): its text and what is behind it. */
function doubleQuoted(line: string, start: number): { text: string; next: number } | undefined {
  let text = ''
  for (let index = start; index < line.length; index += 1) {
    const sign = line[index] as string
    if (sign === '"') return { text, next: index + 1 }
    const follower = line[index + 1]
    if (sign === '\\' && follower !== undefined) {
      text += special.test(follower) ? `\\${follower}` : follower
      index += 1
    } else text += sign === '~' ? '\\~' : sign
  }
  return undefined
}

/**
 * The words of a line as patterns. Double quotes keep blanks together, single quotes also take the meaning of wildcards,
 * a backslash does both for one sign. `#` at the beginning of a word begins a comment. Returns undefined for a quote
 * that does not end.
 */
export function splitWords(line: string): readonly string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  let index = 0
  while (index < line.length) {
    const sign = line[index] as string
    index += 1
    if (/\s/.test(sign)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (sign === '#' && word === undefined) break
    else if (sign === '"') {
      const quoted = doubleQuoted(line, index)
      if (!quoted) return undefined
      word = (word ?? '') + quoted.text
      index = quoted.next
    } else if (sign === "'") {
      const end = line.indexOf("'", index)
      if (end < 0) return undefined
      word = (word ?? '') + escapePattern(line.slice(index, end))
      index = end + 1
    } else if (sign === '\\' && index < line.length) {
      const follower = line[index] as string
      word = (word ?? '') + (special.test(follower) ? `\\${follower}` : follower)
      index += 1
    } else word = (word ?? '') + sign
  }
  if (word !== undefined) words.push(word)
  return words
}
