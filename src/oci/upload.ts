/**
 * Sends blobs and manifests to a repository of a registry (distribution specification 1.1, "Push"). A blob is sent in one
 * piece, so that no registry finds its pieces too small, and goes on where the registry has it when the connection is cut.
 */

import type { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { patience } from '../store/exchange.ts'
import { RequestError, type Response, retryAfter } from '../store/http.ts'
import { isInner, withoutPort } from './address.ts'
import { pullScope, pushScope } from './auth.ts'
import { RegistryClient, type RegistryOptions, type RegistryRequest, refusalOf } from './client.ts'
import { notePlace, repositoriesWith } from './places.ts'
import type { RegistryReference } from './reference.ts'
import { Tally } from './tally.ts'
import type { Digest } from './types.ts'

/** Bytes for a registry. */
export type Blob = {
  /** For people: `layer 1 of 2`. */
  readonly name: string
  /** Known beforehand: then it is not sent to who has it. */
  readonly known?: { readonly digest: Digest; readonly size: number }
  /** The bytes from `offset` on, which is 0 when nothing is known beforehand. Each reading gives the same. */
  readonly read: (offset: number, signal: AbortSignal) => AsyncIterable<Uint8Array>
}

/** What is known of a blob when it was sent. */
export type Sent = { readonly digest: Digest; readonly size: number }

/** An upload that has begun: where the next bytes go, and how many the registry has. */
type Session = { readonly location: URL; readonly offset: number }

/** An answer that is none of the expected ones. */
class Refusal extends SingError {
  readonly answered: number
  /** Milliseconds that the registry asks for. */
  readonly pause: number | undefined

  constructor({ message, hint }: SingError, response: Response) {
    super('REGISTRY', message, { hint })
    this.answered = response.status
    this.pause = retryAfter(response.header('retry-after'), Date.now())
  }
}

const tries = 4
const longestPause = 60_000
/** So small that asking for a way to continue costs more than sending it again. */
const smallBlob = 64 * 1024
const passing = new Set([404, 408, 416, 429, 500, 502, 503, 504])
/** Registries that take blobs as a whole only. */
const unable = new Set([405, 501])

export class Repository implements Disposable {
  readonly #client: RegistryClient
  readonly #base: string
  readonly #request: Pick<RegistryRequest, 'scopes'>
  readonly #reference: RegistryReference
  readonly #environment: RegistryOptions['environment']
  readonly #purpose: string
  readonly #report: Report
  /** Milliseconds before the second try. */
  readonly #firstPause: number

  constructor(reference: RegistryReference, options: RegistryOptions) {
    const { registry, repository } = reference
    this.#reference = reference
    this.#environment = options.environment
    this.#client = new RegistryClient({ ...options, registry, repository })
    this.#base = `/v2/${repository}`
    this.#request = { scopes: [pushScope(repository)] }
    this.#purpose = `to write to ${shown(repository)}`
    this.#report = options.report
    this.#firstPause = options.patience?.pause ?? patience.pause
  }

  /**
   * Send a blob unless it is there.
   * @throws SingError REGISTRY telling why the registry does not take it; RequestError when it cannot be reached
   */
  async send(blob: Blob, signal: AbortSignal): Promise<Sent> {
    const { name, known } = blob
    if (known && (await this.#has(known.digest, signal))) {
      this.#report({ kind: 'verbose', text: `The registry has ${name} already (${known.digest})` })
      return known
    }
    const sent =
      known && (await this.#mount(known.digest, signal)) ? known : await this.#sendBytes(blob, signal)
    if (sent.size > smallBlob) notePlace(this.#environment, this.#reference, sent.digest)
    return sent
  }

  /** Have the registry take the blob from another of its repositories. False when it does not. */
  async #mount(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const { registry, repository } = this.#reference
    const [other] = repositoriesWith(this.#environment, registry, digest).filter(
      (name) => name !== repository,
    )
    if (other === undefined) return false
    const query = new URLSearchParams({ mount: digest, from: other })
    const scopes = [...this.#request.scopes, pullScope(other)]
    const headers = { 'content-length': '0' }
    const path = `${this.#base}/blobs/uploads/?${query}`
    try {
      const response = await this.#client.request(path, { method: 'POST', headers, scopes, signal })
      await response.discard()
      if (response.status === 202) await this.#abandon({ location: this.#location(response), offset: 0 })
      return response.status === 201
    } catch {
      // We may not see the other one, or not any more.
      signal.throwIfAborted()
      return false
    }
  }

  async #sendBytes(blob: Blob, signal: AbortSignal): Promise<Sent> {
    const { known } = blob
    using tally = new Tally(blob, this.#report)
    let session: Session | undefined
    try {
      for (let failed = 0; ; failed++) {
        try {
          session = session ? await this.#resume(session, signal) : await this.#begin(signal)
          const sent = await this.#transfer(session, tally, signal)
          session = undefined
          return sent
        } catch (error) {
          signal.throwIfAborted()
          if (!session || !mayPass(error) || failed + 1 >= tries) throw error
          await this.#pause(error, failed, signal)
          if (known && (await this.#has(known.digest, signal))) return known
        }
      }
    } finally {
      if (session) await this.#abandon(session)
    }
  }

  async #pause(error: SingError, failed: number, signal: AbortSignal): Promise<void> {
    const wanted = error instanceof Refusal ? error.pause : undefined
    const pause = Math.min(wanted ?? this.#firstPause * 3 ** failed, longestPause)
    const text = `${error.message}; trying again in ${Math.ceil(pause / 1000)} s`
    this.#report({ kind: 'info', text })
    await wait(pause, undefined, { signal }).catch(() => signal.throwIfAborted())
  }

  async #has(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const response = await this.#ask(`${this.#base}/blobs/${digest}`, { method: 'HEAD', signal })
    await response.discard()
    return response.status === 200
  }

  async #begin(signal: AbortSignal): Promise<Session> {
    const headers = { 'content-length': '0' }
    const path = `${this.#base}/blobs/uploads/`
    const response = await this.#ask(path, { method: 'POST', headers, signal })
    if (response.status !== 202) throw await this.#refusal(response)
    await response.discard()
    return { location: this.#location(response), offset: 0 }
  }

  /** Ask how far an upload got. When that is unclear, or nothing came, it begins anew. */
  async #resume({ location }: Session, signal: AbortSignal): Promise<Session> {
    const response = await this.#ask(location, { signal })
    await response.discard()
    const offset = receivedBytes(response)
    if (response.status !== 204 || !offset) return await this.#begin(signal)
    const next = response.header('location') === undefined ? location : this.#location(response)
    return { location: next, offset }
  }

  async #transfer(session: Session, tally: Tally, signal: AbortSignal): Promise<Sent> {
    const known = tally.sent()
    if (known?.size === session.offset) return await this.#finish(session.location, known, {}, signal)
    const isSmall = known !== undefined && known.size <= smallBlob
    return await (isSmall
      ? this.#sendWhole(session, tally, signal)
      : this.#sendStreaming(session, tally, signal))
  }

  /** Bytes first, their digest when the last one was sent: what is made on the way need not be kept. */
  async #sendStreaming(session: Session, tally: Tally, signal: AbortSignal): Promise<Sent> {
    const body = tally.body(session.offset, signal)
    const range = body.size === undefined ? {} : { 'content-range': rangeOf(session.offset, body.size) }
    const headers = { 'content-type': 'application/octet-stream', ...range }
    const response = await this.#ask(session.location, { method: 'PATCH', headers, body, signal, retries: 0 })
    if (unable.has(response.status)) {
      await response.discard()
      await this.#abandon(session)
      return await this.#sendWhole(await this.#begin(signal), tally, signal)
    }
    if (response.status !== 202) throw await this.#refusal(response)
    await response.discard()
    const sent = tally.sent()
    if (!sent || !tally.isComplete)
      throw new RequestError('protocol', `${this.#name} answered before it had all bytes`)
    return await this.#finish(this.#location(response), sent, {}, signal)
  }

  /** In one request with its digest, which has to be known. */
  async #sendWhole({ location }: Session, tally: Tally, signal: AbortSignal): Promise<Sent> {
    const known = await tally.measure(signal)
    return await this.#finish(location, known, { body: tally.body(0, signal) }, signal)
  }

  async #finish(
    location: URL,
    sent: Sent,
    more: Pick<RegistryRequest, 'body'>,
    signal: AbortSignal,
  ): Promise<Sent> {
    const address = new URL(location)
    address.searchParams.set('digest', sent.digest)
    const headers = { 'content-type': 'application/octet-stream', 'content-length': '0' }
    const response = await this.#ask(address, { method: 'PUT', headers, ...more, signal, retries: 0 })
    if (![200, 201, 204].includes(response.status)) throw await this.#refusal(response)
    await response.discard()
    this.#compare(response, sent.digest)
    return sent
  }

  /** What will not be finished takes room at the registry until it notices. */
  async #abandon({ location }: Session): Promise<void> {
    const options = { method: 'DELETE', retries: 0, signal: AbortSignal.timeout(2000) }
    await this.#ask(location, options)
      .then((response) => response.discard())
      .catch(() => {})
  }

  /**
   * Put a manifest in its place, under a tag or its own digest. Everything that it names must be there.
   * @returns its digest
   */
  async sendManifest(
    bytes: Buffer,
    mediaType: string,
    tag: string | undefined,
    signal: AbortSignal,
  ): Promise<Digest> {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const response = await this.#ask(`${this.#base}/manifests/${tag ?? digest}`, {
      method: 'PUT',
      headers: { 'content-type': mediaType },
      body: bytes,
      signal,
    })
    if (response.status !== 201 && response.status !== 200) throw await this.#refusal(response)
    await response.discard()
    this.#compare(response, digest)
    return digest
  }

  get #name(): string {
    return shown(this.#client.registry)
  }

  #ask(path: string | URL, options: Omit<RegistryRequest, 'scopes'>): Promise<Response> {
    return this.#client.request(path, { ...options, ...this.#request })
  }

  #compare(response: Response, digest: Digest): void {
    const told = response.header('docker-content-digest')
    if (told === undefined || told === digest) return
    throw new SingError('REGISTRY', `${this.#name} stored ${shown(told)} when it was sent ${digest}`, {
      hint: 'Something on the way changes what is sent',
    })
  }

  /** Where the registry wants the next bytes. */
  #location(response: Response): URL {
    const url = URL.parse(response.header('location') ?? '', response.url.href)
    if (!url || !response.header('location') || !/^https?:$/.test(url.protocol))
      throw new SingError('REGISTRY', `${this.#name} does not tell where to send a blob`)
    const isDowngrade = url.protocol === 'http:' && response.url.protocol === 'https:'
    // Behind a proxy that speaks TLS for them, some do not know how they are called.
    if (isDowngrade && url.hostname === response.url.hostname) {
      url.protocol = 'https:'
      url.port = response.url.port
      return url
    }
    const isElsewhere = url.host !== response.url.host
    const isInside = isInner(withoutPort(url.host)) && !isInner(withoutPort(response.url.host))
    if (isDowngrade || (isElsewhere && isInside))
      throw new SingError('REGISTRY', `${this.#name} wants blobs at ${shown(url.origin)}, which is not safe`)
    return url
  }

  async #refusal(response: Response): Promise<Refusal> {
    if (response.status !== 413)
      return new Refusal(await refusalOf(response, this.#client, this.#purpose), response)
    await response.discard()
    const sentence = `${this.#name} does not take as many bytes at once (413)`
    const hint = 'Its administrator, or that of the proxy before it, can raise the limit'
    return new Refusal(new SingError('REGISTRY', sentence, { hint }), response)
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }
}

/** The registry lost the connection, its mind or the upload: another try may have another end. */
function mayPass(error: unknown): error is SingError {
  if (error instanceof Refusal) return passing.has(error.answered)
  return error instanceof RequestError && ['cut', 'slow', 'unreachable'].includes(error.failure)
}

const rangeOf = (offset: number, size: number): string => `${offset}-${offset + size - 1}`

/** `Range: 0-99` is a hundred bytes. `0-0` is what some say of none. */
function receivedBytes(response: Response): number | undefined {
  const last = Number(/^(?:bytes=)?0-(\d{1,15})$/.exec(response.header('range') ?? '')?.[1] ?? 0)
  return last > 0 ? last + 1 : undefined
}
