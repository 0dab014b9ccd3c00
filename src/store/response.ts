/** The answer of a server, whose body is read once, in pieces or as a whole. */

import type { IncomingMessage } from 'node:http'
import { shown } from '../core/errors.ts'
import type { Patience } from './exchange.ts'
import { failureOf, RequestError, TooSlow } from './failure.ts'

/** A body that nobody wants is read to its end, which keeps the connection, if it is no longer than this. */
const discardLimit = 64 * 1024

export class Response {
  readonly status: number
  /** What was asked last, behind all redirections. */
  readonly url: URL
  readonly #message: IncomingMessage
  readonly #signal: AbortSignal
  readonly #patience: Patience

  constructor(message: IncomingMessage, url: URL, signal: AbortSignal, patience: Patience) {
    this.status = message.statusCode ?? 0
    this.url = url
    this.#message = message
    this.#signal = signal
    this.#patience = patience
    // An error that comes when nobody reads is told to who reads next.
    message.on('error', () => {})
  }

  /** The value of a header; several are joined by commas. */
  header(name: string): string | undefined {
    const value = this.#message.headers[name.toLowerCase()]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** All values of a header, each as it came. */
  headers(name: string): readonly string[] {
    return this.#message.headersDistinct[name.toLowerCase()] ?? []
  }

  /** The length that the server announces. */
  get length(): number | undefined {
    const text = this.header('content-length')
    return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
  }

  /**
   * The body as it comes. Leaving the loop ends the connection.
   * @throws RequestError when it ends early or comes too slowly
   */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = this.#message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
    let received = 0
    let [waited, got] = [0, 0]
    try {
      for (;;) {
        const started = performance.now()
        const next = await this.#within(iterator.next(), this.#patience.body - waited)
        if (next.done) return
        received += next.value.length
        waited += performance.now() - started
        got += next.value.length
        if (got >= this.#patience.least) [waited, got] = [0, 0]
        yield next.value
      }
    } catch (error) {
      this.#signal.throwIfAborted()
      throw this.#interrupted(error, received)
    } finally {
      if (!this.#message.complete) this.#message.destroy()
    }
  }

  async #within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
    const timer = setTimeout(() => this.#message.destroy(new TooSlow()), Math.max(1, milliseconds))
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  #interrupted(error: unknown, received: number): RequestError {
    const host = shown(this.url.host)
    const { body, least } = this.#patience
    if (error instanceof TooSlow) {
      const rate = `fewer than ${least} bytes in ${Math.ceil(body / 1000)} seconds`
      return new RequestError('slow', `${host} is too slow: ${rate}`, { cause: error })
    }
    const failure = failureOf(error, this.url)
    if (failure.failure !== 'cut') return failure
    const all = this.length === undefined ? '' : ` of ${this.length}`
    return new RequestError('cut', `${host} ended the connection after ${received}${all} bytes`, {
      cause: error,
    })
  }

  /**
   * The whole body.
   * @throws RequestError when it has more than `limit` bytes
   */
  async bytes(limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = []
    let size = 0
    if ((this.length ?? 0) > limit) this.#refuse(limit)
    for await (const chunk of this.chunks()) {
      size += chunk.length
      if (size > limit) this.#refuse(limit)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  #refuse(limit: number): never {
    this.#message.destroy()
    throw new RequestError('limit', `${shown(this.url.host)} sends more than ${limit} bytes`)
  }

  /** Nobody wants the body. */
  async discard(): Promise<void> {
    await this.bytes(discardLimit).catch(() => this.#message.destroy())
  }
}
