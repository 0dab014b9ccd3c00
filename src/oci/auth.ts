/**
 * Logs in to one registry the way it asks for: Basic, or Bearer with a token from the server that it names
 * (distribution project, "token authentication"; OAuth2 for identity tokens).
 */

import { SingError, shown } from '../core/errors.ts'
import type { HttpClient, Response } from '../store/http.ts'
import { shownAddress } from '../store/http.ts'
import { isLoopback } from '../store/proxy.ts'
import { isInner, withoutPort } from './address.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Found } from './credentials.ts'
import type { Login } from './logins.ts'

export type AuthOptions = {
  readonly client: HttpClient
  /** As in references, for messages. */
  readonly registry: string
  /** Who we are there; asked when the registry wants to know. */
  readonly find: () => Promise<Found | undefined>
  /** Plain HTTP is what the caller wants: then a password may travel so. */
  readonly allowPlain: boolean
}

type Token = { readonly header: string; readonly expires: number }

/** Tokens have a few kilobytes. */
const answerLimit = 1024 * 1024
/** Servers that do not say how long a token lives mean this, in seconds. */
const usualLife = 60
/** A token is not used in the last moments of its life. */
const margin = 5

const basic = (username: string, secret: string): string =>
  `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`

/** Scopes of a request: what to do with which repository. */
export const pullScope = (repository: string): string => `repository:${repository}:pull`
export const pushScope = (repository: string): string => `repository:${repository}:pull,push`

export class Authorizer {
  readonly #options: AuthOptions
  #challenge: Challenge | undefined
  #found: Promise<Found | undefined> | undefined
  /** By scopes. */
  readonly #tokens = new Map<string, Promise<Token>>()

  constructor(options: AuthOptions) {
    this.#options = options
  }

  /** The value of the Authorization header for a request; undefined while the registry did not ask for one. */
  async header(base: URL, scopes: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    const challenge = this.#challenge
    if (!challenge) return undefined
    if (challenge.scheme === 'basic') return this.#basic(base)
    const key = scopes.join(' ')
    const entry = this.#tokens.get(key)
    const known = await entry?.catch(() => undefined)
    if (known && known.expires > Date.now()) return known.header
    // Of several requests that find a token too old one asks for the next.
    if (this.#tokens.get(key) !== entry) return this.header(base, scopes, signal)
    const token = this.#newToken(challenge, base, scopes, signal)
    this.#tokens.set(key, token)
    return (await token).header
  }

  /**
   * Note how the registry wants to be asked, from an answer 401.
   * @throws SingError REGISTRY when it asks for what we cannot
   */
  learn(response: Response, scopes: readonly string[]): void {
    const challenges = parseChallenges(response.headers('www-authenticate'))
    const chosen =
      challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.realm) ??
      challenges.find(({ scheme }) => scheme === 'basic')
    if (!chosen) throw this.#unknownScheme(challenges)
    this.#challenge = chosen
    this.#tokens.delete(scopes.join(' '))
  }

  /** Who the registry was told that we are, for messages. */
  async identity(): Promise<string | undefined> {
    const found = await this.#found
    if (!found) return undefined
    const { login, from } = found
    return login.kind === 'password'
      ? `the user ${shown(login.username)} (${shown(from)})`
      : `the token in ${shown(from)}`
  }

  #unknownScheme(challenges: readonly Challenge[]): SingError {
    const schemes = challenges.map(({ scheme }) => scheme).join(', ') || 'nothing'
    const { registry } = this.#options
    return new SingError(
      'REGISTRY',
      `${shown(registry)} wants a login of a kind that is not known here: ${shown(schemes)}`,
    )
  }

  /** The login, which must not be read by others on its way. */
  async #login(to: URL): Promise<Login | undefined> {
    this.#found ??= this.#options.find()
    const found = await this.#found
    const isPlain = to.protocol === 'http:' && !isLoopback(withoutPort(to.host)) && !this.#options.allowPlain
    if (found && isPlain) {
      throw new SingError('REGISTRY', `the login for ${shown(to.host)} would travel unencrypted`, {
        hint: 'If that is acceptable: --no-https',
      })
    }
    return found?.login
  }

  async #basic(base: URL): Promise<string | undefined> {
    const login = await this.#login(base)
    switch (login?.kind) {
      case undefined:
        return undefined
      case 'password':
        return basic(login.username, login.password)
      case 'identity':
        return basic(login.username, login.token)
      case 'bearer':
        return `Bearer ${login.token}`
    }
  }

  async #newToken(
    challenge: Challenge,
    base: URL,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<Token> {
    const realm = this.#realm(challenge.parameters.realm ?? '', base)
    const login = await this.#login(realm)
    if (login?.kind === 'bearer') {
      // No token server hears of this kind, but the registry itself.
      await this.#login(base)
      return { header: `Bearer ${login.token}`, expires: Number.POSITIVE_INFINITY }
    }
    const { scope, service } = challenge.parameters
    const wanted = [...new Set([...(scope ? [scope] : []), ...scopes])]
    const asked = Date.now()
    const response = await this.#ask(realm, service, wanted, login, signal)
    if (response.status !== 200) throw await this.#refusedBy(realm, response, login)
    return this.#readToken(await response.bytes(answerLimit), realm, asked)
  }

  /**
   * Where tokens are: over HTTPS unless the registry itself is not or both are on this machine, and on no machine that only we can reach unless it is the
   * registry's own.
   */
  #realm(text: string, base: URL): URL {
    const { registry } = this.#options
    const refuse = (reason: string): never => {
      throw new SingError(
        'REGISTRY',
        `${shown(registry)} names the token server ${shownAddress(text)}: ${reason}`,
      )
    }
    const realm = URL.parse(text)
    if (!realm || !/^https?:$/.test(realm.protocol)) return refuse('this is no address of a web server')
    const [there, here] = [withoutPort(realm.host), withoutPort(base.host)]
    const isHere = isLoopback(there) && isLoopback(here)
    if (realm.protocol === 'http:' && base.protocol !== 'http:' && !isHere)
      return refuse('it does not use HTTPS')
    const isForeign = isInner(there) || isLoopback(there)
    if (isForeign && there !== here && !isInner(here) && !isLoopback(here))
      return refuse('a registry elsewhere has no token server in this network')
    return realm
  }

  async #ask(
    realm: URL,
    service: string | undefined,
    scopes: readonly string[],
    login: Exclude<Login, { kind: 'bearer' }> | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    if (login?.kind === 'identity') {
      const response = await this.#refresh(realm, service, scopes, login.token, signal)
      if (response.status !== 404 && response.status !== 405) return response
      await response.discard()
    }
    const address = new URL(realm)
    if (service) address.searchParams.set('service', service)
    for (const scope of scopes) address.searchParams.append('scope', scope)
    const secret = login?.kind === 'identity' ? login.token : login?.password
    const headers = login && secret !== undefined ? { authorization: basic(login.username, secret) } : {}
    return this.#options.client.request(address, { headers, signal })
  }

  #refresh(
    realm: URL,
    service: string | undefined,
    scopes: readonly string[],
    token: string,
    signal: AbortSignal,
  ): Promise<Response> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: token,
      client_id: 'sing',
      ...(service && { service }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    })
    return this.#options.client.request(realm, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      // The secret stands in the body, which a redirection to another server would take along.
      redirects: false,
      signal,
    })
  }

  #readToken(bytes: Buffer, realm: URL, asked: number): Token {
    let fields: Record<string, unknown> | null = null
    try {
      fields = JSON.parse(bytes.toString('utf8'))
    } catch {
      // Told below; the bytes may hold a token.
    }
    const token = [fields?.token, fields?.access_token].find(
      (value) => typeof value === 'string' && value !== '',
    )
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
      throw new SingError('REGISTRY', `the token server ${shownAddress(realm)} sends no token`)
    }
    const life = Number(fields?.expires_in ?? usualLife)
    const seconds = Number.isFinite(life) && life > 0 ? life : usualLife
    return { header: `Bearer ${token}`, expires: asked + Math.max(seconds - margin, seconds / 2) * 1000 }
  }

  async #refusedBy(realm: URL, response: Response, login: Login | undefined): Promise<SingError> {
    const { registry } = this.#options
    await response.discard()
    if (![400, 401, 403].includes(response.status)) {
      return new SingError('REGISTRY', `the token server ${shownAddress(realm)} answered ${response.status}`)
    }
    return refusedLogin(registry, login && (await this.identity()))
  }
}

/** The registry knows us and says no, or does not know us. */
export function refusedLogin(registry: string, identity: string | undefined): SingError {
  const name = shown(registry)
  const hint = `Log in: sing registry login ${name}`
  return identity
    ? new SingError('REGISTRY', `${name} refuses ${identity}`, {
        hint: `Is the password right? Many registries want an access token in its place. ${hint}`,
      })
    : new SingError('REGISTRY', `${name} wants a user and a password`, { hint })
}
