/**
 * An OCI image becomes an OCI-SIF: its layers as file systems, one of all or one of each, and the documents that name them. The same
 * image always becomes the same bytes.
 */

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { read, write } from 'node:fs'
import { promisify } from 'node:util'
import { SingError, shown } from '../core/errors.ts'
import { documentLimit, mediaTypes } from '../oci/manifest.ts'
import type { Descriptor, Platform } from '../oci/types.ts'
import { digestExtra } from '../sif/details.ts'
import { dataTypes, noTime } from '../sif/format.ts'
import { type Examine, SifWriter, type Slot } from '../sif/write.ts'
import { layerFilesystem, layerTypes } from './oci-sif.ts'
import { relayeredConfig, relayeredManifest, rootIndexBytes } from './oci-sif-documents.ts'
import {
  type Coming,
  type LayersOptions,
  nameOf,
  type OciImage,
  packLayers,
  withLayers,
  withSoundLayers,
} from './pack-layers.ts'

export type OciSifOptions = LayersOptions & {
  /** One file system of each layer instead of one of all. */
  readonly keepLayers: boolean
  /** Of this program, for the history. */
  readonly version: string
  /** Sees the new file before it has its name. */
  readonly examine?: Examine | undefined
}

/** Objects that can be added later without a new file: signatures, changes. */
const spare = 8
/** The kernel mounts what begins at a page, for root without FUSE. */
const alignment = 4096
const chunkLength = 1 << 20

/**
 * Write an image as a new OCI-SIF. Layers that are file systems already, and all documents with them, stay as they are.
 * @throws SingError naming the layer that is damaged or did not come, and DISK_FULL
 */
export async function writeOciSif(image: OciImage, target: string, options: OciSifOptions): Promise<void> {
  await withSoundLayers(options, () => writeOnce(image, target, options))
}

async function writeOnce(image: OciImage, target: string, options: OciSifOptions): Promise<void> {
  const { layers } = image.manifest
  if (layers.length === 0) throw new SingError('UNSUPPORTED', `${shown(image.source.name)} has no layers`)
  const capacity = layers.length + 3 + spare
  await using writer = await SifWriter.create(target, { id: '', time: noTime, capacity })
  const done = await withLayers(image, options, (coming) => addLayers(writer, coming, options))
  const { config, manifest } = await documentsOf(image, done, options)
  await writer.add({ dataType: dataTypes.ociBlob, data: config })
  await writer.add({ dataType: dataTypes.ociBlob, data: manifest })
  const described = describe(mediaTypes.manifest, manifest)
  await writer.add({ dataType: dataTypes.ociRootIndex, data: rootIndexBytes(described, image.config) })
  options.signal.throwIfAborted()
  await writer.commit(options.examine)
}

export type PackedOciSif = {
  readonly mode: number
  readonly platform: Platform
  /** Writes the file system of the only layer. Resolves with its size. */
  readonly pack: (slot: Slot) => Promise<number>
  /** The configuration, given the digests of the layers. */
  readonly configOf: (diffIds: readonly string[]) => Buffer
  readonly examine: Examine
  readonly signal: AbortSignal
}

/** Write a new OCI-SIF of one file system. */
export async function writePackedOciSif(target: string, image: PackedOciSif): Promise<void> {
  const { mode, platform, pack, configOf, examine, signal } = image
  await using writer = await SifWriter.create(target, { id: '', time: noTime, capacity: 4 + spare, mode })
  const slot = await writer.slot({ dataType: dataTypes.ociBlob, extra: Buffer.alloc(0), alignment })
  const layer = await describeSlot(slot, await pack(slot))
  const config = configOf([layer.digest])
  const manifest = relayeredManifest({ annotations: {} }, describe(mediaTypes.config, config), [layer])
  await writer.add({ dataType: dataTypes.ociBlob, data: config })
  await writer.add({ dataType: dataTypes.ociBlob, data: manifest })
  const described = describe(mediaTypes.manifest, manifest)
  await writer.add({ dataType: dataTypes.ociRootIndex, data: rootIndexBytes(described, { platform }) })
  signal.throwIfAborted()
  await writer.commit(examine)
}

/** Whether all layers are file systems; some alone cannot be put together with archives. */
function arePacked({ source, manifest }: OciImage): boolean {
  const packed = manifest.layers.filter((layer) => layerFilesystem(layer) !== undefined)
  if (packed.length === 0 || packed.length === manifest.layers.length) return packed.length > 0
  throw new SingError('UNSUPPORTED', `${shown(source.name)} has archives and file systems as layers`)
}

/** Add the layers, lowest first. Resolves with what they are now. */
async function addLayers(
  writer: SifWriter,
  coming: Coming,
  { keepLayers }: OciSifOptions,
): Promise<Descriptor[]> {
  const positions = coming.image.manifest.layers.map((_, at) => at)
  const packed = arePacked(coming.image)
  const groups = packed || keepLayers ? positions.map((at) => [at]) : [positions]
  const whiteouts = groups.length > 1 ? { whiteouts: 'keep' as const } : {}
  const added: Descriptor[] = []
  for (const group of groups) {
    const slot = await writer.slot({ dataType: dataTypes.ociBlob, extra: Buffer.alloc(0), alignment })
    const [only = 0] = group
    added.push(
      packed
        ? await copyLayer(coming, only, slot)
        : await describeSlot(slot, await packLayers(coming, group, slot, whiteouts)),
    )
  }
  return added
}

const readFd = promisify(read)

/** The bytes of an open file from a place on. */
async function* bytesOf(fd: number, offset: number, size: number): AsyncGenerator<Buffer> {
  for (let done = 0; done < size; ) {
    const bytes = Buffer.alloc(Math.min(chunkLength, size - done))
    const { bytesRead } = await readFd(fd, bytes, 0, bytes.length, offset + done)
    if (bytesRead === 0) throw new SingError('IO', 'a file ended while it was read')
    yield bytes.subarray(0, bytesRead)
    done += bytesRead
  }
}

/** A layer in its place becomes an object with its digest. */
async function describeSlot({ fd, offset, finish }: Slot, size: number): Promise<Descriptor> {
  const hash = createHash('sha256')
  for await (const bytes of bytesOf(fd, offset, size)) hash.update(bytes)
  const digest = `sha256:${hash.digest('hex')}`
  finish(size, digestExtra(digest))
  return { mediaType: layerTypes.squashfs, digest, size }
}

const writeFd = promisify(write)

async function writeAll(fd: number, at: number, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await writeFd(fd, bytes, done, bytes.length - done, at + done)).bytesWritten
}

/** The place of a layer once all of it is there. */
async function wholeLayer(
  { layers }: Coming,
  layer: Descriptor,
): Promise<{ fd: number; offset: number; size: number }> {
  const { fd, offset, size, follow } = await layers.open(layer)
  if (size !== undefined) return { fd, offset, size }
  const whole = Promise.withResolvers<number>()
  follow({ advance: () => {}, complete: whole.resolve, abort: whole.reject })
  return { fd, offset, size: await whole.promise }
}

/** A layer that is a file system becomes an object as it is. */
async function copyLayer(coming: Coming, at: number, slot: Slot): Promise<Descriptor> {
  const layer = coming.image.manifest.layers[at]
  if (!layer) throw new SingError('INTERNAL', `${nameOf(coming.image, at)} is no layer`)
  const { fd, offset, size } = await wholeLayer(coming, layer)
  const hash = createHash(layer.digest.startsWith('sha512:') ? 'sha512' : 'sha256')
  let end = slot.offset
  for await (const bytes of bytesOf(fd, offset, size)) {
    coming.options.signal.throwIfAborted()
    hash.update(bytes)
    await writeAll(slot.fd, end, bytes)
    end += bytes.length
  }
  if (!layer.digest.endsWith(`:${hash.digest('hex')}`))
    throw new SingError('DIGEST', `layer ${nameOf(coming.image, at)} does not match its digest`, {
      hint: 'The layer is damaged: get it again',
    })
  slot.finish(size, digestExtra(layer.digest))
  return { ...layer, size }
}

function describe(mediaType: string, bytes: Buffer): Descriptor {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  return { mediaType, digest, size: bytes.length }
}

/** Configuration and manifest: new ones for new layers. */
async function documentsOf(
  image: OciImage,
  layers: readonly Descriptor[],
  { version, signal }: OciSifOptions,
): Promise<{ config: Buffer; manifest: Buffer }> {
  const { source, manifest, digest, config } = image
  if (arePacked(image)) {
    const { mediaType } = manifest
    const bytes = await source.document({ mediaType, digest, size: undefined }, documentLimit, signal)
    return { config: config.document, manifest: bytes }
  }
  const making = { from: digest, by: `sing ${version}` }
  const relayered = relayeredConfig(
    config,
    layers.map((layer) => layer.digest),
    making,
  )
  const bytes = relayeredManifest(manifest, describe(mediaTypes.config, relayered), layers)
  return { config: relayered, manifest: bytes }
}
