/** Answers of a person at the terminal, or lines of a pipe for programs that know what will be asked. */

import { readSync } from 'node:fs'
import { isatty } from 'node:tty'
import { errnoOf, SingError } from '../core/errors.ts'
import { writeNotice } from './output.ts'
import { Conversation } from './prompt.ts'

const NEWLINE = 0x0a
/** Longer than any passphrase. */
const lineLimit = 64 * 1024

/** One line of standard input, which is read no further; undefined at its end. */
export function readPipedLine(): string | undefined {
  const line: number[] = []
  const byte = Buffer.alloc(1)
  while (readByte(byte)) {
    const [value = 0] = byte
    if (value === NEWLINE) return toText(line)
    if (line.length === lineLimit) throw new SingError('IO', 'the line on standard input is too long')
    line.push(value)
  }
  return line.length > 0 ? toText(line) : undefined
}

const toText = (line: readonly number[]): string => Buffer.from(line).toString('utf8').replace(/\r$/, '')

/** Wait for a byte; false at the end. Some parents hand in descriptors that do not block. */
function readByte(into: Uint8Array): boolean {
  for (;;) {
    try {
      return readSync(0, into) === 1
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'EOF' || code === 'EBADF') return false
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
    }
  }
}

/** Questions that a person answers, or lines of standard input when that is no terminal, one for each. */
export class Answers implements Disposable {
  readonly #conversation: Conversation | undefined
  readonly #hint: string

  /** `hint` says what to do when nobody answers. */
  constructor(hint: string) {
    this.#hint = hint
    if (isatty(0)) this.#conversation = new Conversation(hint)
  }

  /** Whether a person answers. */
  get isPerson(): boolean {
    return this.#conversation !== undefined
  }

  /** @throws SingError when nobody answers */
  async line(question: string): Promise<string> {
    return await (this.#conversation?.line(question) ?? this.#next(question))
  }

  /** An answer that is not shown. @throws SingError when nobody answers */
  async secret(question: string): Promise<string> {
    return await (this.#conversation?.secret(question) ?? this.#next(question))
  }

  /** Tell a person something between the questions. */
  say(text: string): void {
    writeNotice(`${text}\n`)
  }

  #next(question: string): string {
    writeNotice(`${question}\n`)
    const line = readPipedLine()
    if (line !== undefined) return line
    throw new SingError('IO', `nobody answers "${question.replace(/[ :]+$/, '')}"`, { hint: this.#hint })
  }

  [Symbol.dispose](): void {
    this.#conversation?.[Symbol.dispose]()
  }
}
