/** Variables in the words of a Dockerfile: `$x`, `${x}`, `${x:-y}` and the rest, with the quotes of a shell. */

import { findEnds, patternOf } from './glob.ts'
import { type Place, wrong } from './types.ts'

export type Lookup = (name: string) => string | undefined

/** Signs of what a word may become: doubling a variable again and again ends here. */
const longest = 1024 * 1024
/** Signs of a value that patterns are tried on. */
const longestMatched = 4096

/**
 * The word with its variables put in. Quotes are taken away, and in `text` (a file that stands in the Dockerfile) they stay.
 * @throws SingError DEFINITION for what is not ended, for a modifier that does not exist, and for `${x:?}` without x
 */
export function expandWord(
  word: string,
  lookup: Lookup,
  place: Place,
  kind: 'word' | 'text' = 'word',
): string {
  const reader = new Reader(word, lookup, place, kind)
  return reader.read()
}

class Reader {
  readonly #signs: string
  readonly #lookup: Lookup
  readonly #place: Place
  readonly #kind: 'word' | 'text'
  #at = 0
  #length = 0

  constructor(signs: string, lookup: Lookup, place: Place, kind: 'word' | 'text') {
    this.#signs = signs
    this.#lookup = lookup
    this.#place = place
    this.#kind = kind
  }

  #refuse(text: string, hint?: string): Error {
    return wrong(this.#place, text, hint)
  }

  /** Up to a sign outside of quotes, which is taken too; without one to the end. */
  read(end?: string): string {
    const parts: string[] = []
    while (this.#at < this.#signs.length) {
      if (this.#signs[this.#at] === end) {
        this.#at += 1
        return parts.join('')
      }
      parts.push(this.#bounded(this.#next()))
    }
    if (end !== undefined) throw this.#refuse(`\${ without ${end}`)
    return parts.join('')
  }

  #bounded(part: string): string {
    this.#length += part.length
    if (this.#length > longest) throw this.#refuse('a value becomes longer than 1 MiB')
    return part
  }

  #next(): string {
    const sign = this.#signs[this.#at] as string
    const { escaper } = this.#place
    if (sign === '$') return this.#variable()
    if (this.#kind === 'word' && sign === "'") return this.#single()
    if (this.#kind === 'word' && sign === '"') return this.#double()
    this.#at += 1
    if (sign !== escaper) return sign
    const next = this.#signs[this.#at]
    if (next !== undefined) this.#at += 1
    return next ?? (this.#kind === 'text' ? sign : '')
  }

  #single(): string {
    const end = this.#signs.indexOf("'", this.#at + 1)
    if (end < 0) throw this.#refuse("a quote ' has no end")
    const text = this.#signs.slice(this.#at + 1, end)
    this.#at = end + 1
    return text
  }

  #double(): string {
    this.#at += 1
    const parts: string[] = []
    for (;;) {
      const sign = this.#signs[this.#at]
      if (sign === undefined) throw this.#refuse('a quote " has no end')
      if (sign === '"') break
      parts.push(sign === '$' ? this.#variable() : this.#quotedSign(sign))
    }
    this.#at += 1
    return parts.join('')
  }

  /** Between double quotes only quotes, dollars and the escape itself can be escaped. */
  #quotedSign(sign: string): string {
    const next = this.#signs[this.#at + 1] ?? ''
    const { escaper } = this.#place
    if (sign === escaper && (next === '"' || next === '$' || next === escaper)) {
      this.#at += 2
      return next
    }
    this.#at += 1
    return sign
  }

  #variable(): string {
    this.#at += 1
    if (this.#signs[this.#at] === '{') return this.#braced()
    const name = this.#name()
    return name === '' ? '$' : (this.#lookup(name) ?? '')
  }

  /** A name, or one of the signs that stand for parameters of a shell, which a Dockerfile has none of. */
  #name(): string {
    const [name = ''] =
      /^(?:[A-Za-z_]\w*|[0-9@*#?!$-])/.exec(this.#signs.slice(this.#at, this.#at + 256)) ?? []
    this.#at += name.length
    return name
  }

  #braced(): string {
    this.#at += 1
    const name = this.#name()
    if (name === '') throw this.#refuse('${ without the name of a variable')
    const value = this.#lookup(name)
    const [operator = ''] =
      /^(?:\}|:[-+?]|[-+?]|##?|%%?|\/\/?)/.exec(this.#signs.slice(this.#at, this.#at + 2)) ?? []
    if (operator === '') {
      const rest = this.#signs.slice(this.#at, this.#at + 2)
      throw this.#refuse(
        `\${${name}${rest}: there is no such modifier`,
        'known: :- :+ :? - + ? # ## % %% / //',
      )
    }
    this.#at += operator.length
    return operator === '}' ? (value ?? '') : this.#modified(name, value, operator)
  }

  #modified(name: string, value: string | undefined, operator: string): string {
    const isPattern = /[#%/]/.test(operator)
    if (isPattern && (value ?? '').length > longestMatched)
      throw this.#refuse(`the value of ${name} is too long for a pattern`)
    const word = operator.startsWith('/') ? this.read('/') : this.read('}')
    if (operator.startsWith('/')) return replaced(value ?? '', word, this.read('}'), operator === '//')
    if (isPattern) return trimmed(value ?? '', word, operator)
    const isSet = operator.startsWith(':') ? (value ?? '') !== '' : value !== undefined
    switch (operator.at(-1)) {
      case '-':
        return isSet ? (value ?? '') : word
      case '+':
        return isSet ? word : ''
    }
    if (!isSet) throw this.#refuse(`${name}: ${word || 'is not set'}`)
    return value ?? ''
  }
}

/** Without what a pattern matches at the beginning (`#`) or the end (`%`): as little, or (twice the sign) as much as can be. */
function trimmed(value: string, pattern: string, operator: string): string {
  const isLong = operator.length === 2
  if (operator.startsWith('#')) {
    const ends = findEnds(patternOf(pattern, 'value'), value, 0)
    return ends.length === 0 ? value : value.slice(isLong ? Math.max(...ends) : Math.min(...ends))
  }
  const steps = patternOf(pattern, 'value')
  const starts = isLong ? Array.from(value, (_, at) => at) : Array.from(value, (_, at) => value.length - at)
  const start = starts.find((at) => findEnds(steps, value, at).includes(value.length))
  return start === undefined ? value : value.slice(0, start)
}

function replaced(value: string, pattern: string, by: string, all: boolean): string {
  const steps = patternOf(pattern, 'value')
  let text = ''
  for (let at = 0; at < value.length; ) {
    const end = Math.max(-1, ...findEnds(steps, value, at))
    if (end <= at) {
      text += value[at]
      at += 1
      continue
    }
    text += by
    at = end
    if (!all) return text + value.slice(at)
  }
  return text
}
