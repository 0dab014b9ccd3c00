/** One request and the head of its answer, with a limit to every wait. */

import { once } from 'node:events'
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { Route } from './connect.ts'
import { TooSlow } from './failure.ts'

/** How long to wait for what, in milliseconds. */
export type Patience = {
  /** Until there is a connection. */
  readonly connect: number
  /** From the last byte of the request to the head of the answer: registries write large blobs to their store in between. */
  readonly answer: number
  /** For `least` bytes of a body; time in which nobody asks for bytes does not count. */
  readonly body: number
  readonly least: number
  /** Before the second try; three times as long before each further one. */
  readonly pause: number
  /** A server that wants us to come back later than that is not waited for. */
  readonly retryAfter: number
}

export const patience: Patience = {
  connect: 30_000,
  answer: 300_000,
  body: 60_000,
  least: 64 * 1024,
  pause: 1000,
  retryAfter: 60_000,
}

/** Bytes to send. They may be asked for again: after a redirection, or in another try. */
export type Body = {
  /** Undefined: it is known when the last byte was sent. */
  readonly size: number | undefined
  readonly stream: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** At most one thing is waited for at a time; what takes too long ends the request. */
class Clock implements Disposable {
  readonly #request: ClientRequest
  #timer: NodeJS.Timeout | undefined

  constructor(request: ClientRequest) {
    this.#request = request
  }

  start(milliseconds: number, what: string): void {
    this.stop()
    const late = () =>
      this.#request.destroy(new TooSlow(`${what} in ${Math.ceil(milliseconds / 1000)} seconds`))
    this.#timer = setTimeout(late, milliseconds)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}

export function begin(route: Route, headers: OutgoingHttpHeaders, method: string): ClientRequest {
  const request = route.begin({
    ...route.options,
    method,
    headers: { ...headers, ...(route.options.headers as OutgoingHttpHeaders) },
  })
  // What happens after the answer is told to who reads it.
  request.on('error', () => {})
  return request
}

/** A connection is there; for secure ones, also the agreement. */
async function connected(request: ClientRequest): Promise<void> {
  const [socket] = (await once(request, 'socket')) as [Socket & { encrypted?: boolean }]
  if (socket.connecting) await once(socket, socket.encrypted ? 'secureConnect' : 'connect')
}

/** Send the body. False when the answer came first: then the server wants no more of it. */
async function send(
  request: ClientRequest,
  body: Body,
  answered: Promise<unknown>,
  { clock, limit }: { clock: Clock; limit: number },
): Promise<boolean> {
  let isAnswered = false
  const note = () => {
    isAnswered = true
  }
  answered.then(note, note)
  for await (const chunk of body.stream()) {
    if (isAnswered) return false
    if (request.write(chunk)) continue
    clock.start(limit, 'it took no bytes')
    await Promise.race([once(request, 'drain'), answered])
    clock.stop()
  }
  return true
}

/** Send the request; resolves with the head of the answer, whose body is to be read. */
export async function exchange(
  request: ClientRequest,
  body: Body | undefined,
  { connect, answer, body: limit }: Patience,
): Promise<IncomingMessage> {
  const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.once('response', resolve).once('error', reject)
  // It is looked at below, perhaps after it happened.
  answered.catch(() => {})
  using clock = new Clock(request)
  clock.start(connect, 'no connection')
  await Promise.race([connected(request), answered])
  clock.stop()
  const isSent = !body || (await send(request, body, answered, { clock, limit }))
  if (isSent) request.end()
  clock.start(answer, 'no answer')
  const message = await answered
  // The next request would be taken for the rest of the body.
  if (!isSent) message.once('close', () => request.destroy())
  return message
}
