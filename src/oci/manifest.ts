/**
 * Manifests and indexes as registries, layouts and archives hold them, checked before they are believed. What a document is
 * its content tells: media types are optional. (OCI image specification 1.1, manifest.md, image-index.md, descriptor.md;
 * Docker image manifest v2, schema 2.)
 */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { type Fields, newReader, parseFields, type Reader } from './json.ts'
import { suitability } from './platform.ts'
import { isDigest } from './reference.ts'
import type { Descriptor, Index, Manifest, Platform } from './types.ts'

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
} as const

/** What to ask a registry for (`Accept`). */
export const acceptedTypes: readonly string[] = [
  mediaTypes.index,
  mediaTypes.dockerList,
  mediaTypes.manifest,
  mediaTypes.dockerManifest,
]

export const isIndexType = (type: string): boolean =>
  type === mediaTypes.index || type === mediaTypes.dockerList

/** Bytes of a manifest or an index; registries take no larger ones. */
export const documentLimit = 4 * 1024 * 1024

/** Docker stops at 127, overlay at 500. */
const layersLimit = 1000
const manifestsLimit = 10_000
const annotationsLimit = 1000
const urlsLimit = 100

export type Document = { kind: 'manifest'; manifest: Manifest } | { kind: 'index'; index: Index }

/**
 * Read a manifest or an index. `name` is the reference it belongs to, for messages; `type` what it came as.
 * @throws SingError IMAGE_FORMAT for damaged documents, UNSUPPORTED for kinds that cannot be used
 */
export function parseDocument(bytes: Buffer, name: string, type = ''): Document {
  const reader = newReader(`the manifest of ${name}`)
  if (bytes.length > documentLimit)
    throw reader.refuse(`it has ${bytes.length} bytes, more than ${documentLimit}`)
  const fields = parseFields(bytes, reader)
  refuseOldKinds(fields, name)
  const has = (key: string) => (fields[key] ?? undefined) !== undefined
  const hasImages = has('manifests')
  // Who signs one reading of a document must not get the other one run (CVE-2021-41190).
  if (hasImages && (has('config') || has('layers'))) throw reader.refuse('it is both a manifest and an index')
  if (has('schemaVersion') && fields.schemaVersion !== 2)
    throw reader.refuse(`its schema is ${numberOr(fields.schemaVersion, 'no number')}, not 2`)
  if (hasImages) return { kind: 'index', index: readIndex(fields, reader, type) }
  if (!has('config')) throw reader.refuse('it is neither a manifest nor an index')
  return { kind: 'manifest', manifest: readManifest(fields, reader, type) }
}

const numberOr = (value: unknown, other: string): string => (typeof value === 'number' ? `${value}` : other)

function refuseOldKinds(fields: Fields, name: string): void {
  if (fields.schemaVersion === 1 || Array.isArray(fields.fsLayers))
    throw new SingError('UNSUPPORTED', `${shown(name)} is stored in the first format of Docker (schema 1)`, {
      hint: 'It went out of use in 2017. Convert it: skopeo copy --format v2s2 FROM TO, or pull and push it with docker',
    })
  if (fields.mediaType === 'application/vnd.oci.artifact.manifest.v1+json' || Array.isArray(fields.blobs))
    throw new SingError('UNSUPPORTED', `${shown(name)} is no container image: it is an artifact`)
}

const typeOf = (fields: Fields, reader: Reader, type: string, usual: string): string =>
  reader.text(fields.mediaType, 'mediaType') || type || usual

function readIndex(fields: Fields, reader: Reader, type: string): Index {
  const manifests = reader.list(fields.manifests, 'manifests', manifestsLimit)
  return {
    mediaType: typeOf(fields, reader, type, mediaTypes.index),
    manifests: manifests.map((entry, index) => readDescriptor(entry, `manifests[${index}]`, reader)),
    annotations: readAnnotations(fields.annotations, 'annotations', reader),
  }
}

function readManifest(fields: Fields, reader: Reader, type: string): Manifest {
  const artifactType = reader.text(fields.artifactType, 'artifactType')
  const layers = reader.list(fields.layers, 'layers', layersLimit)
  return {
    mediaType: typeOf(fields, reader, type, mediaTypes.manifest),
    ...(artifactType ? { artifactType } : {}),
    config: readDescriptor(fields.config, 'config', reader),
    layers: layers.map((entry, index) => readDescriptor(entry, `layers[${index}]`, reader)),
    annotations: readAnnotations(fields.annotations, 'annotations', reader),
  }
}

function readAnnotations(value: unknown, path: string, reader: Reader): Record<string, string> {
  const annotations = reader.map(value, path)
  if (Object.keys(annotations).length > annotationsLimit)
    throw reader.refuse(`${path} has more than ${annotationsLimit} entries`)
  return annotations
}

function readDescriptor(value: unknown, path: string, reader: Reader): Descriptor {
  const fields = reader.fields(value, path)
  const digest = reader.text(fields.digest, `${path}.digest`)
  if (!isDigest(digest)) throw reader.refuse(`${path}.digest is no sha256 or sha512 digest`)
  const { size } = fields
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw reader.refuse(`${path}.size is no number of bytes`)
  const artifactType = reader.text(fields.artifactType, `${path}.artifactType`)
  return {
    mediaType: reader.text(fields.mediaType, `${path}.mediaType`),
    digest,
    size,
    ...(artifactType ? { artifactType } : {}),
    ...optional('annotations', fields.annotations, (found) =>
      readAnnotations(found, `${path}.annotations`, reader),
    ),
    ...optional('urls', fields.urls, (found) => reader.texts(found, `${path}.urls`, urlsLimit)),
    ...optional('platform', fields.platform, (found) => readPlatform(found, `${path}.platform`, reader)),
    ...optional('data', fields.data, (found) => readData(found, size, `${path}.data`, reader)),
  }
}

function optional<Key extends string, Value>(
  key: Key,
  value: unknown,
  read: (value: unknown) => Value | undefined,
): { [_ in Key]?: Value } {
  const found = value === undefined || value === null ? undefined : read(value)
  return (found === undefined ? {} : { [key]: found }) as { [_ in Key]?: Value }
}

function readPlatform(value: unknown, path: string, reader: Reader): Platform | undefined {
  const fields = reader.fields(value, path)
  const [os, architecture, variant] = ['os', 'architecture', 'variant'].map((key) =>
    reader.text(fields[key], `${path}.${key}`),
  )
  if (!os && !architecture) return undefined
  return { os: os || 'linux', architecture: architecture ?? '', ...(variant ? { variant } : {}) }
}

/** The blob itself in base64; who uses it compares the digest. */
function readData(value: unknown, size: number, path: string, reader: Reader): Buffer {
  const text = reader.text(value, path)
  const data = Buffer.from(text, 'base64')
  if (data.length !== size || data.toString('base64') !== text)
    throw reader.refuse(`${path} is not the base64 of ${size} bytes`)
  return data
}

const isAttestation = ({ annotations, platform }: Descriptor): boolean =>
  annotations?.['vnd.docker.reference.type'] === 'attestation-manifest' ||
  (platform?.os === 'unknown' && platform.architecture === 'unknown')

/** The images of an index, without what is said about them: signatures, bills of material, attestations. */
export const imagesOf = ({ manifests }: Index): Descriptor[] =>
  manifests.filter((entry) => !isAttestation(entry))

/**
 * The images of an index that suit a machine, best first; among equals the order of the index decides. What tells no platform
 * and is alone suits any, and an index in the index has to be looked into.
 */
export function suitableImages(index: Index, wanted: Platform): Descriptor[] {
  const images = imagesOf(index)
  if (images.length === 1 && images[0]?.platform === undefined) return images
  return images
    .map((image) => ({ image, rank: rankOf(image, wanted) }))
    .filter(({ rank }) => rank < Number.POSITIVE_INFINITY)
    .sort((one, other) => one.rank - other.rank)
    .map(({ image }) => image)
}

const last = Number.MAX_SAFE_INTEGER

function rankOf({ platform, mediaType }: Descriptor, wanted: Platform): number {
  if (platform === undefined && isIndexType(mediaType)) return last
  return suitability(platform, wanted) ?? Number.POSITIVE_INFINITY
}

/** Kinds of artifacts by the type of their configuration, in words, and what to do with them. */
const artifacts: readonly (readonly [pattern: RegExp, what: string, hint?: string])[] = [
  [/^application\/vnd\.sylabs\.sif\.config\./, 'a SIF file', 'Write oras:// instead of docker://'],
  [/^application\/vnd\.cncf\.helm\./, 'a Helm chart'],
  [/^application\/vnd\.wasm\./, 'a WebAssembly module'],
  [/^application\/vnd\.docker\.ai\.|^application\/vnd\.cncf\.model\./, 'a model'],
  [/^application\/vnd\.docker\.plugin\./, 'a plugin of Docker'],
  [/cosign|sigstore|in-toto|notary/, 'a signature or an attestation'],
]

/** The last is what Docker 1.10 wrote. */
const configTypes: readonly string[] = [
  mediaTypes.config,
  mediaTypes.dockerConfig,
  'application/octet-stream',
  '',
]

/**
 * Registries hold other things than images, too.
 * @throws SingError UNSUPPORTED telling what it is
 */
export function refuseArtifact({ config, artifactType, layers }: Manifest, name: string): void {
  const encrypted = layers.find(({ mediaType }) => mediaType.endsWith('+encrypted'))
  if (encrypted) throw new SingError('UNSUPPORTED', `${shown(name)} has encrypted layers`)
  if (configTypes.includes(config.mediaType)) return
  const type = artifactType ?? config.mediaType
  const [, what, hint] =
    artifacts.find(([pattern]) => pattern.test(config.mediaType) || pattern.test(type)) ?? []
  throw new SingError('UNSUPPORTED', `${shown(name)} is no container image: it is ${what ?? shown(type)}`, {
    hint,
  })
}
