/** Patterns of Dockerfiles and .dockerignore. The work is the length of the pattern times that of the text, whatever they are. */

type Step =
  /** One sign that passes. */
  | { readonly kind: 'sign'; readonly has: (sign: string) => boolean }
  /** Any number of signs that pass. */
  | { readonly kind: 'many'; readonly has: (sign: string) => boolean }
  /** Nothing, or anything that ends with a slash. */
  | { readonly kind: 'directories' }

export type Pattern = readonly Step[]

const any = (): boolean => true
const notSlash = (sign: string): boolean => sign !== '/'

/**
 * What `*`, `?`, `[a-z]` and the backslash mean: in `path` (COPY) none of them is a slash; in `ignore` `**` is any number of
 * directories as well; in `value` (of a variable) everything matches all signs. Undefined for a pattern that is wrong.
 */
export function compilePattern(text: string, kind: 'path' | 'ignore' | 'value'): Pattern | undefined {
  const wild = kind === 'value' ? any : notSlash
  const steps: Step[] = []
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] as string
    if (sign === '*' && kind === 'ignore' && text[at + 1] === '*') {
      at += text[at + 2] === '/' ? 2 : 1
      steps.push(at + 1 >= text.length ? { kind: 'many', has: any } : { kind: 'directories' })
    } else if (sign === '*') steps.push({ kind: 'many', has: wild })
    else if (sign === '?') steps.push({ kind: 'sign', has: wild })
    else if (sign === '[') {
      const set = readSet(text, at + 1)
      if (!set) return undefined
      steps.push({ kind: 'sign', has: (other) => wild(other) && set.has(other) })
      at = set.end
    } else {
      if (sign === '\\') at += 1
      const plain = text[at]
      if (plain === undefined) return undefined
      steps.push({ kind: 'sign', has: (other) => other === plain })
    }
  }
  return steps
}

/** The pattern, or what stands for itself when it is wrong. */
export function patternOf(text: string, kind: 'path' | 'ignore' | 'value'): Pattern {
  return (
    compilePattern(text, kind) ??
    Array.from(text, (plain) => ({ kind: 'sign', has: (sign: string) => sign === plain }) as const)
  )
}

/** The set whose first sign is at `start`, as Go has them: `^` is its opposite. Undefined when it has no end. */
function readSet(text: string, start: number): { has: (sign: string) => boolean; end: number } | undefined {
  const isOpposite = text[start] === '^'
  const ranges: [string, string][] = []
  let at = isOpposite ? start + 1 : start
  const take = (): string | undefined => {
    if (text[at] === ']' || text[at] === '-') return undefined
    if (text[at] === '\\') at += 1
    at += 1
    return text[at - 1]
  }
  while (at < text.length) {
    if (text[at] === ']' && ranges.length > 0) {
      return {
        has: (sign) => ranges.some(([low, high]) => sign >= low && sign <= high) !== isOpposite,
        end: at,
      }
    }
    const low = take()
    let high = low
    if (text[at] === '-') {
      at += 1
      high = take()
    }
    if (low === undefined || high === undefined) return undefined
    ranges.push([low, high])
  }
  return undefined
}

/** Every place in the text where the pattern, begun at `start`, can end. */
export function findEnds(pattern: Pattern, text: string, start: number): number[] {
  let places = new Set([start])
  for (const step of pattern) {
    const next = new Set<number>()
    if (step.kind === 'sign') {
      for (const at of places) if (at < text.length && step.has(text[at] as string)) next.add(at + 1)
    } else {
      const from = Math.min(...places)
      let isOpen = false
      for (let at = from; at <= text.length && places.size > 0; at += 1) {
        if (places.has(at)) {
          isOpen = true
          next.add(at)
        }
        if (step.kind === 'directories' && isOpen && at > from && text[at - 1] === '/') next.add(at)
        if (step.kind === 'many') {
          if (isOpen) next.add(at)
          if (at < text.length && !step.has(text[at] as string)) isOpen = false
        }
      }
    }
    places = next
    if (places.size === 0) break
  }
  return [...places]
}

/** Whether the pattern stands for the whole text. */
export function matches(pattern: Pattern, text: string): boolean {
  return findEnds(pattern, text, 0).includes(text.length)
}

/** Whether a word means more than itself. */
export function isPattern(word: string): boolean {
  return /[*?[]/.test(word)
}
