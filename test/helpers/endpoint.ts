/** An endpoint: tells of its services and knows one token, as the services of SingularityCE do. On a free port of 127.0.0.1. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface EndpointServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** Method, path and Authorization header of what was asked. */
  readonly requests: string[]
  /** Answers instead of the endpoint, or does not (false). */
  misbehave: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** A token as long as those that the peers believe to be one. */
export const goodToken = `good.${'x'.repeat(300)}`

export async function startEndpoint(services?: (base: string) => object): Promise<EndpointServer> {
  const requests: string[] = []
  const endpoint: Pick<EndpointServer, 'requests' | 'misbehave'> = { requests, misbehave: () => false }
  let host = ''
  const usual = (base: string) => ({
    libraryAPI: { uri: `${base}/library`, registryUri: `${base}/registry` },
    keystoreAPI: { uri: `${base}/keys` },
    tokenAPI: { uri: `${base}/token` },
    consentAPI: {},
  })
  const server = createServer((request, response) => {
    const { method, url, headers } = request
    requests.push(`${method} ${url} ${headers.authorization ?? '-'}`)
    if (endpoint.misbehave(request, response)) return
    const answer = (status: number, body: object) =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const isKnown = headers.authorization === `Bearer ${goodToken}`
    switch (url) {
      case '/assets/config/config.prod.json':
      case '/below/assets/config/config.prod.json':
        return answer(200, (services ?? usual)(`http://${host}`))
      case '/token/v1/token-status':
        return answer(isKnown ? 200 : 404, {})
      case '/library/v1/rbac/users/current':
        return answer(isKnown ? 200 : 401, {
          username: 'ada',
          oidc_user_meta: { secret: 'for-the-registry' },
        })
      case '/keys/version':
      case '/library/version':
      case '/token/version':
        return answer(200, { data: { version: 'v1.2.3', apiVersion: '2.0' } })
      default:
        return answer(404, {})
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.assign(endpoint, {
    host,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}
