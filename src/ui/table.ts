/** Rows of an answer as aligned columns. */

import { shown } from '../core/errors.ts'

const widthOf = (text: string): number => [...text].length

/**
 * Rows as lines: columns as wide as their longest entry, `gap` between them, no blanks at line ends. Control
 * characters of the entries are made visible.
 */
export function toColumns(rows: readonly (readonly string[])[], gap = '   '): string {
  const cells = rows.map((row) => row.map(shown))
  const widths: number[] = []
  for (const row of cells) {
    for (const [column, text] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, widthOf(text))
  }
  const pad = (text: string, column: number) => text + ' '.repeat((widths[column] ?? 0) - widthOf(text))
  return cells.map((row) => `${row.map(pad).join(gap).trimEnd()}\n`).join('')
}
