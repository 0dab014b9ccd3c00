/** The one HTTP client: what comes from servers comes through here. */

import { setTimeout as wait } from 'node:timers/promises'
import { SingError, shown } from '../core/errors.ts'
import { type Report, silent } from '../core/events.ts'
import { version } from '../core/version.ts'
import { Connections } from './connect.ts'
import { type Body, begin, exchange, type Patience, patience } from './exchange.ts'
import { failureOf, RequestError } from './failure.ts'
import { basicOf } from './proxy.ts'
import { Response } from './response.ts'
import type { Trust } from './trust.ts'

export type { Body, Patience } from './exchange.ts'
export { RequestError } from './failure.ts'
export type { Response } from './response.ts'

type Environment = Readonly<Record<string, string>>

export type RequestOptions = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | Body
  readonly signal: AbortSignal
  /** How often to try again after failures that may pass; 3 unless something else is known to be better. */
  readonly retries?: number
  /** Follow redirections; done unless this is false. */
  readonly redirects?: boolean
  /** No redirection leads from https to http: for what no digest vouches for. */
  readonly staysSafe?: boolean
  /** Believe whoever answers. */
  readonly trusting?: boolean
  /** A socket of this machine that answers instead of the host of the address. */
  readonly socketPath?: string
}

export type ClientOptions = {
  readonly environment: Environment
  /** Certificates for all servers, instead of those of the system and of the user. */
  readonly trust?: Trust
  readonly report?: Report
  readonly patience?: Partial<Patience>
}

const redirectLimit = 10
/** Times when the same request may have another answer. */
const passing = new Set([408, 429, 500, 502, 503, 504])
const redirections = new Set([301, 302, 303, 307, 308])

/** What must not travel to another server. */
const secretHeaders = new Set(['authorization', 'cookie', 'proxy-authorization'])

const withoutSecrets = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !secretHeaders.has(name.toLowerCase())))

/** Milliseconds of a Retry-After header: seconds, or a date. */
export function retryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1000
  // Engines take nearly everything for a date.
  const date = /^[A-Z][a-z]{2,8}, /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** @throws RequestError for what is no address of a web server */
export function parseAddress(address: string | URL): URL {
  const url = URL.parse(String(address))
  if (url && /^https?:$/.test(url.protocol) && url.hostname) return url
  throw new RequestError('address', `${shownAddress(address)} is no address of a web server`)
}

type Step = { readonly url: URL; readonly options: RequestOptions }

export class HttpClient implements Disposable {
  readonly #connections: Connections
  readonly #report: Report
  readonly #patience: Patience

  constructor({ environment, trust, report = silent, patience: given = {} }: ClientOptions) {
    this.#connections = new Connections(environment, trust)
    this.#report = report
    this.#patience = { ...patience, ...given }
  }

  /**
   * Ask a server, follow its redirections, and try again what may pass. Every status is an answer; read it or discard
   * it.
   * @throws RequestError when no answer comes; the reason of the signal when it fires
   */
  async request(address: string | URL, options: RequestOptions): Promise<Response> {
    let step: Step = { url: parseAddress(address), options }
    for (let hops = 0; ; hops++) {
      const response = await this.#persist(step)
      const follows = options.redirects !== false && redirections.has(response.status)
      const location = follows ? response.header('location') : undefined
      if (location === undefined) return response
      await response.discard()
      if (hops === redirectLimit) {
        throw new RequestError(
          'redirect',
          `${shown(step.url.host)} redirects more than ${redirectLimit} times`,
        )
      }
      step = redirect(step, response.status, location)
    }
  }

  /** One request, again after failures that may pass. The last answer counts, whatever it is. */
  async #persist({ url, options }: Step): Promise<Response> {
    const { retries = 3 } = options
    for (let tried = 0; ; tried++) {
      const last = tried >= retries
      const outcome = await this.#once(url, options).catch((error: unknown) => {
        if (last || !(error instanceof RequestError) || !error.passing) throw error
        return error
      })
      if (outcome instanceof RequestError) {
        await this.#pause(outcome.message, this.#patience.pause * 3 ** tried, options.signal)
        continue
      }
      if (last || !passing.has(outcome.status)) return outcome
      const asked = retryAfter(outcome.header('retry-after'), Date.now())
      if (asked !== undefined && asked > this.#patience.retryAfter) return outcome
      await outcome.discard()
      const reason = `${shown(url.host)} answered ${outcome.status}`
      await this.#pause(reason, asked ?? this.#patience.pause * 3 ** tried, options.signal)
    }
  }

  async #pause(reason: string, milliseconds: number, signal: AbortSignal): Promise<void> {
    const seconds = Math.ceil(milliseconds / 1000)
    this.#report({ kind: 'info', text: `${reason}; trying again in ${seconds} s` })
    await wait(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted())
  }

  async #once(url: URL, options: RequestOptions): Promise<Response> {
    const { method = 'GET', headers, body: given, signal, socketPath, trusting = false } = options
    signal.throwIfAborted()
    const named = basicOf(url)
    const route = this.#connections.route(url, { socketPath, trusting })
    const body = given instanceof Uint8Array ? { size: given.length, stream: () => [given] } : given
    const request = begin(
      route,
      {
        'user-agent': `sing/${version}`,
        ...(named !== undefined && { authorization: named }),
        ...headers,
        ...(body?.size !== undefined && { 'content-length': String(body.size) }),
      },
      method,
    )
    const stop = () => request.destroy(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    request.once('close', () => signal.removeEventListener('abort', stop))
    try {
      const message = await exchange(request, body, this.#patience)
      this.#report({ kind: 'debug', text: `${method} ${shownAddress(url)}: ${message.statusCode}` })
      return new Response(message, url, signal, this.#patience)
    } catch (error) {
      request.destroy()
      signal.throwIfAborted()
      const failure = failureOf(error, url, socketPath)
      // The server had ended a connection that was kept, which we learn only now: nothing is wrong. It cannot be told from one that
      // was cut in the middle, though: what must not be sent twice has no tries.
      const mayRepeat = options.retries !== 0
      if (request.reusedSocket && failure.passing && mayRepeat) return this.#once(url, options)
      throw failure
    }
  }

  [Symbol.dispose](): void {
    this.#connections[Symbol.dispose]()
  }
}

/** The next request after a redirection: to another server, or over a line that others can read, it carries no secrets. */
function redirect({ url, options }: Step, status: number, location: string): Step {
  const next = URL.parse(location, url.href)
  if (!next || !/^https?:$/.test(next.protocol)) {
    throw new RequestError(
      'redirect',
      `${shown(url.host)} redirects to ${shown(location)}, which is no web server`,
    )
  }
  if (options.staysSafe && url.protocol === 'https:' && next.protocol === 'http:') {
    throw new RequestError(
      'redirect',
      `${shown(url.host)} redirects to ${shown(next.host)} by plain HTTP, where anybody could change what is sent`,
    )
  }
  const { method = 'GET', headers = {}, body, trusting = false, ...rest } = options
  const isSame = next.origin === url.origin
  const carried = isSame ? headers : withoutSecrets(headers)
  // 303 is "look there"; browsers and most clients take 301 and 302 after a POST for the same.
  const looks = status === 303 ? method !== 'HEAD' : status < 307 && method === 'POST'
  const again = looks ? { method: 'GET' } : { method, ...(body && { body }) }
  return { url: next, options: { ...rest, ...again, headers: carried, trusting: trusting && isSame } }
}

export type DownloadOptions = {
  /** Bytes; a server that sends more is not believed. */
  readonly limit: number
  readonly environment: Environment
  readonly report?: Report
  readonly signal: AbortSignal
}

/**
 * The body of an address (http or https, redirections followed).
 * @throws SingError IO naming the address and the reason; the reason of the signal when it fires
 */
export async function download(
  address: string,
  { limit, signal, ...options }: DownloadOptions,
): Promise<Buffer> {
  const refuse = (reason: string, hint?: string, cause?: unknown): SingError =>
    new SingError('IO', `cannot download ${shownAddress(address)}: ${reason}`, { hint, cause })
  using client = new HttpClient(options)
  try {
    const response = await client.request(address, { signal, staysSafe: true })
    if (response.status !== 200) throw refuse(`the server answered ${response.status}`)
    return await response.bytes(limit)
  } catch (cause) {
    if (!(cause instanceof RequestError)) throw cause
    throw refuse(cause.message, cause.hint, cause)
  }
}

/** An address without what only its server may know: passwords, and the query, which may be a signature. */
export function shownAddress(address: string | URL): string {
  const url = URL.parse(String(address))
  return shown(url ? `${url.protocol}//${url.host}${url.pathname}` : String(address))
}
