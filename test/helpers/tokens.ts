/** A server of bearer tokens for a registry, as the distribution project describes them: who asks with what, and what it may do. */

import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Certificate } from './certificates.ts'

/** What somebody may do, by repository; `*` is any. */
export type Rights = Readonly<Record<string, readonly ('pull' | 'push' | 'delete' | '*')[]>>

export type RegistryUser = { readonly password: string; readonly rights?: Rights }

export type TokenRequest = {
  readonly method: string
  /** Undefined: nobody said who he is. */
  readonly user: string | undefined
  readonly scopes: readonly string[]
  readonly grant: 'anonymous' | 'basic' | 'password' | 'refresh_token'
  readonly status: number
}

export type TokenOptions = {
  readonly users: Readonly<Record<string, RegistryUser>>
  readonly anonymous?: Rights
  /** Seconds that a token lives. */
  readonly lifetime?: number
}

export interface TokenServer extends AsyncDisposable {
  /** Where tokens are: the realm of a challenge. */
  readonly realm: string
  readonly requests: readonly TokenRequest[]
}

export const service = 'sing-test'
export const issuer = 'sing-test-issuer'

/** Tokens for a registry that trusts this certificate. */
export async function startTokens(certificate: Certificate, options: TokenOptions): Promise<TokenServer> {
  const requests: TokenRequest[] = []
  const mint = minter(certificate, options.lifetime ?? 300)
  const server = createServer((request, response) => {
    answer(request, response, options, mint).then(
      (told) => requests.push(told),
      () => response.destroy(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    realm: `http://localhost:${(server.address() as AddressInfo).port}/token`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Asking = { grant: TokenRequest['grant']; user?: string; password?: string; wantsRefresh: boolean }

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: TokenOptions,
  mint: (user: string, rights: Rights, scopes: readonly string[]) => object,
): Promise<TokenRequest> {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const fields = request.method === 'POST' ? new URLSearchParams(await text(request)) : url.searchParams
  const scopes = fields.getAll('scope').flatMap((scope) => scope.split(' '))
  const { grant, user, password, wantsRefresh } = whoAsks(request, fields)
  const known = user === undefined ? undefined : options.users[user]
  const isTrusted = grant === 'anonymous' || (known !== undefined && known.password === password)
  const status = isTrusted ? 200 : 401
  const rights = grant === 'anonymous' ? options.anonymous : (known?.rights ?? { '*': ['*'] as const })
  const token = isTrusted
    ? mint(user ?? '', rights ?? {}, scopes)
    : { details: 'incorrect username or password' }
  const refresh = isTrusted && wantsRefresh && user ? { refresh_token: refreshOf(user, password ?? '') } : {}
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify({ ...token, ...refresh }))
  return { method: request.method ?? '', user, scopes, grant, status }
}

function whoAsks(request: IncomingMessage, fields: URLSearchParams): Asking {
  const grant = fields.get('grant_type')
  if (grant === 'refresh_token') {
    const [user, password] = pair(Buffer.from(fields.get('refresh_token') ?? '', 'base64url').toString())
    return { grant, user, password, wantsRefresh: true }
  }
  if (grant === 'password') {
    const [user, password] = [fields.get('username') ?? '', fields.get('password') ?? '']
    return { grant, user, password, wantsRefresh: fields.get('access_type') === 'offline' }
  }
  const basic = /^Basic (.*)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (basic === undefined) return { grant: 'anonymous', wantsRefresh: false }
  const [user, password] = pair(Buffer.from(basic, 'base64').toString())
  return { grant: 'basic', user, password, wantsRefresh: fields.get('offline_token') === 'true' }
}

const refreshOf = (user: string, password: string) => Buffer.from(`${user}:${password}`).toString('base64url')

function pair(line: string): [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon), line.slice(colon + 1)]
}

/** RFC 7519, signed with the key whose certificate the token carries. */
function minter(certificate: Certificate, lifetime: number) {
  const key = createPrivateKey(readFileSync(certificate.key))
  const chain = [new X509Certificate(readFileSync(certificate.certificate)).raw.toString('base64')]
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return (user: string, rights: Rights, scopes: readonly string[]): object => {
    const now = Math.floor(Date.now() / 1000)
    const access = scopes.flatMap((scope) => granted(scope, rights))
    const claims = { iss: issuer, sub: user, aud: service, exp: now + lifetime, nbf: now - 10, iat: now }
    const head = encode({ typ: 'JWT', alg: 'RS256', x5c: chain })
    const signed = `${head}.${encode({ ...claims, jti: randomUUID(), access })}`
    const token = `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`
    return { token, access_token: token, expires_in: lifetime, issued_at: new Date(now * 1000).toISOString() }
  }
}

/** `repository:NAME:pull,push`, where the name may hold colons. */
function granted(scope: string, rights: Rights): object[] {
  const parts = /^([^:]+):(.+):([^:]*)$/.exec(scope)
  if (!parts) return []
  const [, type = '', name = '', wanted = ''] = parts
  const own = rights[name] ?? rights['*'] ?? []
  const actions = wanted.split(',').filter((action) => own.some((one) => one === '*' || one === action))
  return actions.length > 0 ? [{ type, name, actions }] : []
}
