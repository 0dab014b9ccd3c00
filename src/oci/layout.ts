/**
 * Images in OCI layouts: directories (`oci:`), and archives of one (`oci-archive:`), which differ in where the files lie.
 * (OCI image specification 1.1, image-layout.md.)
 */

import { Buffer } from 'node:buffer'
import { statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { newReader, parseFields } from './json.ts'
import { documentLimit, imagesOf, mediaTypes, parseDocument } from './manifest.ts'
import { type Files, readPlace, streamPlace } from './members.ts'
import { type LayoutReference, originOf, showReference } from './reference.ts'
import { digestLike } from './resolve.ts'
import type { Descriptor, ImageSource, Index, Place } from './types.ts'

const tagKey = 'org.opencontainers.image.ref.name'
/** What containerd and Docker write in addition: the name in full. */
const nameKey = 'io.containerd.image.name'

/** Where the blob of a digest lies in a layout. */
export const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`

/** The layout in a directory. */
export function openLayout(reference: LayoutReference): ImageSource {
  return layoutSource(reference, filesBelow(resolve(reference.path)))
}

function filesBelow(directory: string): Files {
  checkDirectory(directory)
  return { locate: (name) => placeOf(join(directory, name)), [Symbol.asyncDispose]: async () => {} }
}

function checkDirectory(path: string): void {
  const refuse = (reason: string, cause?: unknown): SingError =>
    new SingError('IMAGE_NOT_FOUND', `cannot open the OCI layout ${shown(path)}: ${reason}`, {
      hint: cause ? undefined : `For an archive of a layout: oci-archive:${shown(path)}`,
      cause,
    })
  let isDirectory: boolean
  try {
    isDirectory = statSync(path).isDirectory()
  } catch (cause) {
    throw refuse(reasonOf(cause), cause)
  }
  if (!isDirectory) throw refuse('it is no directory')
}

function placeOf(file: string): Place | undefined {
  try {
    const facts = statSync(file)
    return facts.isFile() ? { file, offset: 0, size: facts.size } : undefined
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(cause) ?? '')) return undefined
    throw new SingError('IO', `cannot read ${shown(file)}: ${reasonOf(cause)}`, { cause })
  }
}

/** The image that a reference picks of a layout's files. */
export function layoutSource(reference: LayoutReference, files: Files): ImageSource {
  const name = showReference(reference)
  /** An index that stands in no blob: the entries of index.json that belong together. */
  let together: { descriptor: Descriptor; bytes: Buffer } | undefined

  const placeOfBlob = ({ digest }: Descriptor): Place => {
    const place = files.locate(blobName(digest))
    if (place) return place
    throw new SingError('IMAGE_FORMAT', `${shown(name)} is damaged: it lacks the blob ${digest}`)
  }

  return {
    name,
    origin: originOf(reference),
    async resolve() {
      const found = pick(await readIndex(files, name), reference, files)
      if (!isGroup(found)) return found
      together = groupDocument(found)
      return together.descriptor
    },
    async document(descriptor, limit) {
      if (descriptor.digest === together?.descriptor.digest) return together.bytes
      return readPlace(placeOfBlob(descriptor), limit, `${name}: ${descriptor.digest}`)
    },
    blob: async (descriptor, offset, signal) =>
      streamPlace(placeOfBlob(descriptor), offset, `${name}: ${descriptor.digest}`, signal),
    locate: ({ digest }) => files.locate(blobName(digest)),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}

async function readIndex(files: Files, name: string): Promise<Index> {
  await checkVersion(files, name)
  const place = files.locate('index.json')
  if (!place)
    throw new SingError('IMAGE_FORMAT', `${shown(name)} is no OCI layout: it has no index.json`, {
      hint: 'An archive of docker save is named docker-archive:PATH',
    })
  const document = parseDocument(await readPlace(place, documentLimit, `${name}: index.json`), name)
  if (document.kind === 'index') return document.index
  throw new SingError('IMAGE_FORMAT', `${shown(name)} is damaged: its index.json is no index`)
}

/** Some writers forget the file; a version 2 would mean something else. */
async function checkVersion(files: Files, name: string): Promise<void> {
  const place = files.locate('oci-layout')
  if (!place) return
  const reader = newReader(`the file oci-layout of ${name}`)
  const fields = parseFields(await readPlace(place, documentLimit, `${name}: oci-layout`), reader)
  const version = reader.text(fields.imageLayoutVersion, 'imageLayoutVersion')
  if (!/^1\./.test(version))
    throw new SingError('UNSUPPORTED', `${shown(name)} is a layout of version "${shown(version)}", not 1`)
}

type Found = Descriptor | readonly Descriptor[]
const isGroup = (found: Found): found is readonly Descriptor[] => Array.isArray(found)

/** The entry that the reference picks, or several that are one image for several platforms. */
function pick(index: Index, reference: LayoutReference, files: Files): Found {
  const { digest, tag } = reference
  if (digest !== undefined) return entryOfDigest(index, digest, reference, files)
  const images = imagesOf(index)
  const candidates = tag === undefined ? images : images.filter((entry) => isTagged(entry, tag))
  const [only] = candidates
  if (only === undefined) throw nothing(images, reference)
  if (candidates.length === 1) return only
  if (areOneImage(candidates)) return candidates
  throw new SingError('REFERENCE', `${shown(showReference(reference))} holds several images`, {
    hint: choices(candidates, reference),
  })
}

const isTagged = ({ annotations }: Descriptor, tag: string): boolean =>
  annotations?.[tagKey] === tag || annotations?.[nameKey] === tag

/** The same tag, or none, and each for a platform of its own. */
function areOneImage(entries: readonly Descriptor[]): boolean {
  const tags = new Set(entries.map(({ annotations }) => annotations?.[tagKey]))
  const platforms = new Set(entries.map(({ platform }) => platform && JSON.stringify(platform)))
  return tags.size === 1 && platforms.size === entries.length && !platforms.has(undefined)
}

function groupDocument(manifests: readonly Descriptor[]): { descriptor: Descriptor; bytes: Buffer } {
  const mediaType = mediaTypes.index
  const entries = manifests.map(({ data, ...entry }) => entry)
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: entries }))
  return { descriptor: { mediaType, digest: digestLike('sha256:', bytes), size: bytes.length }, bytes }
}

/** Any document in the layout may be picked by its digest, also one inside an index. */
function entryOfDigest(index: Index, digest: string, reference: LayoutReference, files: Files): Descriptor {
  const entry = index.manifests.find((candidate) => candidate.digest === digest)
  if (entry) return entry
  const place = files.locate(blobName(digest))
  if (place) return { mediaType: '', digest, size: place.size }
  throw nothing(imagesOf(index), reference)
}

function nothing(images: readonly Descriptor[], reference: LayoutReference): SingError {
  const layout = shown(`${reference.kind}:${reference.path}`)
  const wanted = reference.digest ?? reference.tag
  return new SingError(
    'IMAGE_NOT_FOUND',
    wanted === undefined ? `${layout} holds no image` : `${layout} holds no image ${shown(wanted)}`,
    { hint: images.length > 0 ? choices(images, reference) : undefined },
  )
}

const mostChoices = 20

/** The references that would pick one image. */
function choices(images: readonly Descriptor[], { kind, path }: LayoutReference): string {
  const words = images.map(({ annotations, digest }) => {
    const tag = annotations?.[tagKey]
    return shown(tag ? `${kind}:${path}:${tag}` : `${kind}:${path}@${digest}`)
  })
  const more = words.length - mostChoices
  return `It has: ${words.slice(0, mostChoices).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
