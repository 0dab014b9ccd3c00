/** Images made of layers, for tests of the packer. */

import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { type LayerOptions, LayerPacker, type LayerResult } from '../../src/native/layers.ts'

export type Options = Partial<LayerOptions> & { top?: (packer: LayerPacker) => Promise<void> }

/** Pack layers, given from the lowest up as images list them, into a new file. Returns its path. */
export async function packLayers(
  layers: readonly Uint8Array[],
  path: string,
  { top, ...options }: Options = {},
): Promise<string> {
  const fd = openSync(path, 'w+')
  try {
    using packer = LayerPacker.open({ fd, offset: 0, ...options })
    for (const [index, bytes] of [...layers.entries()].reverse()) {
      await addLayer(packer, bytes, `${path}.layer`, `number ${index}`)
    }
    await top?.(packer)
    await packer.finish()
  } finally {
    closeSync(fd)
  }
  return path
}

/** Apply a layer by way of a file, which is gone afterwards. */
export async function addLayer(
  packer: LayerPacker,
  bytes: Uint8Array,
  path: string,
  name: string,
): Promise<LayerResult> {
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  try {
    return await packer.layer({ fd, offset: 0, size: bytes.length, name })
  } finally {
    closeSync(fd)
    rmSync(path)
  }
}
