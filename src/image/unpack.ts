/** An image as files in a directory, with several layers as the one tree that an overlay of them shows. */

import { type ExtractOptions, SquashfsImage } from '../native/addon.ts'
import type { Window } from './open.ts'

/** Bytes that the files of layers take, hidden ones included, and the newest time that a layer has. */
export async function sizeOfLayers(layers: readonly Window[]): Promise<{ bytes: number; time: number }> {
  let [bytes, time] = [0, 0]
  for (const window of layers) {
    await using layer = await SquashfsImage.at(window)
    bytes += layer.info.bytes
    time = Math.max(time, layer.info.time)
  }
  return { bytes, time }
}

/**
 * Fill the existing directory `to` with what layers show, lowest first.
 * @throws SingError SQUASHFS, IO or DISK_FULL
 */
export async function unpackLayers(
  layers: readonly Window[],
  to: string,
  options: ExtractOptions,
): Promise<void> {
  const [top, ...below] = layers.toReversed()
  if (!top) return
  await using image = await SquashfsImage.at(top)
  await image.extractAbove(below, to, options)
}
