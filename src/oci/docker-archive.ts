/**
 * Images in archives of `docker save`, of whatever age, and of others that write the same: `manifest.json` names the
 * configuration and the layers. There is no manifest: one is made, the same for the same image.
 */

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import { type ArchiveOptions, openArchive } from './archive.ts'
import { configLimit, parseConfig } from './config.ts'
import { type Compression, compressionOf, headLength } from './decompress.ts'
import { type Fields, newReader, type Reader } from './json.ts'
import { blobName } from './layout.ts'
import { documentLimit, mediaTypes } from './manifest.ts'
import { type Files, readPlace, streamPlace } from './members.ts'
import { type ArchiveReference, imageName, isDigest, originOf, showReference } from './reference.ts'
import { digestLike } from './resolve.ts'
import type { Descriptor, Digest, ImageSource, Place } from './types.ts'

/** The image that a reference picks of an archive. */
export async function openDockerArchive(
  reference: ArchiveReference,
  options: ArchiveOptions,
): Promise<ImageSource> {
  const archive = showReference({ ...reference, image: undefined })
  await using stack = new AsyncDisposableStack()
  const files = stack.use(await openArchive(reference.path, archive, options))
  const named = { name: showReference(reference), origin: originOf(reference) }
  const source = await dockerSource(named, files, reference.image, options.signal)
  stack.move()
  return source
}

type Named = Pick<ImageSource, 'name' | 'origin'>
/** What the archive tells of one image. */
type Entry = { readonly config: string; readonly tags: readonly string[]; readonly layers: readonly string[] }

/** `image` is `name:tag` or the number of the image; undefined where there is only one. */
export async function dockerSource(
  named: Named,
  files: Files,
  image: string | undefined,
  signal: AbortSignal,
): Promise<ImageSource> {
  const { name } = named
  const entry = pick(await readEntries(files, name), image, named)
  const config = await readPlace(placeOf(files, entry.config, name), configLimit, `${name}: ${entry.config}`)
  const { diffIds } = parseConfig(config, entry.layers.length, name)
  const places = new Map<Digest, Place>()
  const layers: Descriptor[] = []
  for (const [index, path] of entry.layers.entries()) {
    const place = placeOf(files, path, name)
    const layer = await describeLayer(path, place, diffIds[index] ?? '', name, signal)
    places.set(layer.digest, place)
    layers.push(layer)
  }
  return sourceOf(named, files, { config, layers, places })
}

type Contents = { config: Buffer; layers: Descriptor[]; places: ReadonlyMap<Digest, Place> }

function sourceOf(named: Named, files: Files, { config, layers, places }: Contents): ImageSource {
  const described = describe(mediaTypes.dockerConfig, config)
  const { dockerManifest: mediaType } = mediaTypes
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: described, layers }))
  const manifest = describe(mediaType, bytes)
  const documents = new Map([
    [described.digest, config],
    [manifest.digest, bytes],
  ])
  const lacking = ({ digest }: Descriptor) => damaged(named.name, `it lacks the blob ${digest}`)
  return {
    ...named,
    resolve: async () => manifest,
    async document(descriptor) {
      const document = documents.get(descriptor.digest)
      if (document) return document
      throw lacking(descriptor)
    },
    async blob(descriptor, offset, signal) {
      const document = documents.get(descriptor.digest)
      if (document) return once(document.subarray(offset))
      const place = places.get(descriptor.digest)
      if (place) return streamPlace(place, offset, `${named.name}: ${descriptor.digest}`, signal)
      throw lacking(descriptor)
    },
    locate: ({ digest }) => places.get(digest),
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const describe = (mediaType: string, bytes: Buffer): Descriptor => ({
  mediaType,
  digest: digestLike('sha256:', bytes),
  size: bytes.length,
})

const damaged = (name: string, reason: string): SingError =>
  new SingError('IMAGE_FORMAT', `${shown(name)} is damaged: ${shown(reason)}`)

function placeOf(files: Files, path: string, name: string): Place {
  const place = files.locate(path)
  if (place) return place
  throw damaged(name, `it lacks the file ${path}`)
}

async function readEntries(files: Files, name: string): Promise<Entry[]> {
  const place = files.locate('manifest.json')
  if (!place) {
    const isLayout = files.locate('index.json') !== undefined
    throw new SingError(
      'IMAGE_FORMAT',
      `${shown(name)} is no archive of docker save: it has no manifest.json`,
      {
        hint: isLayout ? 'It is a layout of OCI: write oci-archive: instead of docker-archive:' : undefined,
      },
    )
  }
  const reader = newReader(`the manifest.json of ${name}`)
  const bytes = await readPlace(place, documentLimit, `${name}: manifest.json`)
  return reader.list(parse(bytes, reader), 'the list', 10_000).map((value, index) => {
    const fields = reader.fields(value, `[${index}]`)
    return readEntry(fields, `[${index}]`, reader)
  })
}

function parse(bytes: Buffer, reader: Reader): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    throw reader.refuse('it is not JSON')
  }
}

function readEntry(fields: Fields, path: string, reader: Reader): Entry {
  const config = reader.text(fields.Config, `${path}.Config`)
  if (config === '') throw reader.refuse(`${path}.Config is missing`)
  return {
    config,
    tags: reader.texts(fields.RepoTags, `${path}.RepoTags`, 10_000),
    layers: reader.texts(fields.Layers, `${path}.Layers`, 1000),
  }
}

function pick(entries: readonly Entry[], image: string | undefined, { name }: Named): Entry {
  const found = image === undefined ? entries : entries.filter((entry) => isMeant(entry, image))
  const [only] = found
  if (only && found.every(({ config }) => config === only.config)) return only
  const tags = entries.flatMap((entry) => entry.tags)
  const hint = tags.length > 0 ? `It has: ${shown(tags.slice(0, 20).join(', '))}` : undefined
  if (only) throw new SingError('REFERENCE', `${shown(name)} holds several images`, { hint })
  throw new SingError('IMAGE_NOT_FOUND', `there is no image ${shown(name)}`, { hint })
}

/** By one of its names, or by its number: the digest of its configuration. */
const isMeant = ({ config, tags }: Entry, image: string): boolean =>
  isDigest(image)
    ? config.includes(image.slice(image.indexOf(':') + 1))
    : tags.some((tag) => tag === image || imageName(tag) === image)

const layerTypes: Readonly<Partial<Record<Compression, string>>> = {
  gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
}

/** What is not compressed has its diff ID for its digest; of other layers the name tells it, or their bytes. */
async function describeLayer(
  path: string,
  place: Place,
  diffId: Digest,
  name: string,
  signal: AbortSignal,
): Promise<Descriptor> {
  const head = { ...place, size: Math.min(place.size, headLength) }
  const compression = compressionOf(await readPlace(head, headLength, name))
  const mediaType = (compression && layerTypes[compression]) ?? 'application/vnd.docker.image.rootfs.diff.tar'
  const digest = compression ? (digestInName(path) ?? (await digestOf(place, name, signal))) : diffId
  return { mediaType, digest, size: place.size }
}

/** Docker 25 and later keep layers as a layout of OCI does. */
function digestInName(path: string): Digest | undefined {
  const digest = /(^|\/)blobs\/(\w+)\/([0-9a-f]+)$/.exec(path)?.slice(2).join(':')
  return digest !== undefined && isDigest(digest) && path.endsWith(blobName(digest)) ? digest : undefined
}

async function digestOf(place: Place, name: string, signal: AbortSignal): Promise<Digest> {
  const hash = createHash('sha256')
  for await (const chunk of streamPlace(place, 0, name, signal)) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}
