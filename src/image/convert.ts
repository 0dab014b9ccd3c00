/**
 * An OCI image becomes a SIF. The layers are merged from the top while they still come, straight into the squashfs slot of the
 * new file: nothing is unpacked, and nothing is written twice.
 */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { PackOptions } from '../native/addon.ts'
import { type LayerLimits, LayerPacker } from '../native/layers.ts'
import type { Descriptor, Digest, ImageConfig, ImageSource, Manifest } from '../oci/types.ts'
import { partitionExtra } from '../sif/details.ts'
import { architectureCode, dataTypes, filesystems, partitionKinds } from '../sif/format.ts'
import { SifWriter, type Slot } from '../sif/write.ts'
import type { Cache } from '../store/cache.ts'
import { additionsTo, capturedFiles, type Description } from './additions.ts'
import { ArrivingLayers, shortDigest } from './arriving.ts'
import { attributesOf, inspectJson } from './contents.ts'
import { ociConfigJson } from './oci-scripts.ts'
import { metadataName, ociConfigName } from './open.ts'
import { openContents } from './reader.ts'

/** An image of one platform, with all that is known of it before its layers are read. */
export type OciImage = {
  readonly source: ImageSource
  readonly digest: Digest
  readonly manifest: Manifest
  readonly config: ImageConfig
}

/** How the root file system is packed. */
export type Packing = Pick<PackOptions, 'compression' | 'blockSize' | 'workers' | 'owner'>

export type ConvertOptions = {
  readonly cache: Cache
  /** Layers that are fetched at the same time. */
  readonly parallel: number
  readonly packing?: Packing
  readonly limits?: Partial<LayerLimits>
  /** Seconds since 1970, in the place of when the image was created. */
  readonly time?: number
  /** Of this program, for a label. */
  readonly version: string
  readonly report: Report
  readonly signal: AbortSignal
}

/** A layer of the cache turned out other than it was when it came. */
class Spoilt extends Error {
  readonly layer: Descriptor

  constructor(layer: Descriptor, cause: unknown) {
    super('a layer of the cache is damaged', { cause })
    this.layer = layer
  }
}

/**
 * Write an image as a new SIF, the same bytes whenever it is done: all times are those of the image, and there is no id.
 * @throws SingError naming the layer that is damaged or did not come, and DISK_FULL
 */
export async function convert(image: OciImage, target: string, options: ConvertOptions): Promise<void> {
  try {
    await convertOnce(image, target, options)
  } catch (error) {
    if (!(error instanceof Spoilt)) throw error
    const { layer, cause } = error
    options.report({
      kind: 'verbose',
      text: `Layer ${shortDigest(layer.digest)} in the cache is damaged: ${cause}`,
    })
    options.cache.discard(layer)
    await convertOnce(image, target, options)
  }
}

/** What an image is described as: its origin, not the name under which somebody had it at some time. */
function describe(image: OciImage, { version, time }: ConvertOptions): Description {
  const { agent, from } = image.source.origin
  const header = { bootstrap: agent, from: `${from}@${image.digest}` }
  const definition = `bootstrap: ${header.bootstrap}\nfrom: ${header.from}\n\n`
  return { definition, header, config: image.config, version, time: time ?? image.config.created ?? 0 }
}

async function convertOnce(image: OciImage, target: string, options: ConvertOptions): Promise<void> {
  const description = describe(image, options)
  await using writer = await SifWriter.create(target, { id: '', time: description.time })
  await writer.add({ dataType: dataTypes.definition, data: Buffer.from(description.definition) })
  // The table has the objects in the order of their names, as other writers have it.
  const attributes = writer.later()
  const stored = { dataType: dataTypes.genericJson, name: ociConfigName }
  await writer.add({ ...stored, data: Buffer.from(ociConfigJson(image.config)) })
  const slot = await writer.slot({ dataType: dataTypes.partition, extra: partitionOf(image) })
  const size = await packRoot(image, description, slot, options)
  slot.finish(size)
  const inspect = { dataType: dataTypes.genericJson, name: metadataName }
  await writer.add({ ...inspect, data: await describePacked(slot, size) }, attributes)
  options.signal.throwIfAborted()
  await writer.commit()
}

const partitionOf = ({ config }: OciImage): Uint8Array =>
  partitionExtra(filesystems.squashfs, partitionKinds.primary, architectureCode(config.platform.architecture))

/** Read what the image says about itself from where it was packed to. */
async function describePacked({ fd, offset }: Slot, size: number): Promise<Buffer> {
  await using contents = await openContents({ rootfs: { file: `/proc/self/fd/${fd}`, offset, size } })
  return Buffer.from(inspectJson(await attributesOf(contents)))
}

/** Pack layers and additions into the slot. Returns the size. */
async function packRoot(
  image: OciImage,
  description: Description,
  slot: Slot,
  options: ConvertOptions,
): Promise<number> {
  // A layer that does not come ends the work on those that are there.
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const { cache, parallel, report } = options
  const arriving = { cache, parallel, report, signal }
  await using layers = new ArrivingLayers(image.source, image.manifest.layers, arriving, (error) =>
    failure.abort(error),
  )
  using packer = LayerPacker.open({
    ...options.packing,
    fd: slot.fd,
    offset: slot.offset,
    capture: capturedFiles,
    report,
    signal,
    ...(options.limits ? { limits: options.limits } : {}),
  })
  for (let at = image.manifest.layers.length - 1; at >= 0; at -= 1)
    await applyLayer(packer, image, at, layers)
  await packer.merge()
  const tree = { lookup: (path: string) => packer.lookup(path), captured: packer.captured() }
  await packer.add(additionsTo(tree, description))
  return (await packer.finish()).size
}

async function applyLayer(
  packer: LayerPacker,
  { source, manifest, config }: OciImage,
  at: number,
  layers: ArrivingLayers,
): Promise<void> {
  const layer = manifest.layers[at]
  const diffId = config.diffIds[at]
  if (!layer || !diffId) throw new SingError('INTERNAL', `${shown(source.name)} has no layer ${at}`)
  const { follow, ...file } = await layers.open(layer)
  const name = `${at + 1} of ${manifest.layers.length} (${shortDigest(layer.digest)}) of ${source.name}`
  const applied = packer.layer({ ...file, diffId, name })
  const following = follow(packer)
  try {
    await applied
  } catch (error) {
    throw layers.isOld(layer) && isDamage(error) ? new Spoilt(layer, error) : error
  } finally {
    following.stop()
  }
}

const isDamage = (error: unknown): boolean =>
  error instanceof SingError && (error.code === 'DIGEST' || error.code === 'IMAGE_FORMAT')
