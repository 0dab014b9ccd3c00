/** Cuts a script into the parts whose results are kept: between lines that hold nothing but `# ---`. */

import type { Section } from './types.ts'

const isCut = (line: string): boolean => /^[ \t]*# ---[ \t]*$/.test(line)
/** Whether a line does something, as far as a shell is concerned. */
const isCode = (line: string): boolean => !/^\s*(#|$)/.test(line)

/** Whether a cut stands behind all that a script does. */
export function endsInCut({ text }: Section): boolean {
  const lines = text.split('\n')
  return lines.findLastIndex(isCut) > lines.findLastIndex(isCode)
}

/**
 * The parts of a script, each a script of its own with the same arguments and the line where it begins. What holds only
 * comments is no part. Always at least one.
 */
export function cutScript(section: Section): readonly Section[] {
  const lines = section.text.replace(/\n$/, '').split('\n')
  const cuts = lines.flatMap((line, index) => (isCut(line) ? [index] : []))
  const parts = [-1, ...cuts].map((cut, part) => ({
    line: section.lines[cut] ?? section.line,
    texts: lines.slice(cut + 1, cuts[part]),
    lines: section.lines.slice(cut + 1, cuts[part]),
  }))
  const real = parts.filter(({ texts }) => texts.some(isCode))
  if (real.length < 2) return [section]
  return real.map(({ texts, ...where }) => {
    return { text: texts.map((text) => `${text}\n`).join(''), arguments: section.arguments, ...where }
  })
}
