/** Asks key servers: for a key, for their index, to take a key. What they answer is bounded, and believed as far as it proves itself. */

import { SingError, shown } from '../core/errors.ts'
import { keepsSecrets, serverText } from '../endpoints/address.ts'
import type { KeyServer } from '../endpoints/keyservers.ts'
import type { AskOptions as EndpointOptions } from '../endpoints/services.ts'
import { HttpClient, type Patience, RequestError, type RequestOptions, type Response } from '../store/http.ts'
import { addAddress, addForm, getAddress, type IndexedKey, indexAddress, readIndex } from './hkp.ts'

/** What asking takes, and here the milliseconds for one answer, however steadily it comes. */
export type AskOptions = EndpointOptions & { readonly deadline?: number | undefined }

/** Bytes: keys with all the signatures that others gave them have some hundred kilobytes. */
const keyLimit = 4 * 1024 * 1024
const indexLimit = 4 * 1024 * 1024
const replyLimit = 64 * 1024
/** An index that goes on for ever is not read for ever. */
const mostPages = 8

/** A person waits for the answer. */
const usualDeadline = 60_000
const patience: Partial<Patience> = { connect: 5000, answer: 30_000, body: 10_000, retryAfter: 5000 }

export const refuse = ({ url }: KeyServer, reason: string, hint?: string, cause?: unknown): SingError =>
  new SingError('KEYSERVER', `the key server ${shown(serverText(url))} ${reason}`, { hint, cause })

function headersOf({ url, authorization }: KeyServer, { report }: AskOptions): Record<string, string> {
  if (authorization === undefined) return {}
  if (keepsSecrets(url)) return { authorization }
  const text = `The login for ${shown(serverText(url))} is not sent: everybody on the way could read it (plain HTTP)`
  report({ kind: 'warning', text })
  return {}
}

/** Ask one thing, and read the answer to it while the connection lasts. */
async function ask<T>(
  server: KeyServer,
  address: URL,
  request: Pick<RequestOptions, 'method' | 'body' | 'retries' | 'redirects'> & {
    readonly headers?: Readonly<Record<string, string>>
  },
  options: AskOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const { environment, report, deadline = usualDeadline } = options
  const late = AbortSignal.timeout(deadline)
  const signal = AbortSignal.any([options.signal, late])
  using client = new HttpClient({ environment, report, patience: { ...patience, ...options.patience } })
  try {
    const response = await client.request(address, {
      ...request,
      headers: { ...headersOf(server, options), ...request.headers },
      staysSafe: true,
      trusting: server.isInsecure === true,
      signal,
    })
    return await read(response)
  } catch (cause) {
    options.signal.throwIfAborted()
    if (late.aborted)
      throw refuse(server, `takes more than ${Math.ceil(deadline / 1000)} seconds for its answer`)
    if (!(cause instanceof RequestError)) throw cause
    throw refuse(server, `gives no answer: ${cause.message}`, cause.hint, cause)
  }
}

/** @throws SingError KEYSERVER for an answer that says that there is none */
async function expectSuccess(server: KeyServer, response: Response): Promise<void> {
  const { status } = response
  if (status >= 200 && status < 300) return
  const location = response.header('location')
  await response.discard()
  if (status === 401 || status === 403) {
    const hint = `Log in first: sing keyserver login ${shown(serverText(server.url))}`
    throw refuse(server, `does not let us in (${status})`, hint)
  }
  if (status >= 300 && status < 400 && location !== undefined)
    throw refuse(server, `sends us to ${shown(location)}`, 'Name that server by --url')
  throw refuse(server, `answered ${status}`)
}

/**
 * What a server has for an id or fingerprint, in hex digits: OpenPGP packets, armored or not, whatever is in them. Undefined when it
 * has nothing.
 * @throws SingError KEYSERVER when it gives no answer
 */
export async function fetchKey(
  server: KeyServer,
  id: string,
  options: AskOptions,
): Promise<Buffer | undefined> {
  return await ask(server, getAddress(server.url, id), { retries: 1 }, options, async (response) => {
    if (response.status === 404) {
      await response.discard()
      return undefined
    }
    await expectSuccess(server, response)
    return await response.bytes(keyLimit)
  })
}

type Page = { readonly keys: readonly IndexedKey[]; readonly next: string | undefined }

async function readPage(server: KeyServer, response: Response): Promise<Page> {
  if (response.status === 404) {
    await response.discard()
    return { keys: [], next: undefined }
  }
  await expectSuccess(server, response)
  const keys = readIndex((await response.bytes(indexLimit)).toString('utf8'))
  if (!keys) throw refuse(server, 'answers with something else than a list of keys')
  return { keys, next: response.header('x-hkp-next-page-token') || undefined }
}

/**
 * The keys whose ids or names have the words, as the server tells.
 * @throws SingError KEYSERVER when it gives no answer
 */
export async function searchKeys(
  server: KeyServer,
  words: string,
  options: AskOptions,
): Promise<IndexedKey[]> {
  const found: IndexedKey[] = []
  let page: string | undefined
  for (let count = 0; count < mostPages; count++) {
    const address = indexAddress(server.url, words, page)
    const { keys, next } = await ask(server, address, { retries: 1 }, options, (response) =>
      readPage(server, response),
    )
    found.push(...keys)
    if (next === undefined || keys.length === 0) return found
    page = next
  }
  options.report({
    kind: 'warning',
    text: `There are more keys than these ${found.length}: say more of the name`,
  })
  return found
}

/** The words of an answer that may be a page for people. */
function wordsOf(bytes: Buffer): string {
  const words = bytes.toString('utf8').replace(/<(style|script)\b[\s\S]*?<\/\1>|<[^>]*>/gi, ' ')
  return shown(words.replace(/\s+/g, ' ').trim()).slice(0, 400)
}

/**
 * Have a server take a public key. Returns what it says about it.
 * @throws SingError KEYSERVER when it does not take it
 */
export async function pushKey(server: KeyServer, armored: string, options: AskOptions): Promise<string> {
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(addForm(armored)),
    retries: 0,
    // Others follow with a GET, whose answer would be taken for a success.
    redirects: false,
  }
  return await ask(server, addAddress(server.url), request, options, async (response) => {
    await expectSuccess(server, response)
    return wordsOf(await response.bytes(replyLimit))
  })
}

/** An id that hardly any key has. */
const nobody = '0000000000000000'

/**
 * Ask for a key that is not there, as who we say we are.
 * @throws SingError KEYSERVER when the server does not let us in, or gives no answer
 */
export async function tryLogin(server: KeyServer, options: AskOptions): Promise<void> {
  if (!keepsSecrets(server.url))
    throw refuse(server, 'is not sent a login: everybody on the way could read it (plain HTTP)')
  await fetchKey(server, nobody, options)
}
