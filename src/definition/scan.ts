/** Cuts the text of a definition into stages, header entries and sections, each with its line. Knows no meaning. */

import { excerpt, isIdle, sectionName, withoutComment } from './lines.ts'
import { expandStage, type Values } from './template.ts'
import { largestDefinition, mistake } from './types.ts'

export type HeaderEntry = { readonly key: string; readonly value: string; readonly line: number }

export type SectionText = {
  /** Without the percent sign, in lower case. */
  readonly name: string
  /** Words behind the name, comments cut. */
  readonly words: readonly string[]
  readonly text: string
  readonly line: number
  /** As in `Section`. */
  readonly lines: readonly number[]
}

export type StageText = {
  readonly header: readonly HeaderEntry[]
  readonly sections: readonly SectionText[]
  readonly line: number
}

/** The text without byte order mark and carriage returns; refuses what cannot be a definition. */
export function cleanText(text: string, name: string): string {
  if (text.length > largestDefinition) throw mistake(name, 0, 'the definition is larger than 16 MiB')
  const nul = text.indexOf('\0')
  if (nul >= 0) {
    const line = text.slice(0, nul).split('\n').length
    throw mistake(
      name,
      line,
      'there is a NUL byte, so this is no definition file',
      'is it an image or a program?',
    )
  }
  return text.replace(/^\ufeff/, '').replaceAll('\r\n', '\n')
}

/** Indices of the lines that begin a stage. The first `Bootstrap:` may be indented, as nothing can be meant but it. */
function stageStarts(lines: readonly string[], name: string): number[] {
  const starts = lines.flatMap((line, index) => (/^bootstrap\s*:/i.test(line) ? [index] : []))
  const first = lines.findIndex((line) => !isIdle(line))
  const line = lines[first]
  if (line === undefined)
    throw mistake(name, 0, 'the definition is empty', 'it begins with a line Bootstrap: AGENT')
  if (first === starts[0]) return starts
  if (/^\s*bootstrap\s*:/i.test(line)) return [first, ...starts]
  if (/^\s*[[{]/.test(line)) {
    throw mistake(name, first + 1, 'this is JSON, not a definition file', 'to build from JSON, add --json')
  }
  throw mistake(
    name,
    first + 1,
    `expected Bootstrap: AGENT before anything else, got ${excerpt(line)}`,
    'for example: Bootstrap: docker',
  )
}

/** Entries of a header; `offset` is the line number of its first line. */
function scanHeader(lines: readonly string[], offset: number, name: string): HeaderEntry[] {
  const entries: HeaderEntry[] = []
  for (let index = 0; index < lines.length; index += 1) {
    const start = index
    if (isIdle(lines[index] as string)) continue
    const parts = [withoutComment(lines[index] as string)]
    while (parts.at(-1)?.endsWith('\\')) {
      index += 1
      parts.push((parts.pop() as string).slice(0, -1), withoutComment(lines[index] ?? ''))
    }
    const text = parts.join('')
    const colon = text.indexOf(':')
    if (colon <= 0) {
      throw mistake(name, offset + start, `expected "Key: value" in the header, got ${excerpt(text)}`)
    }
    const key = text.slice(0, colon).trim().toLowerCase()
    entries.push({ key, value: text.slice(colon + 1).trim(), line: offset + start })
  }
  return entries
}

function scanStage(lines: readonly string[], offset: number, name: string): StageText {
  const starts = lines.flatMap((line, index) => (sectionName(line) === undefined ? [] : [index]))
  const sections = starts.map((start, index): SectionText => {
    const body = lines.slice(start + 1, starts[index + 1])
    const [title, ...words] = withoutComment(lines[start] as string).split(/\s+/)
    return {
      name: (title ?? '').slice(1).toLowerCase(),
      words,
      text: body.map((line) => `${line}\n`).join(''),
      line: offset + start,
      lines: body.flatMap((line, below) => line.split('\n').map(() => offset + start + 1 + below)),
    }
  })
  return { header: scanHeader(lines.slice(0, starts[0]), offset, name), sections, line: offset }
}

/**
 * Cut a definition into its stages, build arguments filled in.
 * @param text the file as read
 * @param name how messages call the file
 * @param values the build arguments; the names that are used are noted there
 * @returns the stages, and the whole text with the arguments filled in
 */
export function scanDefinition(
  text: string,
  name: string,
  values: Values,
): { stages: StageText[]; text: string } {
  const lines = cleanText(text, name).split('\n')
  // What follows the last line feed is no line.
  if (lines.at(-1) === '') lines.pop()
  const starts = stageStarts(lines, name)
  const stages = starts.map((start, index) => {
    const expanded = expandStage(lines.slice(start, starts[index + 1]), start + 1, name, values)
    return { lines: expanded, stage: scanStage(expanded, start + 1, name) }
  })
  const all = [...lines.slice(0, starts[0]), ...stages.flatMap((stage) => stage.lines)]
  return { stages: stages.map(({ stage }) => stage), text: `${all.join('\n')}\n` }
}
