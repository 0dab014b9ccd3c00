/** A registry on a free port of 127.0.0.1 that hands out the images of a layout, and misbehaves as it is told. */

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Layout } from './oci.ts'

export type BadRequest = {
  readonly kind: 'ping' | 'manifest' | 'blob' | 'other'
  readonly method: string
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

type Answer = {
  readonly request: BadRequest
  readonly response: ServerResponse
  readonly body: Buffer
  readonly headers: Readonly<Record<string, string | number>>
  /** How many requests of this kind came before. */
  readonly before: number
}

/** Answers instead of the registry, or does not (false). */
export type Misbehaviour = (answer: Answer) => boolean

export interface BadRegistry extends AsyncDisposable {
  readonly host: string
  readonly requests: readonly BadRequest[]
  misbehave: Misbehaviour
}

const well: Misbehaviour = () => false

export async function startBadRegistry(layout: Layout, misbehave: Misbehaviour = well): Promise<BadRegistry> {
  const requests: BadRequest[] = []
  const registry = { requests, misbehave }
  const server = createServer((incoming, response) => {
    const request = note(incoming)
    const before = requests.filter(
      ({ kind, method }) => kind === request.kind && method === request.method,
    ).length
    requests.push(request)
    const found = lookUp(layout, request)
    if (!found) return void response.writeHead(request.kind === 'ping' ? 200 : 404).end()
    if (registry.misbehave({ request, response, before, ...found })) return
    answer(request, response, found)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(registry, {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

const kinds = { manifests: 'manifest', blobs: 'blob' } as const

function note({ method = '', url: path = '', headers }: IncomingMessage): BadRequest {
  const [url = ''] = path.split('?')
  const [, word = ''] = /\/(manifests|blobs)\/[^/]*$/.exec(url) ?? []
  const kind = url === '/v2/' ? 'ping' : (kinds[word as keyof typeof kinds] ?? 'other')
  return { kind, method, path, range: headers.range, authorization: headers.authorization }
}

/** Tags are those of the layout, whatever the name of the repository. */
function lookUp(layout: Layout, { kind, path }: BadRequest): Pick<Answer, 'body' | 'headers'> | undefined {
  const word = path.slice(path.lastIndexOf('/') + 1)
  const digest = layout.digests[word] ?? word
  if (kind === 'ping' || !/^sha256:/.test(digest)) return undefined
  try {
    const body = readFileSync(join(layout.folder, 'blobs', ...digest.split(':')))
    const type = kind === 'manifest' ? JSON.parse(body.toString()).mediaType : 'application/octet-stream'
    return {
      body,
      headers: { 'content-type': type, 'docker-content-digest': digest, 'content-length': body.length },
    }
  } catch {
    return undefined
  }
}

function answer(
  request: BadRequest,
  response: ServerResponse,
  { body, headers }: Pick<Answer, 'body' | 'headers'>,
): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.range ?? '')?.[1] ?? 0)
  const part = body.subarray(from)
  const range = { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` }
  response.writeHead(from > 0 ? 206 : 200, {
    ...headers,
    'content-length': part.length,
    ...(from > 0 && range),
  })
  response.end(request.method === 'HEAD' ? undefined : part)
}

/** Only for GET requests of one kind, the first `times` of them. */
const on =
  (
    kind: BadRequest['kind'],
    misbehave: (answer: Answer) => void,
    times = Number.POSITIVE_INFINITY,
  ): Misbehaviour =>
  (answer) => {
    if (answer.request.kind !== kind || answer.request.method !== 'GET' || answer.before >= times)
      return false
    misbehave(answer)
    return true
  }

/** Ways to misbehave. */
export const bad = {
  /** The first connections end after some bytes of the blob. */
  cuts: (bytes: number, times: number) =>
    on(
      'blob',
      ({ request, response, body, headers }) => {
        const from = Number(/\d+/.exec(request.range ?? '')?.[0] ?? 0)
        const range = { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` }
        response.writeHead(from > 0 ? 206 : 200, {
          ...headers,
          'content-length': body.length - from,
          ...range,
        })
        response.write(body.subarray(from, from + bytes), () => response.destroy())
      },
      times,
    ),
  /** Other bytes than those that the digest promises. */
  changes: (kind: 'manifest' | 'blob') =>
    on(kind, ({ response, body, headers }) => {
      const other = Buffer.from(body)
      other[other.length >> 1] = (other[other.length >> 1] ?? 0) ^ 1
      response.writeHead(200, headers).end(other)
    }),
  /** More bytes than the manifest says. */
  lengthens: () =>
    on('blob', ({ response, body, headers }) => {
      const longer = Buffer.concat([body, Buffer.alloc(100)])
      response.writeHead(200, { ...headers, 'content-length': longer.length }).end(longer)
    }),
  /** The length is not told, and more bytes come than the manifest says. */
  runsOver: () =>
    on('blob', ({ response, body }) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' })
      response.write(body)
      response.end(Buffer.alloc(100))
    }),
  /** Wants a login, whatever it is. */
  refuses: (challenge: string): Misbehaviour => {
    return ({ response }) => {
      response.writeHead(401, { 'www-authenticate': challenge, 'content-type': 'application/json' })
      response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
      return true
    }
  },
  /** Has had enough of us, for some requests. */
  slowsDown: (seconds: string, times: number) =>
    on(
      'blob',
      ({ response }) => {
        const fault = '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
        response.writeHead(429, { 'retry-after': seconds }).end(fault)
      },
      times,
    ),
  /** Fails some times. */
  fails: (kind: 'manifest' | 'blob', status: number, times: number) =>
    on(kind, ({ response }) => response.writeHead(status).end('internal error'), times),
  /** Leads elsewhere for blobs. */
  redirects: (to: (path: string) => string) =>
    on('blob', ({ request, response }) => response.writeHead(307, { location: to(request.path) }).end()),
  /** One byte now and then, for ever. */
  drips: (milliseconds: number) =>
    on('blob', ({ response, body, headers }) => {
      response.writeHead(200, headers)
      let sent = 0
      const timer = setInterval(() => response.write(body.subarray(sent, ++sent)), milliseconds)
      response.on('close', () => clearInterval(timer))
    }),
  /** A manifest that never ends. */
  endless: () =>
    on('manifest', ({ response }) => {
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20))) {}
      }
      response.on('drain', more)
      more()
    }),
}
