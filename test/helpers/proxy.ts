/** Stands before a server, passes everything on, and notes what was asked. On demand it answers itself, or badly. */

import { readFileSync } from 'node:fs'
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request as plainRequest,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, request as tlsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Certificate } from './certificates.ts'

export type Asked = {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly range: string | undefined
  /** The scheme of the Authorization header; undefined without one. */
  readonly authorization: string | undefined
  readonly userAgent: string | undefined
  status: number
  /** Bytes of the body that went back so far. */
  bytes: number
}

/** What happens instead of the server's answer. */
export type Meddling =
  | {
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string | Uint8Array
    }
  /** The server's answer, cut after so many bytes of its body. */
  | { readonly cutAfter: number }
  /** Neither the server nor who asks hears more, when so many bytes of the request have gone by. */
  | { readonly cutRequestAfter: number }
  /** The server's answer, with its bytes changed. */
  | { readonly change: (chunk: Buffer) => Buffer }

export type Meddle = (request: IncomingMessage) => Meddling | undefined

export interface NotingProxy extends AsyncDisposable {
  readonly port: number
  /** What was asked, each noted before the first byte of its answer goes back. */
  readonly requests: Asked[]
  /** Asked before each request is passed on. */
  meddle: Meddle | undefined
}

/** A proxy on a free port of 127.0.0.1 before another port of it; with a certificate both speak TLS. */
export async function startProxy(target: number, tls?: Certificate): Promise<NotingProxy> {
  const requests: Asked[] = []
  const proxy: Pick<NotingProxy, 'requests' | 'meddle'> = { requests, meddle: undefined }
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const meddling = proxy.meddle?.(request)
    const note = (status: number) => requests[requests.push(noteOf(request, status)) - 1] as Asked
    const answer =
      meddling && 'status' in meddling
        ? answerInstead(request, response, meddling, note)
        : pass(ask(request, response, target, tls, meddling), response, meddling, note)
    answer.catch(() => response.destroy())
  }
  const server = tls
    ? createTlsServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, serve)
    : createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(proxy, {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

const noteOf = (request: IncomingMessage, status: number): Asked => ({
  method: request.method ?? '',
  path: request.url ?? '',
  range: request.headers.range,
  authorization: request.headers.authorization?.split(' ')[0],
  userAgent: request.headers['user-agent'],
  status,
  bytes: 0,
})

async function answerInstead(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers = {}, body = '' }: Extract<Meddling, { status: number }>,
  note: (status: number) => Asked,
): Promise<void> {
  request.resume()
  note(status).bytes = Buffer.byteLength(body)
  response.writeHead(status, headers)
  await new Promise<void>((resolve) => response.end(body, resolve))
}

async function pass(
  asking: Promise<IncomingMessage>,
  response: ServerResponse,
  meddling: Exclude<Meddling, { status: number }> | undefined,
  note: (status: number) => Asked,
): Promise<void> {
  const answer = await asking
  const status = answer.statusCode ?? 502
  const asked = note(status)
  response.writeHead(status, answer.rawHeaders)
  response.flushHeaders()
  await pipeline(answer, through(meddling, response, asked), response)
}

function ask(
  request: IncomingMessage,
  response: ServerResponse,
  port: number,
  tls: Certificate | undefined,
  meddling: Meddling | undefined,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const options = {
    host: '127.0.0.1',
    port,
    method: request.method,
    path: request.url,
    headers: request.headers,
  }
  const onward = tls
    ? tlsRequest({ ...options, ca: readFileSync(tls.authority), agent: false }, resolve)
    : plainRequest({ ...options, agent: false }, resolve)
  onward.on('error', reject)
  response.on('close', () => onward.destroy())
  if (meddling && 'cutRequestAfter' in meddling) cutAfter(meddling.cutRequestAfter, request, onward)
  else request.pipe(onward)
  return promise
}

/** Everything up to there arrives; then both connections end. */
function cutAfter(limit: number, request: IncomingMessage, onward: ClientRequest): void {
  let passed = 0
  request.on('data', (chunk: Buffer) => {
    if (passed >= limit) return
    const part = chunk.subarray(0, limit - passed)
    passed += part.length
    onward.write(part, () => passed >= limit && onward.destroy() && request.socket.destroy())
  })
}

function through(
  meddling: Exclude<Meddling, { status: number }> | undefined,
  response: ServerResponse,
  asked: Asked,
): Transform {
  const limit = meddling && 'cutAfter' in meddling ? meddling.cutAfter : Number.POSITIVE_INFINITY
  const change = meddling && 'change' in meddling ? meddling.change : (chunk: Buffer) => chunk
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const part = change(chunk).subarray(0, limit - asked.bytes)
      asked.bytes += part.length
      if (asked.bytes < limit) return done(null, part)
      response.write(part, () => response.socket?.destroySoon())
      done()
    },
  })
}
