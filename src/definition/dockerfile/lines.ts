/** Cuts a Dockerfile into instructions: directives at its top, continued lines joined, comments gone, texts (`<<EOF`) taken along. */

import { excerpt } from '../lines.ts'
import { largestDefinition } from '../types.ts'
import { type Escape, type Heredoc, wrong } from './types.ts'
import { splitWords } from './words.ts'

export type Line = {
  /** On one line, without blanks around it. */
  readonly text: string
  readonly line: number
  readonly heredocs: readonly Heredoc[]
}

export type Directives = {
  readonly escaper: Escape
  /** Who is to read the file: an image, which nobody asks. */
  readonly syntax: string | undefined
}

export type Lines = Directives & { readonly lines: readonly Line[] }

/** Instructions below which texts may stand. */
const withTexts = /^(?:onbuild\s+)?(?:run|copy|add)\s/i

const isComment = (line: string): boolean => /^\s*#/.test(line)

/**
 * The instructions of a Dockerfile, each with its line.
 * @throws SingError DEFINITION for a wrong directive, and for a text without an end
 */
export function readLines(text: string, name: string): Lines {
  if (text.length > largestDefinition) throw wrong({ name, line: 0 }, 'it is larger than 16 MiB')
  const nul = text.indexOf('\0')
  if (nul >= 0) throw wrong({ name, line: text.slice(0, nul).split('\n').length }, 'there is a NUL byte')
  const all = text
    .replace(/^\ufeff/, '')
    .replaceAll('\r\n', '\n')
    .split('\n')
  const { escaper, syntax } = readDirectives(all, name)
  const lines: Line[] = []
  for (let at = 0; at < all.length; ) {
    const joined = joinLine(all, at, escaper)
    if (joined.text === '') {
      at = joined.next
      continue
    }
    const found = takesTexts(joined.text) ? findHeredocs(joined.text, escaper) : []
    const { heredocs, next } = readHeredocs(found, all, joined.next, { name, line: joined.line })
    lines.push({ text: joined.text, line: joined.line, heredocs })
    at = next
  }
  return { escaper, syntax, lines }
}

/** Lines such as `# escape=...` count only above everything else. */
function readDirectives(lines: readonly string[], name: string): Directives {
  const found = new Map<string, { value: string; line: number }>()
  for (const [index, text] of lines.entries()) {
    const [, key = '', value = ''] = /^\s*#\s*([a-zA-Z][\w-]*)\s*=\s*(.*?)\s*$/.exec(text) ?? []
    const directive = key.toLowerCase()
    if (!['syntax', 'escape', 'check'].includes(directive)) {
      // A line for the kernel, as in scripts, may stand above.
      if (index === 0 && text.startsWith('#!')) continue
      break
    }
    const line = index + 1
    if (found.has(directive)) throw wrong({ name, line }, `the directive ${directive} is given twice`)
    found.set(directive, { value, line })
  }
  const { value: escaper = '\\', line = 0 } = found.get('escape') ?? {}
  if (escaper !== '\\' && escaper !== '`')
    throw wrong({ name, line }, `# escape=${excerpt(escaper)}: expected \\ or \``)
  return { escaper, syntax: found.get('syntax')?.value }
}

/** What continues on the next line ends with the sign for it, but not with two of them. */
function continued(line: string, escaper: Escape): string | undefined {
  const pattern = escaper === '\\' ? /^(|.*[^\\])\\[ \t]*$/s : /^(|.*[^`])`[ \t]*$/s
  return pattern.exec(line)?.[1]
}

/** The instruction that begins at a line: '' for a comment or nothing. Blank lines and comments in it are passed over. */
function joinLine(
  lines: readonly string[],
  start: number,
  escaper: Escape,
): { text: string; line: number; next: number } {
  const first = lines[start] ?? ''
  if (isComment(first) || first.trim() === '') return { text: '', line: start + 1, next: start + 1 }
  const parts: string[] = []
  let at = start
  for (; at < lines.length; at += 1) {
    const line = lines[at] ?? ''
    if (at > start && (isComment(line) || line.trim() === '')) continue
    const more = continued(line, escaper)
    parts.push(more ?? line)
    if (more === undefined) break
  }
  return { text: parts.join('').trim(), line: start + 1, next: at + 1 }
}

/** A list of words in the notation of JSON holds no text. */
function takesTexts(line: string): boolean {
  return line.includes('<<') && withTexts.test(line) && !/^(?:onbuild\s+)?\w+\s+\[/i.test(line)
}

type Announced = Omit<Heredoc, 'text' | 'line'>

/** What `<<NAME`, `<<-NAME` or `<<"NAME"` announces; undefined for any other word. */
export function announced(word: string): Announced | undefined {
  const [, dash = '', quoted = ''] = /^\d*<<(-?)([^<\s]+)$/.exec(word) ?? []
  const name = quoted.replace(/["'\\]/g, '')
  if (name === '') return undefined
  return { name, expands: name === quoted, strips: dash !== '' }
}

function findHeredocs(line: string, escaper: Escape): Announced[] {
  return splitWords(line, escaper).flatMap((word) => announced(word) ?? [])
}

function readHeredocs(
  found: readonly Announced[],
  lines: readonly string[],
  start: number,
  place: { name: string; line: number },
): { heredocs: Heredoc[]; next: number } {
  let at = start
  const heredocs = found.map((one): Heredoc => {
    const isEnd = (line: string) => (one.strips ? line.replace(/^\t+/, '') : line) === one.name
    const end = lines.findIndex((line, index) => index >= at && isEnd(line))
    if (end < 0)
      throw wrong(
        place,
        `the text <<${excerpt(one.name)} has no end`,
        `end it by a line ${excerpt(one.name)}`,
      )
    const text = lines
      .slice(at, end)
      .map((line) => `${line}\n`)
      .join('')
    const line = at + 1
    at = end + 1
    return { ...one, text, line }
  })
  return { heredocs, next: at }
}

/** The text that is meant: of `<<-` without tabs at the beginning of lines. */
export function heredocText({ text, strips }: Heredoc): string {
  return strips ? text.replace(/^\t+/gm, '') : text
}
