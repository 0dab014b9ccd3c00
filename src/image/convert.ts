/**
 * An OCI image becomes a SIF. The layers are merged from the top while they still come, straight into the squashfs slot of the
 * new file: nothing is unpacked, and nothing is written twice.
 */

import { Buffer } from 'node:buffer'
import { partitionExtra } from '../sif/details.ts'
import { architectureCode, dataTypes, filesystems, partitionKinds } from '../sif/format.ts'
import { type Examine, SifWriter, type Slot } from '../sif/write.ts'
import { additionsTo, capturedFiles, type Description } from './additions.ts'
import { attributesOf, inspectJson } from './contents.ts'
import { ociConfigJson } from './oci-scripts.ts'
import { metadataName, ociConfigName, type Window } from './open.ts'
import { type LayersOptions, type OciImage, packLayers, withLayers, withSoundLayers } from './pack-layers.ts'
import { packedIn } from './packed.ts'
import { openContents } from './reader.ts'

export type ConvertOptions = LayersOptions & {
  /** Seconds since 1970, in the place of when the image was created. */
  readonly time?: number
  /** Of this program, for a label. */
  readonly version: string
  /** Adds what comes behind the root file system, which lies in `packed`. */
  readonly behind?: ((writer: SifWriter, packed: Window) => Promise<void>) | undefined
  /** Sees the new file before it has its name. */
  readonly examine?: Examine | undefined
}

/**
 * Write an image as a new SIF, the same bytes whenever it is done: all times are those of the image, and there is no id.
 * @throws SingError naming the layer that is damaged or did not come, and DISK_FULL
 */
export async function convert(image: OciImage, target: string, options: ConvertOptions): Promise<void> {
  await withSoundLayers(options, () => convertOnce(image, target, options))
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
  await options.behind?.(writer, packedIn(slot, size))
  options.signal.throwIfAborted()
  await writer.commit(options.examine)
}

const partitionOf = ({ config }: OciImage): Uint8Array =>
  partitionExtra(filesystems.squashfs, partitionKinds.primary, architectureCode(config.platform.architecture))

/** Read what the image says about itself from where it was packed to. */
async function describePacked(slot: Slot, size: number): Promise<Buffer> {
  await using contents = await openContents({ rootfs: packedIn(slot, size) })
  return Buffer.from(inspectJson(await attributesOf(contents)))
}

/** Pack layers and additions into the slot. Returns the size. */
async function packRoot(
  image: OciImage,
  description: Description,
  slot: Slot,
  options: ConvertOptions,
): Promise<number> {
  const all = image.manifest.layers.map((_, at) => at)
  return await withLayers(image, options, (coming) =>
    packLayers(coming, all, slot, { capture: capturedFiles }, async (packer) => {
      const tree = { lookup: (path: string) => packer.lookup(path), captured: packer.captured() }
      await packer.add(additionsTo(tree, description))
    }),
  )
}
