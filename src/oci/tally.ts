/** The bytes of a blob on their way: counted, told to who watches, and hashed when nobody knows their digest yet. */

import { createHash, type Hash } from 'node:crypto'
import type { Report } from '../core/events.ts'
import type { Body } from '../store/http.ts'
import type { Blob, Sent } from './upload.ts'

/** Often enough to look smooth, seldom enough to cost nothing. */
const interval = 100

let tasks = 0

export class Tally implements Disposable {
  readonly #blob: Blob
  readonly #report: Report
  readonly #task: string
  #told = 0
  #sent: Sent | undefined
  /** The last reading got to the end. */
  isComplete = false

  constructor(blob: Blob, report: Report) {
    const { name, known } = blob
    this.#blob = blob
    this.#report = report
    this.#sent = known
    tasks += 1
    this.#task = `upload-${tasks}`
    const total = known ? { total: known.size } : {}
    report({ kind: 'started', task: this.#task, label: `Sending ${name}`, unit: 'bytes', ...total })
  }

  /** The body of a request with the bytes from `offset` on. */
  body(offset: number, signal: AbortSignal): Body {
    const stream = () => (this.#blob.known ? this.#part(offset, signal) : this.#whole(offset, signal))
    return { size: this.#sent && this.#sent.size - offset, stream }
  }

  /** Digest and size; undefined before an unknown blob was read to its end. */
  sent(): Sent | undefined {
    return this.#sent
  }

  /** The same, read for this alone if need be. */
  async measure(signal: AbortSignal): Promise<Sent> {
    for await (const _ of this.#sent ? [] : this.#whole(Number.POSITIVE_INFINITY, signal));
    return this.#sent as Sent
  }

  async *#part(offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = offset
    this.isComplete = false
    for await (const chunk of this.#blob.read(offset, signal)) {
      yield chunk
      at += chunk.length
      this.#tell(at)
    }
    this.isComplete = true
  }

  /** All bytes are needed for the digest, also those that the registry has. */
  async *#whole(offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const hash: Hash = createHash('sha256')
    let at = 0
    this.isComplete = false
    for await (const chunk of this.#blob.read(0, signal)) {
      hash.update(chunk)
      const skipped = Math.min(Math.max(offset - at, 0), chunk.length)
      at += chunk.length
      if (skipped < chunk.length) yield chunk.subarray(skipped)
      this.#tell(at)
    }
    this.#sent = { digest: `sha256:${hash.digest('hex')}`, size: at }
    this.isComplete = true
  }

  #tell(done: number): void {
    const now = performance.now()
    if (now - this.#told < interval) return
    this.#told = now
    this.#report({ kind: 'advanced', task: this.#task, done })
  }

  [Symbol.dispose](): void {
    this.#report({ kind: 'finished', task: this.#task })
  }
}
