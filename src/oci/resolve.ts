/** From what a reference names now to the one image for a machine: its manifest and its configuration, digests compared. */

import { createHash } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import { configLimit, parseConfig } from './config.ts'
import { documentLimit, imagesOf, parseDocument, refuseArtifact, suitableImages } from './manifest.ts'
import { showPlatform, suitability } from './platform.ts'
import type { Descriptor, Digest, ImageConfig, ImageSource, Index, Manifest, Platform } from './types.ts'

/** Gets the bytes of a document with the right digest; a cache may stand in front of the source. */
export type ReadDocument = (descriptor: Descriptor, limit: number) => Promise<Buffer>

export type ResolvedManifest = {
  /** What the reference named: the manifest, or an index that it stands in. */
  readonly named: Digest
  readonly descriptor: Descriptor
  readonly manifest: Manifest
}

export type ResolvedImage = ResolvedManifest & { readonly config: ImageConfig }

/** The number of some bytes, of the kind that another digest has. */
export const digestLike = (digest: Digest, bytes: Uint8Array): Digest => {
  const [algorithm = ''] = digest.split(':')
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** Reads documents from a source and compares their digests. */
export function verifiedDocuments(source: ImageSource, signal: AbortSignal): ReadDocument {
  return async (descriptor, limit) => {
    const bytes = descriptor.data ?? (await source.document(descriptor, limit, signal))
    const found = digestLike(descriptor.digest, bytes)
    if (found === descriptor.digest) return bytes
    throw new SingError(
      'DIGEST',
      `${shown(source.name)}: ${descriptor.digest} is damaged: its bytes have the digest ${found}`,
      { hint: 'It was changed on the way or where it is stored: fetch it again, or make the image again' },
    )
  }
}

/** Indexes in indexes in indexes. */
const deepest = 4
/** Indexes that are looked into before one has an image that suits. */
const widest = 32

/**
 * The manifest of the image that suits a machine best. The source is not asked what is `known` to be named.
 * @throws SingError IMAGE_ARCHITECTURE listing the platforms that there are
 */
export async function resolveManifest(
  source: ImageSource,
  wanted: Platform,
  signal: AbortSignal,
  read: ReadDocument = verifiedDocuments(source, signal),
  known?: Descriptor,
): Promise<ResolvedManifest> {
  const named = known ?? (await source.resolve(signal))
  const offered = new Set<string>()
  let looks = 0

  async function search(descriptor: Descriptor, depth: number): Promise<ResolvedManifest | undefined> {
    looks += 1
    if (depth > deepest || looks > widest)
      throw new SingError('IMAGE_FORMAT', `${shown(source.name)} is damaged: its indexes have no end`)
    const bytes = await read(descriptor, documentLimit)
    const document = parseDocument(bytes, source.name, descriptor.mediaType)
    if (document.kind === 'manifest') return { named: named.digest, descriptor, manifest: document.manifest }
    note(document.index)
    for (const image of suitableImages(document.index, wanted)) {
      const found = await search(image, depth + 1)
      if (found) return found
    }
    return undefined
  }

  function note(index: Index): void {
    for (const { platform } of imagesOf(index)) if (platform) offered.add(showPlatform(platform))
  }

  const found = await search(named, 1)
  if (found) return found
  throw new SingError(
    'IMAGE_ARCHITECTURE',
    `${shown(source.name)} has no image for ${showPlatform(wanted)}`,
    { hint: offered.size > 0 ? `It has: ${[...offered].slice(0, 30).join(', ')}` : 'It has no image at all' },
  )
}

/**
 * The image that suits a machine best, with its configuration.
 * @throws SingError UNSUPPORTED when it is something else than a container image, IMAGE_ARCHITECTURE when it is for others
 */
export async function resolveImage(
  source: ImageSource,
  wanted: Platform,
  signal: AbortSignal,
  read: ReadDocument = verifiedDocuments(source, signal),
  known?: Descriptor,
): Promise<ResolvedImage> {
  const resolved = await resolveManifest(source, wanted, signal, read, known)
  const { manifest } = resolved
  refuseArtifact(manifest, source.name)
  const document = await read(manifest.config, configLimit)
  const config = parseConfig(document, manifest.layers.length, source.name)
  checkPlatform(config, wanted, source.name)
  return { ...resolved, config }
}

/** What an image tells of itself; one that tells nothing may try. */
function checkPlatform({ platform }: ImageConfig, wanted: Platform, name: string): void {
  if (platform.architecture === '') return
  const told = { ...platform, os: platform.os || 'linux' }
  if (suitability(told, wanted) !== undefined) return
  throw new SingError(
    'IMAGE_ARCHITECTURE',
    `${shown(name)} is for ${showPlatform(told)}, not for ${showPlatform(wanted)}`,
    {
      hint:
        told.os === 'linux'
          ? `To fetch it all the same: sing pull --platform ${showPlatform(told)} ...`
          : undefined,
    },
  )
}
