/** Images in registries: a source over the API of the distribution specification 1.1. */

import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import { RequestError, type Response } from '../store/http.ts'
import { isInner, withoutPort } from './address.ts'
import { pullScope } from './auth.ts'
import { type ClientOptions, RegistryClient, type RegistryOptions, readErrors, refusalOf } from './client.ts'
import { acceptedTypes, documentLimit } from './manifest.ts'
import { type Endpoint, endpointsOf, readRules, ruleFor } from './mirrors.ts'
import { isDigest, originOf, type RegistryReference, showReference } from './reference.ts'
import { digestLike } from './resolve.ts'
import type { Descriptor, ImageSource } from './types.ts'

export { RegistryClient, type RegistryOptions, refusalOf } from './client.ts'

/** What a reference says about a registry. */
export type Named = Omit<RegistryReference, 'platform'>

const tagListLimit = 1024 * 1024
const accept = acceptedTypes.join(', ')

/** The type without parameters such as a character set. */
const mediaTypeOf = (response: Response): string =>
  (response.header('content-type') ?? '').replace(/\s*;.*$/, '')

/** One place of the image: the registry itself, or a mirror. */
class Place implements Disposable {
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

  get(
    path: string,
    signal: AbortSignal,
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<Response> {
    return this.client.request(`/v2/${this.#repository}/${path}`, {
      method,
      headers,
      scopes: this.#scopes,
      signal,
    })
  }

  /** What the reference names now, or undefined when the registry cannot tell without sending it. */
  async head(word: string, signal: AbortSignal): Promise<Descriptor | undefined> {
    const response = await this.get(`manifests/${word}`, signal, { accept }, 'HEAD')
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
    const response = await this.get(`manifests/${word}`, signal, { accept })
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
      const response = await this.get('tags/list?n=1000', signal)
      if (response.status !== 200) return void (await response.discard())
      const { tags } = JSON.parse((await response.bytes(tagListLimit)).toString('utf8')) as { tags?: unknown }
      return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string').slice(0, 1000) : []
    } catch {
      signal.throwIfAborted()
      return undefined
    }
  }

  async blob(
    { digest, urls = [], size }: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {}
    const response = await this.get(`blobs/${digest}`, signal, headers)
    if (isBytes(response)) return response
    if (response.status !== 404 || urls.length === 0)
      throw await refusalOf(response, this.client, `to read the blob ${digest} of ${this.#repository}`)
    await response.discard()
    return this.#foreign(urls, headers, { digest, size }, signal)
  }

  /** Layers that registries may not hand out lie elsewhere. */
  async #foreign(
    urls: readonly string[],
    headers: Record<string, string>,
    { digest }: Pick<Descriptor, 'digest' | 'size'>,
    signal: AbortSignal,
  ): Promise<Response> {
    const here = withoutPort(this.client.registry)
    for (const url of urls.slice(0, 10)) {
      const name = withoutPort(URL.parse(url)?.host ?? '')
      if ((isInner(name) || name === 'localhost') && !isInner(here) && here !== 'localhost') continue
      const response = await this.client.requestElsewhere(url, { headers, signal })
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

/** The bytes of an answer from `offset` on: servers may ignore that only a part was asked for. */
async function* bytesFrom(response: Response, offset: number, size: number | undefined) {
  const isPart = response.status === 206
  const begin = isPart ? rangeBegin(response) : 0
  const host = shown(response.url.host)
  if (begin > offset || (isPart && begin !== offset)) {
    await response.discard()
    throw new RequestError('protocol', `${host} sends another part than the one that was asked for`)
  }
  const { length } = response
  if (size !== undefined && length !== undefined && begin + length !== size) {
    await response.discard()
    throw new SingError('REGISTRY', `${host} sends ${begin + length} bytes for a blob of ${size}`)
  }
  let skip = offset - begin
  let received = begin
  for await (const chunk of response.chunks()) {
    received += chunk.length
    if (received > (size ?? received))
      throw new SingError('REGISTRY', `${host} sends more than the ${size} bytes of a blob`)
    if (skip < chunk.length) yield skip > 0 ? chunk.subarray(skip) : chunk
    skip = Math.max(0, skip - chunk.length)
  }
}

function rangeBegin(response: Response): number {
  const found = /^bytes (\d{1,15})-/.exec(response.header('content-range') ?? '')
  return found ? Number(found[1]) : -1
}

class RegistrySource implements ImageSource {
  readonly name: string
  readonly origin: ImageSource['origin']
  readonly #word: string
  readonly #digest: string | undefined
  readonly #places: readonly Place[]
  readonly #report: RegistryOptions['report']
  /** Of a registry that does not answer HEAD. */
  #resolved: { digest: string; bytes: Buffer } | undefined
  /** The place that answered last: the ones before it did not. */
  #current = 0

  constructor(named: Named, places: readonly Place[], { report }: RegistryOptions) {
    const { tag = 'latest', digest } = named
    const reference = { ...named, platform: undefined }
    this.name = showReference(reference)
    this.origin = originOf(reference)
    this.#word = digest ?? tag
    this.#digest = digest
    this.#places = places
    this.#report = report
  }

  /** Ask the places in order, from the one that answered last. */
  async #ask<T>(signal: AbortSignal, question: (place: Place) => Promise<T>): Promise<T> {
    for (;;) {
      const place = this.#places[this.#current] as Place
      try {
        return await question(place)
      } catch (error) {
        signal.throwIfAborted()
        const next = this.#places[this.#current + 1]
        if (!(error instanceof SingError) || !next) throw error
        // Others may have gone on meanwhile.
        if (this.#places[this.#current] === place) this.#current++
        this.#report({ kind: 'info', text: `${error.message}; asking ${shown(next.client.registry)}` })
      }
    }
  }

  async resolve(signal: AbortSignal): Promise<Descriptor> {
    const descriptor = await this.#ask(signal, async (place) => {
      return (await place.head(this.#word, signal)) ?? (await this.#get(place, signal))
    })
    if (/vnd\.docker\.distribution\.manifest\.v1\+/.test(descriptor.mediaType)) {
      throw new SingError(
        'UNSUPPORTED',
        `${shown(this.name)} has a manifest of the first version (schema 1)`,
        {
          hint: 'Such images are from before 2017; pull and push it with a current docker to renew it',
        },
      )
    }
    if (this.#digest !== undefined && descriptor.digest !== this.#digest) {
      throw new SingError(
        'REGISTRY',
        `asked for ${shown(this.name)}, the registry tells of ${descriptor.digest}`,
      )
    }
    return descriptor
  }

  async #get(place: Place, signal: AbortSignal): Promise<Descriptor> {
    const { bytes, mediaType } = await place.manifest(this.#word, documentLimit, signal)
    const digest = digestLike(this.#digest ?? 'sha256:', bytes)
    this.#resolved = { digest, bytes }
    return { mediaType, digest, size: bytes.length }
  }

  async document(
    { mediaType, digest, data }: Descriptor,
    limit: number,
    signal: AbortSignal,
  ): Promise<Buffer> {
    if (data) return data
    if (this.#resolved?.digest === digest && this.#resolved.bytes.length <= limit) return this.#resolved.bytes
    return this.#ask(signal, async (place) => {
      const bytes = isManifestType(mediaType)
        ? (await place.manifest(digest, limit, signal)).bytes
        : await (await place.blob({ mediaType, digest, size: undefined }, 0, signal)).bytes(limit)
      if (digestLike(digest, bytes) === digest) return bytes
      const { registry } = place.client
      throw new SingError('DIGEST', `${shown(registry)} sends a document that is not ${digest}`, {
        hint: 'Something on the way changes what it sends, or its store is damaged',
      })
    })
  }

  async blob(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { data, size } = descriptor
    if (data)
      return (async function* () {
        yield data.subarray(offset)
      })()
    const response = await this.#ask(signal, (place) => place.blob(descriptor, offset, signal))
    return bytesFrom(response, offset, size)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const place of this.#places) place[Symbol.dispose]()
  }
}

/**
 * The image that a reference names, in its registry or a mirror of it (`registries.conf`).
 * @throws SingError when settings forbid it or cannot be read; the registry is not asked yet
 */
export async function openRegistry(named: Named, options: RegistryOptions): Promise<ImageSource> {
  const rule = ruleFor(await readRules(options.environment), named)
  const endpoints = endpointsOf(rule, named, named.digest !== undefined)
  const isOwn = ({ registry }: Endpoint) => registry === named.registry
  const places = endpoints.map((endpoint) => new Place(endpoint, options, isOwn(endpoint)))
  return new RegistrySource(named, places, options)
}
