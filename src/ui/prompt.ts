/** Questions to the person at the terminal. Without a terminal nobody can answer, and that is an error. */

import { openSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { SingError } from '../core/errors.ts'

const CTRL_C = 0x03
const CTRL_D = 0x04
const BACKSPACE = new Set([0x08, 0x7f])
const LINE_ENDS = new Set([0x0a, 0x0d])

/** The terminal itself: standard input and output may be files or pipes while somebody still sits there. */
function openTerminal(question: string): number {
  try {
    return openSync('/dev/tty', 'r+')
  } catch (cause) {
    throw new SingError('IO', `cannot ask "${question}": there is no terminal`, { cause })
  }
}

/**
 * Take the last character off, which has several bytes where it is no ASCII (UTF-8: those behind the first
 * are 10xxxxxx).
 */
function eraseLast(line: number[]): void {
  let byte = line.pop()
  while (byte !== undefined && (byte & 0xc0) === 0x80) byte = line.pop()
}

/** Take typed bytes into `line`; true when the line is complete. */
function typed(line: number[], bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (LINE_ENDS.has(byte) || byte === CTRL_D) return true
    if (byte === CTRL_C) throw new SingError('INTERRUPTED', 'interrupted', { status: 130 })
    if (BACKSPACE.has(byte)) eraseLast(line)
    else line.push(byte)
  }
  return false
}

/** One line from the terminal; `hidden` shows nothing of it. The end of input is an empty answer. */
async function ask(question: string, ending: string, hidden: boolean): Promise<string> {
  const fd = openTerminal(question)
  // The stream owns the descriptor from here on and closes it.
  const input = new ReadStream(fd)
  try {
    if (hidden) input.setRawMode(true)
    writeSync(fd, question + ending)
    const line: number[] = []
    for await (const bytes of input) {
      if (typed(line, bytes)) break
    }
    return Buffer.from(line).toString('utf8')
  } finally {
    if (hidden) {
      input.setRawMode(false)
      writeSync(fd, '\n')
    }
    input.destroy()
  }
}

/**
 * Ask a question that is answered with yes or no; anything but `y` or `yes` means no.
 * @throws SingError without a terminal
 */
export async function confirm(question: string): Promise<boolean> {
  return /^y(es)?$/i.test((await ask(question, ' [y/N] ', false)).trim())
}

/**
 * Ask for a line of text.
 * @throws SingError without a terminal
 */
export async function askLine(question: string): Promise<string> {
  return (await ask(question, ' ', false)).trim()
}

/**
 * Ask for a passphrase, which is not shown.
 * @throws SingError without a terminal, or with status 130 when the person gives up by Ctrl-C
 */
export function askPassphrase(question: string): Promise<string> {
  return ask(question, ' ', true)
}
