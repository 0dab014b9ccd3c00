/** Asks an endpoint for its services, and the services for what they say about themselves and about a token. */

import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { HttpClient, type Patience, RequestError, type Response } from '../store/http.ts'
import { keepsSecrets } from './address.ts'
import type { Endpoint } from './document.ts'

export type AskOptions = {
  readonly environment: Readonly<Record<string, string>>
  readonly report: Report
  readonly signal: AbortSignal
  readonly patience?: Partial<Patience> | undefined
}

export type Service = {
  /** `library`, `keyserver`, `token`, `builder` ... */
  readonly name: string
  readonly url: URL
  /** Of a library: its registry. */
  readonly registry?: string | undefined
}

const answerLimit = 64 * 1024
const patience: Partial<Patience> = { connect: 5000, answer: 10_000, body: 10_000, retryAfter: 2000 }

const refuse = (what: string, reason: string, hint?: string, cause?: unknown): SingError =>
  new SingError('ENDPOINT', `${what} ${reason}`, { hint, cause })

const told = ({ name, uri }: Endpoint): string => `the endpoint ${shown(name)} (${shown(uri)})`

/** Ask for one thing and read the answer. A token goes along only where nobody else can read it. */
async function ask<T>(
  url: URL,
  token: string | undefined,
  { environment, report, signal, patience: given }: AskOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  if (token !== undefined && !keepsSecrets(url))
    throw refuse(shown(url.host), 'is not sent the token: everybody on the way could read it (plain HTTP)')
  using client = new HttpClient({ environment, report, patience: { ...patience, ...given } })
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return await read(await client.request(url, { headers, signal, retries: 1, staysSafe: true }))
}

/** The JSON of an answer; undefined for what is none. */
async function jsonOf(response: Response): Promise<unknown> {
  const text = (await response.bytes(answerLimit)).toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A value below keys, if all of them are there. */
function below(value: unknown, ...keys: readonly string[]): unknown {
  let found = value
  for (const key of keys) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined
    found = (found as Readonly<Record<string, unknown>>)[key]
  }
  return found
}

const textBelow = (value: unknown, ...keys: readonly string[]): string | undefined => {
  const found = below(value, ...keys)
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** Where an endpoint tells of its services. @throws SingError ENDPOINT for what is no host with a path */
export function addressOf(endpoint: Endpoint): URL {
  const url = URL.parse(`${endpoint.insecure ? 'http' : 'https'}://${endpoint.uri}`)
  if (!url?.hostname || url.username || url.password || url.search || url.hash)
    throw refuse(told(endpoint), 'has no address: expected a host and, perhaps, a path')
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/`
  return url
}

/** Without this host there is nothing to ask: it has a key server and nothing else. */
const withoutLibrary = 'cloud.apptainer.org'
const publicKeyserver = 'https://keys.openpgp.org'

function serviceOf([key, value]: [string, unknown]): Service[] {
  const name = key.replace(/API$/, '').replace(/^keystore$/, 'keyserver')
  const url = URL.parse(textBelow(value, 'uri') ?? '')
  if (!url || !/^https?:$/.test(url.protocol)) return []
  return [{ name, url, registry: textBelow(value, 'registryUri') }]
}

/**
 * The services of an endpoint.
 * @throws SingError ENDPOINT when it does not tell
 */
export async function findServices(endpoint: Endpoint, options: AskOptions): Promise<Service[]> {
  if (endpoint.uri === withoutLibrary) return [{ name: 'keyserver', url: new URL(publicKeyserver) }]
  const what = told(endpoint)
  const address = new URL('assets/config/config.prod.json', addressOf(endpoint))
  const document = await ask(address, undefined, options, async (response) => {
    if (response.status === 200) return await jsonOf(response)
    await response.discard()
    throw refuse(what, `does not tell its services: it answered ${response.status}`)
  }).catch((cause: unknown) => {
    if (!(cause instanceof RequestError)) throw cause
    const hint = endpoint.insecure ? undefined : 'For plain HTTP on this machine: sing remote add --insecure'
    throw refuse(what, `gives no answer: ${cause.message}`, cause.hint && hint, cause)
  })
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw refuse(what, 'does not tell its services: its answer is something else')
  return Object.entries(document).slice(0, 64).flatMap(serviceOf)
}

/**
 * The token that may be shown to services of an endpoint: none, when whoever stands in between could have told us other
 * services.
 */
export const tokenFor = (endpoint: Endpoint): string | undefined =>
  endpoint.token !== undefined && keepsSecrets(addressOf(endpoint)) ? endpoint.token : undefined

const inService = (service: URL, path: string): URL =>
  new URL(path, service.href.endsWith('/') ? service : `${service.href}/`)

export type ServiceState = {
  readonly isThere: boolean
  readonly version?: string | undefined
  readonly reason?: string
}

/** Whether a service answers, and its version if it tells. */
export async function askVersion({ url }: Service, options: AskOptions): Promise<ServiceState> {
  try {
    return await ask(inService(url, 'version'), undefined, options, async (response) => {
      if (response.status >= 500) {
        await response.discard()
        return { isThere: false, reason: `it answered ${response.status}` }
      }
      return { isThere: true, version: textBelow(await jsonOf(response), 'data', 'version') }
    })
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    return { isThere: false, reason: error.message }
  }
}

/**
 * Whether the endpoint takes a token.
 * @throws SingError ENDPOINT when nobody can be asked
 */
export async function isValidToken(endpoint: Endpoint, token: string, options: AskOptions): Promise<boolean> {
  const what = told(endpoint)
  if (!keepsSecrets(addressOf(endpoint)))
    throw refuse(
      what,
      'is not sent a token: its services were told by plain HTTP, where anybody could change them',
    )
  const service = (await findServices(endpoint, options)).find(({ name }) => name === 'token')
  if (!service) throw refuse(what, 'knows no tokens: it has nobody to log in to')
  const { status } = await ask(
    inService(service.url, 'v1/token-status'),
    token,
    options,
    async (response) => {
      await response.discard()
      return response
    },
  ).catch((cause: unknown) => {
    if (!(cause instanceof RequestError)) throw cause
    throw refuse(what, `cannot check the token: ${cause.message}`, cause.hint, cause)
  })
  if (status === 200) return true
  if ([401, 403, 404].includes(status)) return false
  throw refuse(what, `cannot check the token: ${shown(service.url.host)} answered ${status}`)
}

/**
 * The password of the user at the registry of an endpoint.
 * @throws SingError ENDPOINT when there is none
 */
export async function registryPassword(endpoint: Endpoint, options: AskOptions): Promise<string> {
  const what = told(endpoint)
  const token = tokenFor(endpoint)
  if (token === undefined)
    throw refuse(what, 'does not know who you are', `Log in first: sing remote login ${shown(endpoint.name)}`)
  const service = (await findServices(endpoint, options)).find(({ name }) => name === 'library')
  if (!service) throw refuse(what, 'has no library, and no passwords for one')
  const user = await ask(
    inService(service.url, 'v1/rbac/users/current'),
    token,
    options,
    async (response) => {
      if (response.status === 200) return await jsonOf(response)
      await response.discard()
      throw refuse(what, `does not tell the password: ${shown(service.url.host)} answered ${response.status}`)
    },
  ).catch((cause: unknown) => {
    if (!(cause instanceof RequestError)) throw cause
    throw refuse(what, `gives no answer: ${cause.message}`, cause.hint, cause)
  })
  const secret = textBelow(below(user, 'data') ?? user, 'oidc_user_meta', 'secret')
  if (secret !== undefined) return secret
  throw refuse(what, 'has no password for you')
}
