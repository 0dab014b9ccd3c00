/** Requests to one registry: where it answers, who we are there, what its refusals mean. */

import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { HttpClient, type Patience, RequestError, type RequestOptions, type Response } from '../store/http.ts'
import { isLoopback } from '../store/proxy.ts'
import { apiHost, isPrivate, withoutPort } from './address.ts'
import { Authorizer, refusedLogin } from './auth.ts'
import { type CredentialOptions, findCredentials } from './credentials.ts'

export type RegistryOptions = CredentialOptions & {
  readonly report: Report
  /** `--no-https`: plain HTTP, and nothing else. */
  readonly noHttps: boolean
  /** How long to wait for what, where that differs from the usual. */
  readonly patience?: Partial<Patience>
}

export type ClientOptions = RegistryOptions & {
  /** Host, and port where one is given, as in references. */
  readonly registry: string
  /** What to find a login for. */
  readonly repository?: string
  /** The site said that this registry may be asked without HTTPS, or whoever it says it is. */
  readonly insecure?: boolean
}

export type RegistryRequest = Omit<RequestOptions, 'trusting' | 'socketPath'> & {
  /** What is to be done with which repository: `pullScope`, `pushScope`. */
  readonly scopes: readonly string[]
}

export class RegistryClient implements Disposable {
  /** As in references. */
  readonly registry: string
  readonly #options: ClientOptions
  readonly #client: HttpClient
  readonly #authorizer: Authorizer
  readonly #warned = new Set<string>()
  #base: Promise<URL> | undefined

  constructor(options: ClientOptions) {
    const { registry, repository = '', noHttps } = options
    this.registry = registry
    this.#options = options
    this.#client = new HttpClient(options)
    this.#authorizer = new Authorizer({
      client: this.#client,
      registry,
      find: () => findCredentials(registry, repository, options),
      allowPlain: noHttps,
    })
  }

  /**
   * Ask the registry, as who we are if it wants to know. `path` begins at its root (`/v2/`); a whole address, such as that
   * of an upload, gets our login only if it is of the same server. Statuses but 401 are for the caller.
   * @throws SingError REGISTRY when it refuses us; RequestError when no answer comes
   */
  async request(path: string | URL, { scopes, headers, ...options }: RegistryRequest): Promise<Response> {
    const base = await this.#find(options.signal)
    const address = new URL(path, base)
    const isOwn = address.origin === base.origin
    for (let tried = 0; ; tried++) {
      const authorization = isOwn ? await this.#authorizer.header(base, scopes, options.signal) : undefined
      if (tried > 0 && authorization === undefined) throw await this.#refused()
      const response = await this.#client.request(address, {
        ...options,
        trusting: this.#options.insecure === true,
        headers: { ...headers, ...(authorization !== undefined && { authorization }) },
      })
      this.#tellWarnings(response)
      if (response.status !== 401 || response.url.origin !== base.origin) return response
      await response.discard()
      if (tried > 0 || !isOwn) throw await this.#refused()
      this.#authorizer.learn(response, scopes)
    }
  }

  async #refused(): Promise<SingError> {
    return refusedLogin(this.registry, await this.#authorizer.identity())
  }

  /** Bytes that lie elsewhere: asked for without any login. */
  requestElsewhere(address: string, options: RequestOptions): Promise<Response> {
    return this.#client.request(address, options)
  }

  /** Where the registry answers. */
  #find(signal: AbortSignal): Promise<URL> {
    this.#base ??= this.#look(signal).catch((error) => {
      this.#base = undefined
      throw error
    })
    return this.#base
  }

  async #look(signal: AbortSignal): Promise<URL> {
    const { noHttps, insecure } = this.#options
    const host = apiHost(this.registry)
    const [secure, plain] = [new URL(`https://${host}/`), new URL(`http://${host}/`)]
    if (noHttps) return plain
    const name = withoutPort(host)
    const mayBePlain = insecure || isLoopback(name) || isPrivate(name)
    return !mayBePlain || (await this.#speaksTls(secure, signal)) ? secure : plain
  }

  /** Registries on this machine and in private networks often have no certificate. */
  async #speaksTls(secure: URL, signal: AbortSignal): Promise<boolean> {
    try {
      const trusting = this.#options.insecure === true
      const response = await this.#client.request(new URL('/v2/', secure), { signal, retries: 0, trusting })
      await response.discard()
      return true
    } catch (error) {
      const isPlain =
        error instanceof RequestError && (error.failure === 'protocol' || error.failure === 'cut')
      if (isPlain) return false
      throw error
    }
  }

  /** Registries may have something to say to people, once (distribution specification, "Warnings"). */
  #tellWarnings(response: Response): void {
    for (const header of response.headers('warning')) {
      const text = /^299 - "((?:[^"\\]|\\.)*)"/.exec(header.slice(0, 1024))?.[1]
      if (text === undefined || this.#warned.has(text) || this.#warned.size > 20) continue
      this.#warned.add(text)
      this.#options.report({ kind: 'warning', text: `${shown(this.registry)} says: ${shown(text)}` })
    }
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]()
  }
}

/** An answer that is none of the expected ones, as the sentence that people read. `what` was to be done: "to read app". */
export async function refusalOf(
  response: Response,
  { registry }: RegistryClient,
  what: string,
): Promise<SingError> {
  const told = await readErrors(response)
  const place = shown(registry)
  const [first] = told
  const reason = first?.message || first?.code.toLowerCase().replaceAll('_', ' ')
  const fail = (sentence: string, hint?: string) => new SingError('REGISTRY', sentence, { hint })
  const has = (code: string) => told.some((error) => error.code === code)
  if (response.status === 429 || has('TOOMANYREQUESTS')) {
    return fail(
      `${place} has had too many requests from here: ${shown(reason ?? 'it answered 429')}`,
      `${waitHint(response)}With a login more may be allowed: sing registry login ${place}`,
    )
  }
  if (response.status === 401 || response.status === 403 || has('DENIED') || has('UNAUTHORIZED')) {
    return fail(
      `${place} does not allow us ${what}: ${shown(reason ?? `it answered ${response.status}`)}`,
      `Log in as somebody who may: sing registry login ${place}`,
    )
  }
  const text = reason ? `${response.status} (${shown(reason)})` : String(response.status)
  const isPlainToTls = response.status === 400 && response.url.protocol === 'http:' && told.length === 0
  return fail(
    `${place} answered ${text} when asked ${what}`,
    isPlainToTls ? 'If it speaks HTTPS: without --no-https' : undefined,
  )
}

function waitHint(response: Response): string {
  const seconds = response.header('retry-after')
  return seconds && /^\d{1,6}$/.test(seconds) ? `Try again in ${seconds} seconds. ` : ''
}

export type RegistryFault = { readonly code: string; readonly message: string }

const faultLimit = 64 * 1024

/** What a registry says about why it refuses; nothing if it says it otherwise. */
export async function readErrors(response: Response): Promise<RegistryFault[]> {
  try {
    const { errors } = JSON.parse((await response.bytes(faultLimit)).toString('utf8')) as { errors?: unknown }
    if (!Array.isArray(errors)) return []
    return errors.slice(0, 10).map((error: { code?: unknown; message?: unknown } | null) => ({
      code: typeof error?.code === 'string' ? error.code.slice(0, 100) : '',
      message: typeof error?.message === 'string' ? error.message.slice(0, 300) : '',
    }))
  } catch {
    return []
  }
}
