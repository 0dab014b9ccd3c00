/** What a server says about how to log in (RFC 9110, 11.6.1; Bearer as the distribution project has it). */

export type Challenge = {
  /** In small letters. */
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
}

const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const blank = /[ \t]*/y
const quoted = /"((?:[^"\\]|\\.)*)"/y
const token68 = /[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/y

/** Servers do not say more than that. */
const longest = 16 * 1024

/** Takes words off a text from the left. */
class Cursor {
  readonly #text: string
  at = 0

  constructor(text: string) {
    this.#text = text
  }

  take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.#text)
    if (found) this.at = pattern.lastIndex
    return found
  }

  skip(character: string): boolean {
    this.take(blank)
    if (this.#text[this.at] !== character) return false
    this.at++
    this.take(blank)
    return true
  }
}

/** `name=value` or `name="value"`; undefined, with nothing taken, where something else stands. */
function parameter(cursor: Cursor): [string, string] | undefined {
  const start = cursor.at
  const name = cursor.take(token)?.[0]
  if (name !== undefined && cursor.skip('=')) {
    const value = cursor.take(quoted)?.[1]?.replace(/\\(.)/g, '$1') ?? cursor.take(token)?.[0]
    if (value !== undefined) return [name.toLowerCase(), value]
  }
  cursor.at = start
  return undefined
}

function challenge(cursor: Cursor): Challenge | undefined {
  const scheme = cursor.take(token)?.[0]?.toLowerCase()
  if (scheme === undefined) return undefined
  const parameters: Record<string, string> = {}
  cursor.take(blank)
  for (let found = parameter(cursor); found; found = parameter(cursor)) {
    parameters[found[0]] ??= found[1]
    const start = cursor.at
    if (!cursor.skip(',')) break
    // What follows may be the next challenge; then the comma is between the two.
    const next = cursor.at
    const belongs = parameter(cursor) !== undefined
    cursor.at = belongs ? next : start
    if (!belongs) break
  }
  cursor.take(token68)
  return { scheme, parameters }
}

/** All challenges of the WWW-Authenticate headers of an answer; what cannot be read ends its header. */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers.flatMap((header) => {
    const cursor = new Cursor(header.slice(0, longest))
    const found: Challenge[] = []
    cursor.take(blank)
    do {
      while (cursor.skip(',')) {}
      const next = challenge(cursor)
      if (!next) break
      found.push(next)
    } while (cursor.skip(','))
    return found
  })
}
