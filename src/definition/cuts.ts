/** Cuts a script into the parts whose results are kept: between lines that hold nothing but `# ---`. */

import type { Section } from './types.ts'

const isCut = (line: string): boolean => /^[ \t]*# ---[ \t]*$/.test(line)
/** Whether a line does something, as far as a shell is concerned. */
const isCode = (line: string): boolean => !/^\s*(#|$)/.test(line)

/**
 * The parts of a script, each a script of its own with the same arguments and the line where it begins. What holds only
 * comments is no part. Always at least one.
 */
export function cutScript(section: Section): readonly Section[] {
  const parts: { line: number; lines: string[] }[] = [{ line: section.line, lines: [] }]
  for (const [index, line] of section.text.split('\n').entries()) {
    if (isCut(line)) parts.push({ line: section.line + index + 1, lines: [] })
    else parts.at(-1)?.lines.push(line)
  }
  const real = parts.filter(({ lines }) => lines.some(isCode))
  if (real.length < 2) return [section]
  return real.map(({ line, lines }) => {
    const text = lines.join('\n')
    return { text: text.endsWith('\n') ? text : `${text}\n`, arguments: section.arguments, line }
  })
}
