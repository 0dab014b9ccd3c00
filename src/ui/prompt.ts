/** Questions to the person at the terminal. Without a terminal nobody can answer, and that is an error. */

import { openSync, readSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { SingError } from '../core/errors.ts'

const CTRL_C = 0x03
const CTRL_D = 0x04
const BACKSPACE = new Set([0x08, 0x7f])
const LINE_ENDS = new Set([0x0a, 0x0d])

/** The terminal itself: standard input and output may be files or pipes while somebody still sits there. */
function openTerminal(question: string, hint: string | undefined): number {
  try {
    return openSync('/dev/tty', 'r+')
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

/**
 * Questions to one person, one after the other. They share one stream: the engine reads ahead, and what was typed for the
 * second question would be lost with the stream of the first.
 */
export class Conversation implements Disposable {
  #input: ReadStream | undefined
  #chunks: AsyncIterator<Uint8Array> | undefined
  #fd = -1
  readonly #hint: string | undefined
  /** Typed, and not part of an answer yet. */
  #typed: number[] = []

  /** `hint` says what to do without a terminal. */
  constructor(hint?: string) {
    this.#hint = hint
  }

  /**
   * Ask for a line of text. The end of input is an empty answer.
   * @throws SingError without a terminal
   */
  async line(question: string): Promise<string> {
    this.#open(question)
    writeSync(this.#fd, question)
    return await this.#answer()
  }

  /**
   * Ask for a line that is not shown.
   * @throws SingError without a terminal, or with status 130 when the person gives up by Ctrl-C
   */
  async secret(question: string): Promise<string> {
    const input = this.#open(question)
    try {
      input.setRawMode(true)
      writeSync(this.#fd, question)
      return await this.#answer()
    } finally {
      input.setRawMode(false)
      writeSync(this.#fd, '\n')
    }
  }

  #open(question: string): ReadStream {
    if (this.#input) return this.#input
    this.#fd = openTerminal(question.replace(/( \[y\/N\])? $/, ''), this.#hint)
    // The stream owns the descriptor from here on and closes it.
    this.#input = new ReadStream(this.#fd)
    // The line may show how far something is.
    writeSync(this.#fd, '\r\u001b[K')
    this.#chunks = this.#input[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
    return this.#input
  }

  async #answer(): Promise<string> {
    const line: number[] = []
    for (;;) {
      const byte = this.#typed.shift()
      if (byte === undefined && !(await this.#more())) break
      if (byte === undefined) continue
      if (LINE_ENDS.has(byte) || byte === CTRL_D) break
      if (byte === CTRL_C) throw new SingError('INTERRUPTED', 'interrupted', { status: 130 })
      if (BACKSPACE.has(byte)) eraseLast(line)
      else line.push(byte)
    }
    return Buffer.from(line).toString('utf8')
  }

  /** Wait for somebody to type. False at the end of input. */
  async #more(): Promise<boolean> {
    const next = await this.#chunks?.next()
    if (!next || next.done) return false
    this.#typed = [...next.value]
    return true
  }

  [Symbol.dispose](): void {
    this.#input?.destroy()
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
  return isYes(await conversation.line(`${question} [y/N] `))
}

/**
 * Ask for a passphrase, which is not shown.
 * @throws SingError without a terminal, or with status 130 when the person gives up by Ctrl-C
 */
export async function askPassphrase(question: string): Promise<string> {
  using conversation = new Conversation()
  return await conversation.secret(`${question} `)
}
