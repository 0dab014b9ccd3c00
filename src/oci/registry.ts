/** Images in registries: a source over the API of the distribution specification 1.1. */

import { SingError, shown } from '../core/errors.ts'
import type { RegistryOptions } from './client.ts'
import { documentLimit } from './manifest.ts'
import { type Endpoint, endpointsOf, readRules, ruleFor } from './mirrors.ts'
import { Place } from './place.ts'
import { originOf, type RegistryReference, showReference } from './reference.ts'
import { digestLike } from './resolve.ts'
import type { Descriptor, Digest, ImageSource } from './types.ts'

export { RegistryClient, type RegistryOptions, refusalOf } from './client.ts'

/** What a reference says about a registry. */
export type Named = Omit<RegistryReference, 'platform'>

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

class RegistrySource implements ImageSource {
  readonly name: string
  readonly origin: ImageSource['origin']
  readonly pinned: Digest | undefined
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
    this.pinned = digest
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

  async document(descriptor: Descriptor, limit: number, signal: AbortSignal): Promise<Buffer> {
    const { digest, data } = descriptor
    if (data) return data
    if (this.#resolved?.digest === digest && this.#resolved.bytes.length <= limit) return this.#resolved.bytes
    return this.#ask(signal, async (place) => {
      const bytes = await place.document(descriptor, limit, signal)
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
    const { data } = descriptor
    return data
      ? once(data.subarray(offset))
      : this.#ask(signal, (place) => place.blob(descriptor, offset, signal))
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
