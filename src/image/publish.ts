/** A local image becomes one in a registry: its layers are sent, then what is said about them, and at last its name. */

import { createHash } from 'node:crypto'
import type { RegistryOptions } from '../oci/client.ts'
import { mediaTypes } from '../oci/manifest.ts'
import type { RegistryReference } from '../oci/reference.ts'
import { showReference } from '../oci/reference.ts'
import type { Descriptor } from '../oci/types.ts'
import { type Blob, Repository, type Sent } from '../oci/upload.ts'
import type { OutgoingOptions } from './outgoing.ts'

export type PublishOptions = RegistryOptions & OutgoingOptions

export type Published = {
  /** With the digest in the place of the tag: this image for ever. */
  readonly reference: string
  readonly digest: string
  readonly mediaType: string
  readonly size: number
  readonly config: Sent
  readonly layers: readonly Sent[]
}

/** Layers that are sent at the same time. */
const parallel = 3

/**
 * Send the image at `path`. Under the tag of the reference there is the old image or the whole new one.
 * @throws SingError as opening and sending do
 */
export async function publish(
  path: string,
  reference: RegistryReference,
  options: PublishOptions,
): Promise<Published> {
  const { signal } = options
  const outgoing = await (reference.kind === 'oras'
    ? (await import('./outgoing-sif.ts')).sifArtifact(path, options)
    : (await import('./outgoing.ts')).ociImage(path, options))
  using repository = new Repository(reference, options)
  const layers = await sendAll(repository, outgoing.layers, signal)
  const { bytes, mediaType } = outgoing.config()
  const config: Descriptor = { mediaType, ...(await sendBytes(repository, bytes, signal)) }
  const manifest = outgoing.manifest(config, layers)
  const digest = await repository.sendManifest(manifest, mediaTypes.manifest, reference.tag, signal)
  return {
    reference: showReference({ ...reference, tag: undefined, digest, platform: undefined }),
    digest,
    mediaType: mediaTypes.manifest,
    size: manifest.length,
    config: { digest: config.digest, size: bytes.length },
    layers,
  }
}

async function sendBytes(repository: Repository, bytes: Buffer, signal: AbortSignal): Promise<Sent> {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const known = { digest, size: bytes.length }
  async function* read(offset: number) {
    yield bytes.subarray(offset)
  }
  return await repository.send({ name: 'the configuration', known, read }, signal)
}

/** A few at a time; the first failure ends the others. */
async function sendAll(repository: Repository, blobs: readonly Blob[], signal: AbortSignal): Promise<Sent[]> {
  const failure = new AbortController()
  const either = AbortSignal.any([signal, failure.signal])
  const sent: Sent[] = []
  const waiting = blobs.entries()
  async function work(): Promise<void> {
    for (const [index, blob] of waiting) sent[index] = await repository.send(blob, either)
  }
  const workers = Array.from({ length: Math.min(parallel, blobs.length) }, () =>
    work().catch((error: unknown) => {
      failure.abort(error)
      throw error
    }),
  )
  await Promise.allSettled(workers)
  either.throwIfAborted()
  return sent
}
