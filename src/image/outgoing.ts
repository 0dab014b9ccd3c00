/** What becomes of an image in a registry: the layers to send, and the documents about them, which are known when those are sent. */

import type { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { ExtraFile } from '../native/export.ts'
import { type Annotations, manifestBytes } from '../oci/artifact.ts'
import { mediaTypes } from '../oci/manifest.ts'
import type { Descriptor } from '../oci/types.ts'
import type { Blob, Sent } from '../oci/upload.ts'
import { isOciSif, readSif } from '../sif/read.ts'
import { hostArchitecture } from './architecture.ts'
import { type Attributes, attributesOf } from './contents.ts'
import { fileBlob } from './file-blob.ts'
import { type Described, imageConfig, starterFiles } from './oci-config.ts'
import { layerTypes } from './oci-sif.ts'
import { type Image, openImage, type Unlock } from './open.ts'
import { openContents } from './reader.ts'

export type Compression = 'gzip' | 'zstd' | 'none'

export type OutgoingOptions = {
  readonly annotations: Annotations
  /** Layers as archives, which all runtimes read, or as file systems. Absent: the first, but for an OCI-SIF, which is sent as it is. */
  readonly layerFormat: 'tar' | 'squashfs' | undefined
  readonly compression: Compression
  readonly report: Report
  readonly signal: AbortSignal
  /** Opens an encrypted image. */
  readonly unlock?: Unlock | undefined
}

export type Outgoing = {
  readonly layers: readonly Blob[]
  /** To be asked when the layers were sent. */
  readonly config: () => { readonly bytes: Buffer; readonly mediaType: string }
  readonly manifest: (config: Descriptor, layers: readonly Sent[]) => Buffer
}

export const tarTypes = {
  none: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
} as const

/**
 * An image as one of OCI, for all runtimes.
 * @throws SingError as `openImage`; UNSUPPORTED for what cannot be sent so
 */
export async function ociImage(path: string, options: OutgoingOptions): Promise<Outgoing> {
  const sif = await readSif(path).catch(() => undefined)
  if (sif && isOciSif(sif)) return await (await import('./outgoing-oci-sif.ts')).ociSifImage(sif, options)
  const image = await openImage(path, { anyArchitecture: true, unlock: options.unlock })
  if (image.kind === 'sif' && (image.overlays?.length ?? 0) > 0) {
    const text = `The overlay partition of ${shown(path)} is not sent: only its root file system is`
    options.report({ kind: 'warning', text })
  }
  if (image.encryption) tellDecrypted(path, options)
  return options.layerFormat === 'squashfs'
    ? await squashfsImage(image, options)
    : await tarImage(image, options)
}

/** @throws SingError UNSUPPORTED for a layer that would be sent as it lies */
function tellDecrypted(path: string, { layerFormat, report }: OutgoingOptions): void {
  const hint = 'It goes as it is, encrypted, to oras://'
  if (layerFormat === 'squashfs')
    throw new SingError('UNSUPPORTED', `--layer-format squashfs: ${shown(path)} is encrypted`, { hint })
  report({ kind: 'warning', text: `${shown(path)} is sent decrypted. ${hint}` })
}

/** The root file system as one layer of the kind that Singularity 4 reads. */
async function squashfsImage(image: Image, options: OutgoingOptions): Promise<Outgoing> {
  const { rootfs, path } = image
  if ('directory' in rootfs)
    throw new SingError('UNSUPPORTED', `--layer-format squashfs: ${shown(path)} is a directory`, {
      hint: `Make an image of it first: sing build IMAGE.sif ${shown(path)}`,
    })
  const layer = await fileBlob('the layer', rootfs, options)
  const described = await describeImage(image, false)
  return packed(described, [layer], [layerTypes.squashfs], () => [layer.known.digest], options)
}

/** The files of the root file system as an archive, made while it is sent. */
async function tarImage(image: Image, options: OutgoingOptions): Promise<Outgoing> {
  const { compression } = options
  const described = await describeImage(image, true)
  const layer = await exportedLayer('the layer', image.rootfs, options, starterFiles(described))
  return packed(described, [layer.blob], [tarTypes[compression]], () => [layer.diffId()], options)
}

function packed(
  described: Described,
  layers: readonly Blob[],
  types: readonly string[],
  diffIds: () => string[],
  { annotations }: OutgoingOptions,
): Outgoing {
  return {
    layers,
    config: () => ({ bytes: imageConfig(described, diffIds()), mediaType: mediaTypes.config }),
    manifest: (config, sent) => manifestOf(config, sent, types, annotations),
  }
}

/** A manifest for what was sent. */
export function manifestOf(
  config: Descriptor,
  sent: readonly Sent[],
  types: readonly string[],
  annotations: Annotations,
): Buffer {
  const layers = sent.map((layer, index) => ({ mediaType: types[index] ?? '', ...layer }))
  return manifestBytes({ mediaType: mediaTypes.manifest, config, layers, annotations })
}

type Files = Image['rootfs'] & { readonly whiteouts?: boolean }

export type ExportedLayer = { readonly blob: Blob; readonly diffId: () => string }

/** A layer that is made while it is sent; its digest as a tar is known then. */
export async function exportedLayer(
  name: string,
  rootfs: Files,
  { compression, report }: OutgoingOptions,
  extras: readonly ExtraFile[] = [],
): Promise<ExportedLayer> {
  // The addon is only loaded for those who need it.
  const { LayerExport } = await import('../native/export.ts')
  const made = new LayerExport(rootfs, { compression, extras })
  return {
    blob: { name, read: (_, signal) => made.read(signal) },
    diffId() {
      const { diffId = '', skipped = 0, firstSkipped = '' } = made.result ?? {}
      if (skipped > 0) {
        const what = skipped === 1 ? 'is left out' : `and ${skipped - 1} more are left out`
        const reason = 'layers hold no sockets, and names that begin with .wh. mean something else in them'
        report({ kind: 'warning', text: `${shown(firstSkipped)} ${what}: ${reason}` })
      }
      return diffId
    },
  }
}

/** What is known of an image for those that start it elsewhere. */
export async function describeImage(image: Image, isOpen: boolean): Promise<Described> {
  await using contents = await openContents(image)
  const attributes = await attributesOf(contents)
  const actions = (await contents.list('/.singularity.d/actions')) ?? []
  const architecture = image.arch ?? labelledArchitecture(attributes) ?? hostArchitecture()
  const oci = image.oci as Described['oci']
  return { architecture, created: await timeOf(image), oci, attributes, actions, isOpen }
}

function labelledArchitecture({ labels }: Attributes): string | undefined {
  const architecture = labels?.['org.label-schema.build-arch']
  return architecture && /^[a-z0-9]{3,10}$/.test(architecture) ? architecture : undefined
}

/** When the image was made; a directory does not say, and the same files shall have the same digest. */
async function timeOf({ kind, path, rootfs }: Image): Promise<number> {
  if (kind === 'sif') return (await readSif(path)).header.created
  if (!('file' in rootfs)) return 0
  const { SquashfsImage } = await import('../native/addon.ts')
  await using image = await SquashfsImage.at(rootfs)
  return image.info.time
}
