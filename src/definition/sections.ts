/** What sections hold: their names, `%files`, and the apps that `%app...` sections describe. */

import { excerpt } from './lines.ts'
import type { SectionText } from './scan.ts'
import { type App, type FileCopy, type FilesBlock, mistake, type Section, stageSections } from './types.ts'
import { plainWord, splitWords } from './words.ts'

/** Section of an app by the word that follows `%app`. */
const appParts = {
  install: 'install',
  env: 'environment',
  labels: 'labels',
  run: 'run',
  start: 'start',
  test: 'test',
  help: 'help',
} as const

const appNames = new Set(['appfiles', ...Object.keys(appParts).map((part) => `app${part}`)])

/** Every section that a definition may have, without the percent sign. */
export const sectionNames: ReadonlySet<string> = new Set([
  ...stageSections,
  'files',
  'arguments',
  ...appNames,
])

/** Whether a section belongs to an app. */
export function isAppSection({ name }: Pick<SectionText, 'name'>): boolean {
  return appNames.has(name)
}

/**
 * A section that is given several times: the texts one after the other, the arguments of the
 * last that has any. A section without a text
 * says nothing: what the base has in its place stays.
 */
export function joinSections(parts: readonly SectionText[]): Section | undefined {
  const [first] = parts
  const text = parts.map((part) => part.text).join('')
  if (!first || text.trim() === '') return undefined
  return {
    text,
    arguments: parts.findLast(({ words }) => words.length > 0)?.words ?? [],
    line: first.line,
    lines: parts.flatMap((part) => part.lines),
  }
}

/** A `%files` with where its files come from. */
export function readFiles(section: SectionText, name: string): FilesBlock {
  const { words, line } = section
  const block = { copies: readCopies(section, name), line }
  if (words.length === 0) return block
  const [preposition, stage, ...rest] = words
  if (preposition !== 'from' || stage === undefined || rest.length > 0) {
    throw mistake(name, line, `expected %files or %files from STAGE, got %files ${excerpt(words.join(' '))}`)
  }
  return { from: stage, ...block }
}

/** The lines of a `%files` or `%appfiles`. */
function readCopies(section: SectionText, name: string): FileCopy[] {
  return section.text.split('\n').flatMap((text, index) => {
    // A section out of JSON has no lines to point at.
    const line = section.line > 0 ? section.line + 1 + index : 0
    const words = splitWords(text)
    if (!words) throw mistake(name, line, `a quote does not end: ${excerpt(text)}`)
    const [source, destination, ...rest] = words
    if (source === undefined) return []
    if (source === '') throw mistake(name, line, 'the source of the copy is empty')
    if (rest.length > 0) {
      const hint = 'a line for each source; put a name with blanks in quotes'
      throw mistake(name, line, `expected a source and a destination, got ${words.length} words`, hint)
    }
    return [{ source, destination: plainWord(destination ?? ''), line }]
  })
}

/** Whether a name can be a directory below /scif/apps and stand in double quotes in a shell script. */
export function isAppName(name: string): boolean {
  return /^[\p{L}\p{N}_][\p{L}\p{N}_.+@-]*$/u.test(name) && name.length <= 200
}

function appName({ name, words, line }: SectionText, file: string): string {
  const [app] = words
  if (app === undefined) throw mistake(file, line, `%${name} needs the name of an app`)
  if (isAppName(app)) return app
  throw mistake(
    file,
    line,
    `${excerpt(app)} cannot be the name of an app`,
    'a name is made of letters, digits and _ . + @ -, and begins with one of the first three',
  )
}

/** The apps of a stage in the order of their first appearance. */
export function readApps(sections: readonly SectionText[], file: string): App[] {
  const groups = new Map<string, SectionText[]>()
  for (const section of sections) {
    const name = appName(section, file)
    const group = groups.get(name) ?? []
    group.push({ ...section, words: section.words.slice(1) })
    groups.set(name, group)
  }
  return [...groups].map(([name, parts]) => ({
    name,
    files: parts.filter((part) => part.name === 'appfiles').flatMap((part) => readCopies(part, file)),
    ...Object.fromEntries(
      Object.entries(appParts).flatMap(([part, field]) => {
        const section = joinSections(parts.filter((one) => one.name === `app${part}`))
        return section ? [[field, section]] : []
      }),
    ),
  }))
}
