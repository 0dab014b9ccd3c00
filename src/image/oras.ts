/** A SIF that lies in a registry as it is (`oras://`). */

import { constants, copyFileSync, linkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { sifLayer } from '../oci/artifact.ts'
import { resolveManifest } from '../oci/resolve.ts'
import type { Descriptor, ImageSource, Place, Platform } from '../oci/types.ts'
import { readSif } from '../sif/read.ts'
import { imageKey } from '../store/cache.ts'
import { cachedDocuments, knownDocument } from './documents.ts'
import type { Fetched, FetchOptions } from './fetch.ts'

/** @throws SingError IMAGE_FORMAT when it is no SIF, and whatever fetching it may end with */
export async function fetchSif(
  source: ImageSource,
  wanted: Platform,
  options: FetchOptions,
): Promise<Fetched> {
  const { cache, signal } = options
  const read = cachedDocuments(source, cache, signal)
  const { manifest, descriptor } = await resolveManifest(
    source,
    wanted,
    signal,
    read,
    knownDocument(source, cache),
  )
  const layer = sifLayer(manifest, source.name)
  const make = (path: string) => receive(source, layer, path, options)
  const path = await cache.image(imageKey('oras', layer.digest), make, { signal, name: source.name })
  return { path, name: source.name, digest: descriptor.digest }
}

/** The blob becomes the image: the cache has it once. */
async function receive(
  source: ImageSource,
  layer: Descriptor,
  path: string,
  { cache, report, signal }: FetchOptions,
): Promise<void> {
  const task = layer.digest
  const fetch = (offset: number) => source.blob(layer, offset, signal)
  const { size: total } = layer
  report({
    kind: 'started',
    task,
    label: 'Downloading',
    unit: 'bytes',
    ...(total === undefined ? {} : { total }),
  })
  let done = 0
  const onBytes = (count: number): void => {
    done += count
    report({ kind: 'advanced', task, done })
  }
  try {
    using blob = cache.blob(layer, fetch, { signal, onBytes })
    adopt(await blob.done, path)
    cache.discard(layer)
    await readSif(path)
    await sync(path)
  } finally {
    report({ kind: 'finished', task })
  }
}

function adopt({ file }: Place, path: string): void {
  try {
    linkSync(file, path)
  } catch {
    // On another file system, or of another owner.
    copyFileSync(file, path, constants.COPYFILE_FICLONE)
  }
}

async function sync(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.chmod(0o755 & ~process.umask())
  await file.sync()
}
