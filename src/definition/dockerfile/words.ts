/** Words of an instruction as they stand, quotes and all: what is inside of quotes is not cut. */

import { excerpt } from '../lines.ts'
import type { Escape } from './types.ts'

/** Cut at blanks that are neither quoted nor escaped. Quotes and escapes stay; a quote without an end goes to the end. */
export function splitWords(text: string, escaper: Escape): string[] {
  const words: string[] = []
  let word = ''
  let quote = ''
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] as string
    if (quote === '' && /\s/.test(sign)) {
      if (word !== '') words.push(word)
      word = ''
      continue
    }
    word += sign
    if (sign === escaper && at + 1 < text.length) {
      at += 1
      word += text[at]
    } else if (quote === '' && (sign === '"' || sign === "'")) quote = sign
    else if (sign === quote) quote = ''
  }
  if (word !== '') words.push(word)
  return words
}

/** Cut at every blank, as names of files are. */
export function plainWords(text: string): string[] {
  return text.split(/\s+/).filter(Boolean)
}

/** A list of texts in the notation of JSON; undefined for anything else, `wrong` when it is a list of other things. */
export function jsonWords(text: string): string[] | 'wrong' | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (!Array.isArray(value)) return undefined
    return value.every((word) => typeof word === 'string') ? value : 'wrong'
  } catch {
    return undefined
  }
}

/** An instruction in a few words. */
export const inShort = (title: string): string => excerpt(title.replace(/\s+/g, ' '))
