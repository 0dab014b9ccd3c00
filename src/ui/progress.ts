/** Work that takes its time: one line for each task on a terminal, redrawn in place. */

import { shown } from '../core/errors.ts'
import { formatSize } from '../core/units.ts'
import { errorSize, writeNotice } from './output.ts'

export type Task = {
  readonly label: string
  readonly total: number | undefined
  readonly bytes: boolean
  done: number
  readonly begun: number
  /** It was told where nothing can be drawn. */
  told: boolean
}

/** How far a task is, in words. */
export function progressText({ label, total, bytes, done }: Task): string {
  const amount = (count: number) => (bytes ? formatSize(count) : String(count))
  if (!total) return done > 0 ? `${label}: ${amount(done)}` : label
  const share = Math.min(100, Math.floor((done / total) * 100))
  return `${label}: ${share}% of ${amount(total)}`
}

/** More lines than this hide what stands above them. */
const mostLines = 12

/** Lines at the end of a terminal that are replaced together. */
export class Drawing {
  #lines = 0

  /** Replace the lines, as many and as much of each as the terminal can show. */
  draw(texts: Iterable<string>): void {
    const { columns, rows } = errorSize()
    const lines = [...texts]
      .slice(0, Math.max(1, Math.min(mostLines, rows - 1)))
      .map((text) => shown(text).slice(0, columns - 1))
    writeNotice(this.#erasure() + lines.join('\n'))
    this.#lines = lines.length
  }

  erase(): void {
    if (this.#lines > 0) writeNotice(this.#erasure())
    this.#lines = 0
  }

  #erasure(): string {
    if (this.#lines === 0) return ''
    return `\r${this.#lines > 1 ? `\u001b[${this.#lines - 1}A` : ''}\u001b[J`
  }
}
