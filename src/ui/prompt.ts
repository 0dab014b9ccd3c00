/** Questions to the person at the terminal. Without a terminal nobody can answer, and that is an error. */

import { constants, openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ReadStream } from 'node:tty'
import { errnoOf, SingError } from '../core/errors.ts'
import { isAsking, setAsking } from './asking.ts'

const CTRL_C = 0x03
const CTRL_D = 0x04
const BACKSPACE = new Set([0x08, 0x7f])
const LINE_ENDS = new Set([0x0a, 0x0d])
/** Nobody sees that a key was noticed so much later. */
const PATIENCE_MS = 15

/** The terminal itself: standard input and output may be files or pipes while somebody still sits there. */
function openTerminal(question: string, hint: string | undefined): Terminal {
  try {
    const fd = openSync('/dev/tty', constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY)
    const mode = new ReadStream(fd)
    mode.unref()
    return { fd, mode }
  } catch (cause) {
    throw new SingError('IO', `cannot ask "${question}": there is no terminal`, { cause, hint })
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

/** One for all questions of the process. `mode` is only there to change its mode. */
type Terminal = { readonly fd: number; readonly mode: ReadStream }
let terminal: Terminal | undefined

/** Questions to one person, one after the other. */
export class Conversation implements Disposable {
  readonly #hint: string | undefined

  /** `hint` says what to do without a terminal. */
  constructor(hint?: string) {
    this.#hint = hint
  }

  /**
   * Ask for a line of text.
   * @throws SingError without a terminal, or with status 130 when the person gives up by Ctrl-D
   */
  async line(question: string): Promise<string> {
    return given(await this.lineOrEnd(question))
  }

  /** Ask for a line of text; undefined when the person ends the input instead. */
  async lineOrEnd(question: string): Promise<string | undefined> {
    const open = this.#open(question)
    writeSync(open.fd, question)
    const line = await answer(open.fd)
    // Nothing has ended the line of the question.
    if (line === undefined) writeSync(open.fd, '\n')
    return line
  }

  /**
   * Ask for a line that is not shown.
   * @throws SingError without a terminal, or with status 130 when the person gives up by Ctrl-C or Ctrl-D
   */
  async secret(question: string): Promise<string> {
    const open = this.#open(question)
    try {
      open.mode.setRawMode(true)
      writeSync(open.fd, question)
      return given(await answer(open.fd))
    } finally {
      open.mode.setRawMode(false)
      writeSync(open.fd, '\n')
    }
  }

  #open(question: string): Terminal {
    terminal ??= openTerminal(question.replace(/( \[y\/N\])?[ :]*$/, ''), this.#hint)
    // The line may show how far something is.
    if (!isAsking()) writeSync(terminal.fd, '\r\u001b[K')
    setAsking(true)
    return terminal
  }

  [Symbol.dispose](): void {
    setAsking(false)
  }
}

const interrupted = (): SingError => new SingError('INTERRUPTED', 'interrupted', { status: 130 })

/** Who ends the input gives up. */
function given(line: string | undefined): string {
  if (line === undefined) throw interrupted()
  return line
}

/** Undefined at the end of input, when nothing was typed before it. */
async function answer(fd: number): Promise<string | undefined> {
  const line: number[] = []
  for (;;) {
    const byte = await nextByte(fd)
    const isEnd = byte === undefined || byte === CTRL_D
    if (isEnd && line.length === 0) return undefined
    if (isEnd || LINE_ENDS.has(byte)) break
    if (byte === CTRL_C) throw interrupted()
    if (BACKSPACE.has(byte)) eraseLast(line)
    else line.push(byte)
  }
  return Buffer.from(line).toString('utf8')
}

/**
 * Undefined at the end of input. A stream would read ahead, and take from a program that is started afterwards, or from the next
 * question, what was typed for it.
 */
async function nextByte(fd: number): Promise<number | undefined> {
  const byte = Buffer.alloc(1)
  for (;;) {
    try {
      return readSync(fd, byte) === 1 ? byte[0] : undefined
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') return undefined
      await sleep(PATIENCE_MS)
    }
  }
}

/** The first line of standard input, for who has the answer come through a pipe; undefined when nothing comes. */
export function pipedAnswer(): string | undefined {
  const line: number[] = []
  const byte = Buffer.alloc(1)
  try {
    while (readSync(0, byte) === 1 && !LINE_ENDS.has(byte[0] ?? 0) && line.length < 80)
      line.push(byte[0] ?? 0)
  } catch {
    // It is closed, or has nothing now.
  }
  return line.length > 0 ? Buffer.from(line).toString('utf8').trim() : undefined
}

export const isYes = (answer: string): boolean => /^y(es)?$/i.test(answer.trim())

/**
 * Ask a question that is answered with yes or no; anything but `y` or `yes` means no.
 * @throws SingError without a terminal
 */
export async function confirm(question: string): Promise<boolean> {
  using conversation = new Conversation()
  return isYes((await conversation.lineOrEnd(`${question} [y/N] `)) ?? '')
}

/**
 * Ask for a passphrase, which is not shown.
 * @throws SingError without a terminal, or with status 130 when the person gives up by Ctrl-C
 */
export async function askPassphrase(question: string): Promise<string> {
  using conversation = new Conversation()
  return await conversation.secret(`${question} `)
}
