/**
 * The two streams of the program, written at once and in order: nothing is lost when the process ends or is
 * replaced.
 */

import { writeSync } from 'node:fs'
import { errnoOf, reasonOf, SingError } from '../core/errors.ts'

const STDOUT = 1
const STDERR = 2
const RETRY_MS = 2

/** Loaded when somebody asks: it costs a fifth of a start, and most starts print nothing. */
const tty = () => process.getBuiltinModule('node:tty')

/** Some parents hand in descriptors that do not block; then a full pipe has to be waited for. */
function wait(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
}

function writeAll(fd: number, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done)
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error
      wait()
    }
  }
}

/** The reader of standard output has gone, as `head` does: no reason to complain, and none to go on. */
export class ReaderGone extends Error {}

/**
 * Write an answer to standard output, text or bytes.
 * @throws ReaderGone when nobody reads it any more, SingError when it cannot be written
 */
export function writeAnswer(content: string | Uint8Array): void {
  try {
    writeAll(STDOUT, content)
  } catch (cause) {
    if (errnoOf(cause) === 'EPIPE') throw new ReaderGone('the reader has gone', { cause })
    throw new SingError('IO', `cannot write to standard output: ${reasonOf(cause)}`, { cause })
  }
}

/** Write to standard error. When that is closed there is nobody left to tell. */
export function writeNotice(text: string): void {
  try {
    writeAll(STDERR, text)
  } catch {
    // Neither the message nor the complaint about it can be delivered.
  }
}

/**
 * Hand on what a program wrote, to the stream that it wrote it to. Where that has no reader or no room any more, the work goes on
 * without.
 */
export function writeOutput(stream: 'stdout' | 'stderr', content: string | Uint8Array): void {
  try {
    writeAll(stream === 'stdout' ? STDOUT : STDERR, content)
  } catch {
    // It is the program's text, and the program is none the worse for it.
  }
}

/** Whether a person may be looking at standard error. */
export function isErrorTerminal(): boolean {
  return tty().isatty(STDERR)
}

/** Whether a person may be looking at standard output. */
export function isAnswerTerminal(): boolean {
  return tty().isatty(STDOUT)
}

/** What a terminal on standard error can show. */
export function errorSize(): { columns: number; rows: number } {
  // That of the process follows the window.
  const { columns, rows } = process.stderr
  return { columns: columns || 80, rows: rows || 24 }
}

/** Write an answer over the last `lines` lines of the terminal. Returns how many it takes. */
export function redrawAnswer(text: string, lines: number): number {
  writeAnswer((lines > 0 ? `\u001b[${lines}A\u001b[J` : '') + text)
  return text.split('\n').length - 1
}

const widest = 100

/** Columns for text on standard output. */
export function answerWidth(): number {
  const { isatty, WriteStream } = tty()
  return isatty(STDOUT) ? Math.min(new WriteStream(STDOUT).columns || 80, widest) : 80
}
