/** The image in an OCI-SIF on its way to a registry. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import type { Annotations } from '../oci/artifact.ts'
import { parseConfig } from '../oci/config.ts'
import { mediaTypes } from '../oci/manifest.ts'
import type { Descriptor, Digest } from '../oci/types.ts'
import { objectWindow, openFile, readObject, type Sif } from '../sif/read.ts'
import { fileBlob } from './file-blob.ts'
import { blobObject, layerFilesystem, type OciSif, readOciSif } from './oci-sif.ts'
import {
  type ExportedLayer,
  exportedLayer,
  manifestOf,
  type Outgoing,
  type OutgoingOptions,
  tarTypes,
} from './outgoing.ts'

/** The image in an OCI-SIF: as it is, or with its layers as archives. */
export async function ociSifImage(sif: Sif, options: OutgoingOptions): Promise<Outgoing> {
  const { path } = sif
  await using file = await openFile(path, 'r')
  const image = readOciSif(file.fd, sif)
  const { manifest, manifestBytes: bytes } = image
  const config = await readObject(image.sif, blobObject(image, manifest.config))
  if (options.layerFormat === 'tar') return await unpackedOciSif(image, config, options)
  const layers = manifest.layers.map((layer, index) => {
    const part = { file: path, ...objectWindow(image.sif, blobObject(image, layer)) }
    return fileBlob(nameOf(index, manifest.layers.length), part, options, layer.digest)
  })
  return {
    layers: await Promise.all(layers),
    config: () => ({ bytes: config, mediaType: manifest.config.mediaType }),
    manifest: () => annotated(bytes, options.annotations),
  }
}

const nameOf = (index: number, count: number): string =>
  count === 1 ? 'the layer' : `layer ${index + 1} of ${count}`

/** The manifest as it is stored, byte for byte, unless there is something to add. */
function annotated(bytes: Buffer, annotations: Annotations): Buffer {
  if (Object.keys(annotations).length === 0) return bytes
  const document = JSON.parse(bytes.toString()) as { annotations?: Annotations }
  return Buffer.from(
    JSON.stringify({ ...document, annotations: { ...document.annotations, ...annotations } }),
  )
}

async function unpackedOciSif(image: OciSif, config: Buffer, options: OutgoingOptions): Promise<Outgoing> {
  const { manifest, path, isData } = image
  if (isData) throw unable(path, 'it is a data container')
  const { diffIds } = parseConfig(config, manifest.layers.length, path)
  const layers = await Promise.all(
    manifest.layers.map((layer, index) => unpackedLayer(image, layer, index, diffIds[index] ?? '', options)),
  )
  const types = layers.map(({ type }) => type)
  return {
    layers: layers.map(({ blob }) => blob),
    config: () => ({
      bytes: withDiffIds(
        config,
        layers.map(({ diffId }) => diffId()),
      ),
      mediaType: mediaTypes.config,
    }),
    manifest: (descriptor, sent) =>
      manifestOf(descriptor, sent, types, { ...manifest.annotations, ...options.annotations }),
  }
}

const unable = (path: string, reason: string): SingError =>
  new SingError(
    'UNSUPPORTED',
    `--layer-format tar: the layers of ${shown(path)} cannot be archives: ${reason}`,
    {
      hint: 'Send it as it is, without --layer-format',
    },
  )

async function unpackedLayer(
  image: OciSif,
  layer: Descriptor,
  index: number,
  diffId: Digest,
  options: OutgoingOptions,
): Promise<ExportedLayer & { type: string }> {
  const { layers } = image.manifest
  const name = nameOf(index, layers.length)
  const part = { file: image.path, ...objectWindow(image.sif, blobObject(image, layer)) }
  const filesystem = layerFilesystem(layer)
  if (filesystem === 'ext3') throw unable(image.path, 'one of them is an ext3 with changes')
  if (filesystem === undefined)
    return {
      type: layer.mediaType,
      blob: await fileBlob(name, part, options, layer.digest),
      diffId: () => diffId,
    }
  const exported = await exportedLayer(name, { ...part, whiteouts: layers.length > 1 }, options)
  return { type: tarTypes[options.compression], ...exported }
}

function withDiffIds(config: Buffer, diffIds: readonly Digest[]): Buffer {
  const document = JSON.parse(config.toString()) as { rootfs?: object }
  return Buffer.from(JSON.stringify({ ...document, rootfs: { ...document.rootfs, diff_ids: diffIds } }))
}
