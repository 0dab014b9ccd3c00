/** Manifests and configurations through the cache. */

import { documentLimit } from '../oci/manifest.ts'
import type { ReadDocument } from '../oci/resolve.ts'
import type { Descriptor, ImageSource } from '../oci/types.ts'
import type { Cache } from '../store/cache.ts'

/** Reads documents of a source, each of them once. */
export function cachedDocuments(source: ImageSource, cache: Cache, signal: AbortSignal): ReadDocument {
  return (descriptor, limit) => {
    const fetch = async (offset: number) =>
      once((await source.document(descriptor, limit, signal)).subarray(offset))
    return cache.document(descriptor, fetch, limit, signal)
  }
}

/** What a reference names by its digest, when the cache has it: then no registry has to be reached. */
export function knownDocument({ pinned }: ImageSource, cache: Cache): Descriptor | undefined {
  const bytes = pinned === undefined ? undefined : cache.known(pinned, documentLimit)
  return pinned && bytes ? { mediaType: '', digest: pinned, size: bytes.length } : undefined
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}
