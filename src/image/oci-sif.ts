/**
 * OCI-SIF: a SIF that holds an image of OCI as it is. A root index names the manifest, that the configuration and the layers,
 * and each of them is an object whose extra bytes are its digest. Layers are file systems that lie over each other:
 *
 *     | header | table | layer (squashfs) | ... | changes (ext3) | configuration | manifest | root index |
 */

import type { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import { configLimit, parseConfig } from '../oci/config.ts'
import { documentLimit, isIndexType, parseDocument } from '../oci/manifest.ts'
import type { Descriptor, ImageConfig, Manifest } from '../oci/types.ts'
import { ociDigest } from '../sif/details.ts'
import { dataTypes, type SifObject } from '../sif/format.ts'
import { objectWindow, openFile, parseSif, readAt, type Sif } from '../sif/read.ts'
import { checkFilesystem, type Overlay } from './open.ts'

export const layerTypes = {
  squashfs: 'application/vnd.sylabs.image.layer.v1.squashfs',
  ext3: 'application/vnd.sylabs.image.layer.v1.ext3',
} as const

/** A manifest of this kind has files and no programs; they are bound into containers. */
const dataContainer = 'application/vnd.sylabs.data-container.v1'
const referenceName = 'org.opencontainers.image.ref.name'
/** Signatures of cosign are kept as images, under names that begin so. */
const signaturePrefix = '_cosign'

/** The documents of the one image in an OCI-SIF, with digests that are theirs. */
export type OciSif = {
  readonly path: string
  readonly sif: Sif
  readonly descriptor: Descriptor
  readonly manifest: Manifest
  readonly manifestBytes: Buffer
  readonly isData: boolean
}

const damagedHint = 'The file is cut off or damaged; fetch or build it again.'

function damaged(path: string, reason: string): SingError {
  return new SingError('IMAGE_FORMAT', `cannot open ${shown(path)}: ${reason}`, { hint: damagedHint })
}

function unusable(path: string, reason: string, hint?: string): SingError {
  return new SingError('UNSUPPORTED', `cannot open ${shown(path)} as an image: ${reason}`, { hint })
}

/** The object that a descriptor means; what it holds is not yet looked at. */
export function blobObject({ path, sif }: Pick<OciSif, 'path' | 'sif'>, wanted: Descriptor): SifObject {
  const { digest, size } = wanted
  const object = sif.objects.find(
    (one) => one.dataType === dataTypes.ociBlob && ociDigest(one) === digest && one.size === size,
  )
  if (object) return object
  throw damaged(path, `it is an OCI-SIF without the blob ${digest} of ${size} bytes`)
}

const digestOf = (bytes: Buffer, like: string): string => {
  const algorithm = like.startsWith('sha512:') ? 'sha512' : 'sha256'
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** The bytes of a small object, compared with their digest. */
function readChecked(fd: number, sif: Sif, object: SifObject, limit: number, what: string): Buffer {
  const { offset, size } = objectWindow(sif, object)
  const digest = ociDigest(object)
  if (size > limit) throw damaged(sif.path, `its ${what} has ${size} bytes, more than ${limit}`)
  const bytes = readAt(fd, offset, size)
  if (digestOf(bytes, digest) !== digest) throw damaged(sif.path, `its ${what} does not match its digest`)
  return bytes
}

function rootIndex({ objects, path }: Sif): SifObject {
  const [index, ...more] = objects.filter(({ dataType }) => dataType === dataTypes.ociRootIndex)
  if (index && more.length === 0) return index
  throw damaged(path, `it has ${more.length + 1} root indexes of OCI images, and not one`)
}

/** The one image of a file, signatures left aside. */
function onlyImage(manifests: readonly Descriptor[], path: string): Descriptor {
  const images = manifests.filter(
    ({ annotations }) => !annotations?.[referenceName]?.startsWith(signaturePrefix),
  )
  const [image] = images
  if (image && images.length === 1 && !isIndexType(image.mediaType)) return image
  const count = image && images.length === 1 ? 'a choice of' : images.length === 0 ? 'no' : images.length
  throw unusable(
    path,
    `it is an OCI-SIF with ${count} images, and one is needed`,
    images.length > 0
      ? 'Get the one that you need: sing pull --oci --platform PLATFORM FILE REFERENCE'
      : undefined,
  )
}

/**
 * The manifest of the image in an OCI-SIF that is open as `fd`.
 * @throws SingError IMAGE_FORMAT for damage, UNSUPPORTED when there is not one image
 */
export function readOciSif(fd: number, sif: Sif): OciSif {
  const { path } = sif
  const index = parseDocument(readChecked(fd, sif, rootIndex(sif), documentLimit, 'root index'), path)
  if (index.kind !== 'index') throw damaged(path, 'its root index is a manifest')
  const descriptor = onlyImage(index.index.manifests, path)
  const object = blobObject({ path, sif }, descriptor)
  const manifestBytes = readChecked(fd, sif, object, documentLimit, 'manifest')
  const document = parseDocument(manifestBytes, path, descriptor.mediaType)
  if (document.kind !== 'manifest') throw damaged(path, 'its manifest is an index')
  const { manifest } = document
  const isData = manifest.artifactType === dataContainer
  return { path, sif, descriptor, manifest, manifestBytes, isData }
}

/** @throws SingError IMAGE_FORMAT; UNSUPPORTED for what has no programs to configure */
export function readConfig(fd: number, { path, sif, manifest, isData }: OciSif): ImageConfig {
  if (isData)
    throw unusable(
      path,
      'it is a data container, which has files and no programs',
      `Bind its files into a container: --bind ${shown(path)}:/DESTINATION:image-src=/`,
    )
  const object = blobObject({ path, sif }, manifest.config)
  const bytes = readChecked(fd, sif, object, configLimit, 'configuration')
  return parseConfig(bytes, manifest.layers.length, path)
}

/** Documents of an OCI-SIF by its path. @throws what opening and reading it throws */
export async function openOciSif(path: string): Promise<{ ociSif: OciSif; config: ImageConfig }> {
  await using file = await openFile(path, 'r')
  const ociSif = readOciSif(file.fd, parseSif(file.fd, path))
  return { ociSif, config: readConfig(file.fd, ociSif) }
}

/** The file system that a layer is; undefined for one that is none. */
export function layerFilesystem({ mediaType }: Descriptor): Overlay['filesystem'] | undefined {
  if (mediaType === layerTypes.squashfs) return 'squashfs'
  return mediaType === layerTypes.ext3 ? 'ext3' : undefined
}

/**
 * Where the layers are, lowest first: squashfs, and at the top perhaps an ext3 with changes.
 * @throws SingError UNSUPPORTED for layers that are no file systems
 */
export function ociSifLayers(fd: number, { path, sif, manifest }: OciSif, file: string): Overlay[] {
  const { layers } = manifest
  if (layers.length === 0) throw unusable(path, 'it has no layers')
  return layers.map((layer, index) => {
    const filesystem = layerFilesystem(layer)
    if (!filesystem)
      throw unusable(
        path,
        `its layers are archives (${shown(layer.mediaType)}), and not file systems`,
        'Fetch the image anew from where it came: sing pull IMAGE.sif docker://NAME',
      )
    if (filesystem === 'ext3' && (index === 0 || index < layers.length - 1))
      throw unusable(path, 'a layer that is an ext3 lies below others')
    const window = { ...objectWindow(sif, blobObject({ path, sif }, layer)), filesystem }
    checkFilesystem(fd, window, path)
    return { file, ...window }
  })
}
