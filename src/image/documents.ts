/** Manifests and configurations through the cache. */

import type { ReadDocument } from '../oci/resolve.ts'
import type { ImageSource } from '../oci/types.ts'
import type { Cache } from '../store/cache.ts'

/** Reads documents of a source, each of them once. */
export function cachedDocuments(source: ImageSource, cache: Cache, signal: AbortSignal): ReadDocument {
  return (descriptor, limit) => {
    const fetch = async (offset: number) =>
      once((await source.document(descriptor, limit, signal)).subarray(offset))
    return cache.document(descriptor, fetch, limit, signal)
  }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}
