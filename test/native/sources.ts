/** Opens sources of images as a pull does, and reads everything in them. */

import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { silent } from '../../src/core/events.ts'
import { compressionOf } from '../../src/oci/decompress.ts'
import { openSource, type SourceOptions } from '../../src/oci/open.ts'
import { parseReference } from '../../src/oci/reference.ts'
import { type ResolvedImage, resolveImage } from '../../src/oci/resolve.ts'
import type { Descriptor, ImageSource } from '../../src/oci/types.ts'
import { temporaryFolder } from '../helpers/temp.ts'

export const amd64 = { os: 'linux', architecture: 'amd64' }
const { signal } = new AbortController()

export const optionsWith = (more: Partial<SourceOptions> = {}): SourceOptions => ({
  scratch: async () => temporaryFolder(),
  report: silent,
  noHttps: false,
  environment: { PATH: process.env.PATH ?? '' },
  signal,
  ...more,
})

export const open = (reference: string, more: Partial<SourceOptions> = {}): Promise<ImageSource> =>
  openSource(parseReference(reference), optionsWith(more))

/** The image that a pull would take. */
export async function resolved(
  reference: string,
  platform = amd64,
  more: Partial<SourceOptions> = {},
): Promise<ResolvedImage> {
  await using source = await open(reference, more)
  return await resolveImage(source, platform, signal)
}

/** Read the image and all its layers in every way there is; each has the digests that it should have. */
export async function readEverything(
  reference: string,
  more: Partial<SourceOptions> = {},
): Promise<ResolvedImage> {
  await using source = await open(reference, more)
  const image = await resolveImage(source, amd64, signal)
  const config = await collect(await source.blob(image.manifest.config, 0, signal))
  if (!config.equals(image.config.document)) throw new Error('the configuration is another one as a blob')
  for (const [index, layer] of image.manifest.layers.entries()) {
    const bytes = await layerBytes(source, layer)
    if (sha256(bytes) !== layer.digest) throw new Error(`layer ${index} is not ${layer.digest}`)
    if (bytes.length !== layer.size) throw new Error(`layer ${index} has ${bytes.length} bytes`)
    if (sha256(unpacked(bytes)) !== image.config.diffIds[index])
      throw new Error(`layer ${index} has another diff ID`)
  }
  return image
}

async function layerBytes(source: ImageSource, layer: Descriptor): Promise<Buffer> {
  const streamed = await collect(await source.blob(layer, 0, signal))
  const middle = Math.floor(streamed.length / 2)
  const rest = await collect(await source.blob(layer, middle, signal))
  if (!rest.equals(streamed.subarray(middle))) throw new Error('the second half differs')
  const place = source.locate?.(layer)
  if (place === undefined) throw new Error(`${layer.digest} lies nowhere`)
  const bytes = Buffer.alloc(place.size)
  const fd = openSync(place.file, 'r')
  readSync(fd, bytes, 0, place.size, place.offset)
  closeSync(fd)
  if (!bytes.equals(streamed)) throw new Error('the located bytes differ')
  return streamed
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}

export const sha256 = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function unpacked(bytes: Buffer): Buffer {
  switch (compressionOf(bytes)) {
    case 'gzip':
      return gunzipSync(bytes)
    case 'zstd':
      return zstdDecompressSync(bytes)
    default:
      return bytes
  }
}
