/** Ways to servers: directly, through a proxy, to a socket of this machine; connections are kept and used again. */

import * as http from 'node:http'
import * as https from 'node:https'
import type { Duplex } from 'node:stream'
import { connect, createSecureContext, type SecureContext } from 'node:tls'
import { shown } from '../core/errors.ts'
import { basicOf, hostOf, proxyFor } from './proxy.ts'
import { readTrust, type Trust } from './trust.ts'

type Environment = Readonly<Record<string, string>>

/** How a request reaches its server, as options of the request. */
export type Route = {
  readonly begin: (options: http.RequestOptions) => http.ClientRequest
  readonly options: http.RequestOptions
}

/** The proxy is no way to the server: by its answer, or by its cause. */
export class ProxyRefusal extends Error {}

const proxyHeaders = (proxy: URL): http.OutgoingHttpHeaders => {
  const authorization = basicOf(proxy)
  return authorization === undefined ? {} : { 'proxy-authorization': authorization }
}

const portOf = ({ port, protocol }: URL): number => Number(port || (protocol === 'https:' ? 443 : 80))

const isSecure = ({ protocol }: URL): boolean => protocol === 'https:'

/** Have the proxy connect us to `target`. Its other answers are errors. */
function openTunnel(proxy: URL, target: string, secureContext: SecureContext): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const begin = isSecure(proxy) ? https.request : http.request
  const request = begin({
    method: 'CONNECT',
    host: hostOf(proxy),
    port: portOf(proxy),
    path: target,
    headers: { host: target, ...proxyHeaders(proxy) },
    agent: false,
    ...(isSecure(proxy) && { secureContext }),
  })
  request.on('connect', ({ statusCode }: http.IncomingMessage, socket: Duplex) => {
    if (statusCode === 200) return resolve(socket)
    socket.destroy()
    reject(new ProxyRefusal(`the proxy ${shown(proxy.host)} answered ${statusCode}`))
  })
  request.on('response', (response) => {
    response.destroy()
    reject(new ProxyRefusal(`the proxy ${shown(proxy.host)} answered ${response.statusCode}`))
  })
  request.on('error', (cause) => reject(new ProxyRefusal(`the proxy ${shown(proxy.host)}`, { cause })))
  request.end()
  return promise
}

/** Connections to secure servers through a proxy. */
class TunnelAgent extends https.Agent {
  readonly #proxy: URL
  readonly #context: SecureContext

  constructor(proxy: URL, options: https.AgentOptions & { secureContext: SecureContext }) {
    super(options)
    this.#proxy = proxy
    this.#context = options.secureContext
  }

  override createConnection(
    options: https.RequestOptions,
    done: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    // Node's type has no call with an error alone, which is what the agent expects then.
    const fail = done as (error: Error) => void
    const host = String(options.host)
    const target = `${host.includes(':') ? `[${host}]` : host}:${options.port}`
    openTunnel(this.#proxy, target, this.#context).then((socket) => {
      const { servername, rejectUnauthorized, secureContext } = options as https.AgentOptions & {
        rejectUnauthorized?: boolean
      }
      const secure = connect({
        socket,
        host,
        secureContext: secureContext ?? this.#context,
        ...(servername !== undefined && { servername }),
        ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
      })
      secure.once('secureConnect', () => done(null, secure)).once('error', fail)
    }, fail)
  }
}

/** The ways of one run of the program; ends its connections when it is disposed of. */
export class Connections implements Disposable {
  readonly #environment: Environment
  readonly #trust: Trust | undefined
  readonly #agents = new Map<string, http.Agent>()
  readonly #contexts = new Map<string, SecureContext>()

  constructor(environment: Environment, trust?: Trust) {
    this.#environment = environment
    this.#trust = trust
  }

  /**
   * A request for `url`: at a socket of this machine if `socketPath` is given, to whoever answers if it is `trusting`.
   */
  route(url: URL, { socketPath, trusting }: { socketPath: string | undefined; trusting: boolean }): Route {
    if (socketPath !== undefined) return this.#local(url, socketPath)
    const proxy = proxyFor(url, this.#environment)
    const options = { host: hostOf(url), port: portOf(url), path: url.pathname + url.search }
    if (isSecure(url)) {
      const agent = this.#agent(`${url.host} ${trusting} ${proxy?.href}`, () => {
        const kept = { keepAlive: true, rejectUnauthorized: !trusting, secureContext: this.#context(url) }
        return proxy ? new TunnelAgent(proxy, kept) : new https.Agent(kept)
      })
      return { begin: https.request, options: { ...options, agent } }
    }
    return proxy
      ? this.#proxied(url, proxy)
      : { begin: http.request, options: { ...options, agent: this.#plain() } }
  }

  #plain(): http.Agent {
    return this.#agent('http', () => new http.Agent({ keepAlive: true }))
  }

  #local(url: URL, socketPath: string): Route {
    const options = { socketPath, path: url.pathname + url.search, headers: { host: 'localhost' } }
    return { begin: http.request, options: { ...options, agent: this.#plain() } }
  }

  /** Plain requests are told to the proxy with their whole address. */
  #proxied(url: URL, proxy: URL): Route {
    const address = new URL(url)
    address.username = ''
    address.password = ''
    address.hash = ''
    const options = {
      host: hostOf(proxy),
      port: portOf(proxy),
      path: address.href,
      headers: { host: url.host, ...proxyHeaders(proxy) },
    }
    if (!isSecure(proxy)) return { begin: http.request, options: { ...options, agent: this.#plain() } }
    const secureContext = this.#context(proxy)
    const agent = this.#agent(proxy.href, () => new https.Agent({ keepAlive: true, secureContext }))
    return { begin: https.request, options: { ...options, agent } }
  }

  #agent(key: string, make: () => http.Agent): http.Agent {
    const agent = this.#agents.get(key) ?? make()
    this.#agents.set(key, agent)
    return agent
  }

  #context(url: URL): SecureContext {
    const { ca, cert, key } = this.#trust ?? readTrust(url, this.#environment)
    const name = [...ca, cert].join('\n')
    const context =
      this.#contexts.get(name) ??
      createSecureContext({ ca: [...ca], ...(cert !== undefined && key !== undefined && { cert, key }) })
    this.#contexts.set(name, context)
    return context
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }
}
