/** Image files on web servers (`http://`, `https://`). */

import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SingError } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { type ImageKey, imageKey } from '../store/cache.ts'
import { HttpClient, RequestError, type Response, shownAddress } from '../store/http.ts'
import { cacheRoom, diskFull, isFull } from '../store/space.ts'
import type { Fetched, FetchOptions } from './fetch.ts'
import { openImage } from './open.ts'

/** What a server tells about a file. */
type Facts = {
  readonly size: number | undefined
  /** By which a later answer is known to be about the same bytes. */
  readonly version: string | undefined
}

/**
 * The file at an address. It is fetched again when the server tells of another version, or of none.
 * @throws SingError when it cannot be had or is no image
 */
export async function fetchWeb(address: string, options: FetchOptions): Promise<Fetched> {
  const { cache, report, signal, source } = options
  const name = shownAddress(address)
  using client = new HttpClient({ environment: source.environment, report })
  const site = new Site(client, address, signal)
  const facts = await site.ask()
  const key = keyOf(address, facts)
  const anew = facts.version === undefined
  const make = async (path: string) => {
    await receive(site, path, report)
    await requireImage(path, name)
  }
  return { path: await cache.image(key, make, { signal, name, anew }), name }
}

const keyOf = (address: string, { version = '', size }: Facts): ImageKey =>
  imageKey('net', address, version, String(size ?? ''))

function factsOf(response: Response): Facts {
  const tag = response.header('etag')
  // A weak one may stand for other bytes that mean the same.
  const strong = tag?.startsWith('W/') ? undefined : tag
  return { size: response.length, version: strong ?? response.header('last-modified') }
}

/** One file of a server. */
class Site {
  readonly name: string
  readonly #client: HttpClient
  readonly #address: string
  readonly #signal: AbortSignal

  constructor(client: HttpClient, address: string, signal: AbortSignal) {
    this.name = shownAddress(address)
    this.#client = client
    this.#address = address
    this.#signal = signal
  }

  /** What the server tells without sending the file. */
  async ask(): Promise<Facts> {
    const response = await this.#request('HEAD', {})
    await response.discard()
    if (response.status === 200) return factsOf(response)
    // Some servers answer only GET, where an address was signed for it.
    if ([401, 403, 405, 501].includes(response.status)) return { size: undefined, version: undefined }
    throw this.#refusal(response.status)
  }

  /** The file, from `offset` on where the server can do that and has still the same version. */
  async get(offset: number, version: string | undefined): Promise<{ response: Response; offset: number }> {
    const resumes = offset > 0 && version !== undefined
    const headers = resumes ? { range: `bytes=${offset}-`, 'if-range': version } : {}
    const response = await this.#request('GET', headers)
    if (response.status === 200) return { response, offset: 0 }
    const range = response.header('content-range') ?? ''
    if (resumes && response.status === 206 && range.startsWith(`bytes ${offset}-`))
      return { response, offset }
    await response.discard()
    throw this.#refusal(response.status)
  }

  async #request(method: string, headers: Record<string, string>): Promise<Response> {
    try {
      const options = { method, headers, signal: this.#signal, staysSafe: true }
      return await this.#client.request(this.#address, options)
    } catch (cause) {
      throw cause instanceof RequestError ? this.failure(cause) : cause
    }
  }

  failure(cause: RequestError): SingError {
    return new SingError('IO', `cannot download ${this.name}: ${cause.message}`, { hint: cause.hint, cause })
  }

  #refusal(status: number): SingError {
    if (status === 404 || status === 410)
      return new SingError('IMAGE_NOT_FOUND', `cannot download ${this.name}: the server does not have it`)
    return new SingError('IO', `cannot download ${this.name}: the server answered ${status}`)
  }
}

/** Connections in a row that may end early without anything new. */
const mostCuts = 4

/** Write the file to a new path, over as many connections as it takes. */
async function receive(site: Site, path: string, report: Report): Promise<void> {
  await using file = await open(path, 'wx+', 0o755)
  const download = new Download(site, file, report)
  try {
    await download.run()
    await file.sync()
  } catch (error) {
    throw isFull(error) ? diskFull(cacheRoom(dirname(path)), download.missing, error) : error
  } finally {
    report({ kind: 'finished', task: site.name })
  }
}

class Download {
  readonly #site: Site
  readonly #file: FileHandle
  readonly #report: Report
  #done = 0
  #most = 0
  #facts: Facts = { size: undefined, version: undefined }

  constructor(site: Site, file: FileHandle, report: Report) {
    this.#site = site
    this.#file = file
    this.#report = report
  }

  get missing(): number | undefined {
    return this.#facts.size === undefined ? undefined : this.#facts.size - this.#done
  }

  async run(): Promise<void> {
    for (let cuts = 0; ; ) {
      const before = this.#most
      try {
        return await this.#connect()
      } catch (error) {
        if (!(error instanceof RequestError)) throw error
        cuts = this.#most > before ? 0 : cuts + 1
        if (!error.passing || cuts === mostCuts) throw this.#site.failure(error)
      }
    }
  }

  async #connect(): Promise<void> {
    const { response, offset } = await this.#site.get(this.#done, this.#facts.version)
    if (offset === 0) await this.#begin(factsOf(response))
    for await (const chunk of response.chunks()) {
      await this.#write(chunk)
      this.#report({ kind: 'advanced', task: this.#site.name, done: this.#done })
    }
  }

  async #begin(facts: Facts): Promise<void> {
    const { size: total } = facts
    this.#facts = facts
    this.#done = 0
    await this.#file.truncate(0)
    const told = total === undefined ? {} : { total }
    this.#report({ kind: 'started', task: this.#site.name, label: 'Downloading', unit: 'bytes', ...told })
  }

  async #write(chunk: Uint8Array): Promise<void> {
    for (let written = 0; written < chunk.length; ) {
      const { bytesWritten } = await this.#file.write(chunk, written, chunk.length - written, this.#done)
      written += bytesWritten
      this.#done += bytesWritten
    }
    this.#most = Math.max(this.#most, this.#done)
  }
}

/** What came is of use only when it is an image: an error page is none. */
async function requireImage(path: string, name: string): Promise<void> {
  try {
    await openImage(path, { anyArchitecture: true, ext3: true, unlock: 'keep' })
  } catch (cause) {
    if (!(cause instanceof SingError)) throw cause
    throw new SingError('IMAGE_FORMAT', `${name} is no image`, {
      hint: 'Look at it with a browser: it may be a page that leads to the image',
      cause,
    })
  }
}
