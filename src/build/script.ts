/** Running a script of a build, heard: what it writes is told as it comes, and when it fails the message says where. */

import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { LineReader, settledLine } from '../core/lines.ts'
import { Trail } from '../definition/trail.ts'
import type { Hear } from '../runtime/output.ts'

/** As many of the last lines are told again. */
const lastLines = 20
/** Characters of each. */
const widest = 500

export type Script = {
  /** What it is called: `%post`, `RUN make`. */
  readonly title: string
  readonly text: string
  /** Its file, as the program that runs it knows it. */
  readonly path: string
  /** The file of the definition, for messages. */
  readonly definition: string
  /** Its line there, and that of each line of the text: see `Section`. */
  readonly line: number
  readonly lines: readonly number[]
}

/** The last lines that a program wrote. */
export class LastLines {
  readonly #lines = { stdout: [] as string[], stderr: [] as string[] }
  #count = 0

  push(stream: 'stdout' | 'stderr', line: string): void {
    const lines = this.#lines[stream]
    this.#count += 1
    lines.push(settledLine(line, false).slice(0, widest))
    if (lines.length > lastLines) lines.shift()
  }

  /** What to tell again: nothing while all of it still stands above. Of two streams half of each, because their order is lost. */
  get again(): string | undefined {
    if (this.#count <= lastLines) return undefined
    const { stdout, stderr } = this.#lines
    const half = lastLines / 2
    const ofErrors = Math.max(half, lastLines - stdout.length)
    const ofOutput = Math.max(half, lastLines - stderr.length)
    const told = [...stdout.slice(-ofOutput), ...stderr.slice(-ofErrors)]
    return [`The last ${told.length} lines of its output:`, ...told.map((line) => `  ${line}`)].join('\n')
  }
}

function advice(status: number): string | undefined {
  if (status === 137) return 'Status 137 is a SIGKILL, often for lack of memory'
  return undefined
}

function failure(script: Script, status: number, trail: Trail, last: LastLines): SingError {
  const told = trail.line === undefined ? 0 : script.lines[trail.line - 1]
  const line = told || script.line
  const place = line > 0 ? `${script.definition}:${line}` : script.definition
  const hint = [last.again, advice(status)].filter(Boolean).join('\n')
  return new SingError('SECTION', `${shown(script.title)} failed with status ${status} (${shown(place)})`, {
    hint: hint === '' ? undefined : hint,
  })
}

/**
 * Run a script: `start` runs its program, lets it write to what it is given, and resolves with its status.
 * @throws SingError SECTION when that is not 0
 */
export async function runScript(
  script: Script,
  { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
  start: (hear: Hear) => Promise<number>,
): Promise<void> {
  const trail = new Trail(script.text, script.path)
  const last = new LastLines()
  const readers = { stdout: readerOf('stdout', trail, last), stderr: readerOf('stderr', trail, last) }
  const status = await start((stream, bytes) => {
    report({ kind: 'output', stream, bytes })
    readers[stream].push(bytes)
  })
  signal.throwIfAborted()
  for (const reader of Object.values(readers)) reader.end()
  if (status !== 0) throw failure(script, status, trail, last)
}

function readerOf(stream: 'stdout' | 'stderr', trail: Trail, last: LastLines): LineReader {
  return new LineReader((line) => {
    trail.push(line)
    last.push(stream, line)
  })
}
