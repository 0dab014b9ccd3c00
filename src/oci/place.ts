/** One place where an image may be: its registry, or a mirror of it. */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import { RequestError, type RequestOptions, type Response } from '../store/http.ts'
import { isInner, withoutPort } from './address.ts'
import { pullScope } from './auth.ts'
import { type ClientOptions, RegistryClient, type RegistryOptions, readErrors, refusalOf } from './client.ts'
import { acceptedTypes } from './manifest.ts'
import type { Endpoint } from './mirrors.ts'
import { isDigest } from './reference.ts'
import type { Descriptor } from './types.ts'

const tagListLimit = 1024 * 1024
const accept = acceptedTypes.join(', ')

/** The type without parameters such as a character set. */
const mediaTypeOf = (response: Response): string =>
  (response.header('content-type') ?? '').replace(/\s*;.*$/, '')

export class Place implements Disposable {
  readonly client: RegistryClient
  readonly #repository: string
  readonly #scopes: readonly string[]

  constructor({ registry, repository, insecure }: Endpoint, options: RegistryOptions, isOwn: boolean) {
    // A name and a password that the caller gives are for the registry of the reference.
    const { username: _, password: __, ask: ___, ...others } = options
    const client: ClientOptions = { ...(isOwn ? options : others), registry, repository, insecure }
    this.client = new RegistryClient(client)
    this.#repository = repository
    this.#scopes = [pullScope(repository)]
  }

  #get(path: string, options: RequestOptions): Promise<Response> {
    return this.client.request(`/v2/${this.#repository}/${path}`, { ...options, scopes: this.#scopes })
  }

  /** What the reference names now, or undefined when the registry cannot tell without sending it. */
  async head(word: string, signal: AbortSignal): Promise<Descriptor | undefined> {
    const response = await this.#get(`manifests/${word}`, { method: 'HEAD', headers: { accept }, signal })
    if (response.status === 429 || response.status >= 500)
      throw await refusalOf(response, this.client, `to read ${this.#repository}`)
    await response.discard()
    const digest = response.header('docker-content-digest') ?? ''
    const { length: size } = response
    if (response.status !== 200 || size === undefined || !isDigest(digest)) return undefined
    return { mediaType: mediaTypeOf(response), digest, size }
  }

  async manifest(
    word: string,
    limit: number,
    signal: AbortSignal,
  ): Promise<{ bytes: Buffer; mediaType: string }> {
    const response = await this.#get(`manifests/${word}`, { headers: { accept }, signal })
    if (response.status !== 200) throw await this.#refusal(response, word, signal)
    return { bytes: await response.bytes(limit), mediaType: mediaTypeOf(response) }
  }

  async #refusal(response: Response, word: string, signal: AbortSignal): Promise<SingError> {
    if (response.status !== 404) return refusalOf(response, this.client, `to read ${this.#repository}`)
    const faults = await readErrors(response)
    const [place, repository] = [shown(this.client.registry), shown(this.#repository)]
    const tags = faults.some(({ code }) => code === 'NAME_UNKNOWN') ? undefined : await this.#tags(signal)
    if (!tags) {
      const hint = 'Look at its name; a private one may need a login: sing registry login'
      return new SingError('IMAGE_NOT_FOUND', `${place} has no repository ${repository}`, { hint })
    }
    const what = isDigest(word) ? `the digest ${word}` : `the tag "${shown(word)}"`
    return new SingError('IMAGE_NOT_FOUND', `${place}/${repository} does not have ${what}`, {
      hint: tagHint(word, tags),
    })
  }

  /** Tags of the repository, at most a page of them; undefined when it does not tell. */
  async #tags(signal: AbortSignal): Promise<string[] | undefined> {
    try {
      const response = await this.#get('tags/list?n=1000', { signal })
      if (response.status !== 200) return void (await response.discard())
      const { tags } = JSON.parse((await response.bytes(tagListLimit)).toString('utf8')) as { tags?: unknown }
      return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string').slice(0, 1000) : []
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }

  /** The bytes of a document whose digest is known. */
  async document(descriptor: Descriptor, limit: number, signal: AbortSignal): Promise<Buffer> {
    if (isManifestType(descriptor.mediaType))
      return (await this.manifest(descriptor.digest, limit, signal)).bytes
    return await (await this.#blob(descriptor, 0, signal)).bytes(limit)
  }

  /** The bytes of a blob from `offset` on. */
  async blob(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const response = await this.#blob(descriptor, offset, signal)
    const begin = beginOf(response)
    try {
      check(response, begin, offset, descriptor.size)
    } catch (error) {
      await response.discard()
      throw error
    }
    return bytesFrom(response, begin, offset, descriptor.size)
  }

  async #blob({ digest, urls = [] }: Descriptor, offset: number, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {}
    const response = await this.#get(`blobs/${digest}`, { signal, headers })
    if (isBytes(response)) return response
    if (response.status !== 404 || urls.length === 0)
      throw await refusalOf(response, this.client, `to read the blob ${digest} of ${this.#repository}`)
    await response.discard()
    return this.#foreign(urls, digest, { signal, headers })
  }

  /** Layers that registries may not hand out lie elsewhere. */
  async #foreign(urls: readonly string[], digest: string, options: RequestOptions): Promise<Response> {
    const here = withoutPort(this.client.registry)
    for (const url of urls.slice(0, 10)) {
      const name = withoutPort(URL.parse(url)?.host ?? '')
      if ((isInner(name) || name === 'localhost') && !isInner(here) && here !== 'localhost') continue
      const response = await this.client.requestElsewhere(url, options)
      if (isBytes(response)) return response
      await response.discard()
    }
    throw new SingError(
      'REGISTRY',
      `the layer ${digest} is neither in ${shown(here)} nor where it says it is`,
    )
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]()
  }
}

/** Manifests and indexes have their own place; all other documents, such as configurations, are blobs. */
const isManifestType = (type: string): boolean => type === '' || /manifest|index/.test(type)

const isBytes = ({ status }: Response): boolean => status === 200 || status === 206

function tagHint(word: string, tags: readonly string[]): string | undefined {
  const near = suggest(word, tags)
  const some = tags.slice(0, 8).map(shown).join(', ')
  if (near) return `Did you mean ${shown(near)}?`
  return some ? `It has: ${some}${tags.length > 8 ? `, and ${tags.length - 8} more` : ''}` : undefined
}

/** Where the bytes of an answer begin in the blob: servers may ignore that only a part was asked for. */
function beginOf(response: Response): number {
  if (response.status !== 206) return 0
  const found = /^bytes (\d{1,15})-/.exec(response.header('content-range') ?? '')
  return found ? Number(found[1]) : -1
}

/** What is wrong with an answer before its first byte is read. */
function check(response: Response, begin: number, offset: number, size: number | undefined): void {
  const host = shown(response.url.host)
  if (begin !== offset && response.status === 206)
    throw new RequestError('protocol', `${host} sends another part than the one that was asked for`)
  const end = response.length === undefined ? size : begin + response.length
  if (size !== undefined && end !== size)
    throw new SingError('REGISTRY', `${host} sends ${end} bytes for a blob of ${size}`)
}

/** The bytes of an answer from `offset` on, at most as many as the blob has. */
async function* bytesFrom(response: Response, begin: number, offset: number, size: number | undefined) {
  let at = begin
  for await (const chunk of response.chunks()) {
    const skip = offset - at
    at += chunk.length
    if (size !== undefined && at > size)
      throw new SingError(
        'REGISTRY',
        `${shown(response.url.host)} sends more than the ${size} bytes of a blob`,
      )
    if (skip < chunk.length) yield skip > 0 ? chunk.subarray(skip) : chunk
  }
}
