/** How the layers of an OCI image become a file system: fetched through the cache, and packed from the top while they come. */

import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { Compression, PackOptions } from '../native/addon.ts'
import { type LayerLimits, type LayerOptions, LayerPacker } from '../native/layers.ts'
import type { Descriptor, Digest, ImageConfig, ImageSource, Manifest } from '../oci/types.ts'
import type { Slot } from '../sif/write.ts'
import type { Cache } from '../store/cache.ts'
import { ArrivingLayers, shortDigest } from './arriving.ts'

/** An image of one platform, with all that is known of it before its layers are read. */
export type OciImage = {
  readonly source: ImageSource
  readonly digest: Digest
  readonly manifest: Manifest
  readonly config: ImageConfig
}

/** How the root file system is packed. */
export type Packing = Pick<PackOptions, 'compression' | 'blockSize' | 'workers' | 'owner'>

export type LayersOptions = {
  readonly cache: Cache
  /** Layers that are fetched at the same time. */
  readonly parallel: number
  readonly packing?: Packing
  readonly limits?: Partial<LayerLimits>
  readonly report: Report
  readonly signal: AbortSignal
}

/** Half the time of the level that builds take, for 2 % more bytes: somebody waits. */
const quick: Compression = { kind: 'zstd', level: 3 }

/** A layer of the cache turned out other than it was when it came. */
class Spoilt extends Error {
  readonly layer: Descriptor

  constructor(layer: Descriptor, cause: unknown) {
    super('a layer of the cache is damaged', { cause })
    this.layer = layer
  }
}

/** Do what reads layers; once more, with a new copy, for each that is damaged in the cache. */
export async function withSoundLayers(options: LayersOptions, work: () => Promise<void>): Promise<void> {
  const renewed = new Set<string>()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Spoilt)) throw error
      const { layer, cause } = error
      if (renewed.has(layer.digest)) throw cause
      renewed.add(layer.digest)
      const text = `Layer ${shortDigest(layer.digest)} in the cache is damaged: ${cause}`
      options.report({ kind: 'verbose', text })
      options.cache.discard(layer)
    }
  }
}

/** The layers of an image on their way, for as long as something is done with them. */
export type Coming = {
  readonly image: OciImage
  readonly layers: ArrivingLayers
  readonly options: LayersOptions
}

/** Begin to fetch the layers of an image. One that does not come ends the work on those that are there. */
export async function withLayers<T>(
  image: OciImage,
  options: LayersOptions,
  work: (coming: Coming) => Promise<T>,
): Promise<T> {
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const { cache, parallel, report } = options
  const arriving = { cache, parallel, report, signal }
  await using layers = new ArrivingLayers(image.source, image.manifest.layers, arriving, (error) =>
    failure.abort(error),
  )
  return await work({ image, layers, options: { ...options, signal } })
}

/** Pack layers, lowest first, into a slot, and with `finish` what comes on top of them. Returns the size. */
export async function packLayers(
  coming: Coming,
  positions: readonly number[],
  { fd, offset }: Slot,
  more: Pick<LayerOptions, 'capture' | 'whiteouts'>,
  finish?: (packer: LayerPacker) => Promise<void>,
): Promise<number> {
  const { packing, limits, report, signal } = coming.options
  const how = { compression: quick, ...packing, ...more, report, signal }
  const options = { ...how, fd, offset, ...(limits ? { limits } : {}) }
  using packer = LayerPacker.open(options)
  for (const at of positions.toReversed()) await applyLayer(packer, coming, at)
  await packer.merge()
  await finish?.(packer)
  return (await packer.finish()).size
}

/** What a layer is called where everybody knows the image. */
const labelOf = ({ manifest }: OciImage, at: number): string =>
  `${at + 1} of ${manifest.layers.length} (${shortDigest(manifest.layers[at]?.digest ?? '')})`

/** What a layer is called in messages. */
export const nameOf = (image: OciImage, at: number): string => `${labelOf(image, at)} of ${image.source.name}`

async function applyLayer(packer: LayerPacker, { image, layers }: Coming, at: number): Promise<void> {
  const { source, manifest, config } = image
  const layer = manifest.layers[at]
  const diffId = config.diffIds[at]
  if (!layer || !diffId) throw new SingError('INTERNAL', `${shown(source.name)} has no layer ${at}`)
  const { follow, ...file } = await layers.open(layer)
  const applied = packer.layer({ ...file, diffId, name: nameOf(image, at), label: labelOf(image, at) })
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
