/** Scripts made of sections: who runs them, and what they look like as a file of the image. */

import type { Section } from './types.ts'

/** The words behind `-c`, or undefined when the section does not ask for another program. */
function chosenProgram(section: Section): readonly string[] | undefined {
  const [first, ...rest] = section.arguments
  return first === '-c' && rest.length > 0 ? rest : undefined
}

/**
 * The command line that runs a section's text, put behind it as a file: `/bin/sh -ex` and the section's arguments, or
 * what stands behind `-c`.
 */
export function sectionCommand(section: Section): readonly string[] {
  return chosenProgram(section) ?? ['/bin/sh', '-ex', ...section.arguments]
}

/**
 * The script file for a section (`%runscript`, `%test`, ...): the interpreter line, an empty line, the text. A text that
 * begins with `#!` brings its own interpreter; the section's arguments go behind it, `-c PROGRAM` replaces `/bin/sh`.
 */
export function imageScript(section: Section): string {
  const begin = section.text.search(/\S/)
  const body = begin < 0 ? '' : section.text.slice(begin)
  const end = body.startsWith('#!') ? body.indexOf('\n') : 0
  const own = body.startsWith('#!') ? body.slice(0, end < 0 ? body.length : end).trimEnd() : undefined
  const rest = own === undefined ? section.text : body.slice(end < 0 ? body.length : end + 1)
  const chosen = chosenProgram(section)
  const interpreter = chosen
    ? (own ?? `#!${chosen.join(' ')}`)
    : [own ?? '#!/bin/sh', ...section.arguments].join(' ')
  return `${interpreter}\n\n${withoutFinalLines(rest)}\n`
}

/** The line of the definition for each line of `imageScript`: see `Section`. */
export function imageScriptLines({ text, lines }: Section): number[] {
  const begin = text.search(/\S/)
  const hasOwn = begin >= 0 && text.startsWith('#!', begin)
  const above = text.slice(0, Math.max(0, begin)).split('\n').length - 1
  return hasOwn ? [lines[above] ?? 0, 0, ...lines.slice(above + 1)] : [0, 0, ...lines]
}

/** The text without line feeds at its end; a pattern would take quadratic time over long runs of them. */
function withoutFinalLines(text: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === '\n') end -= 1
  return text.slice(0, end)
}
