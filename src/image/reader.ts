/** Files and directories of any kind of image, read without starting it. */

import type { Buffer } from 'node:buffer'
import { SingError } from '../core/errors.ts'
import { type Layers, unpackedLayers } from './layers.ts'
import { listInside, readInside } from './sandbox.ts'

/** What can be read of an image; paths are absolute inside it, links never lead out of it. */
export interface Contents extends AsyncDisposable {
  /** The bytes of a regular file, undefined when there is none; more than `limit` bytes are an error. */
  read(path: string, limit: number): Promise<Buffer | undefined>
  /** The names in a directory, undefined when there is none. */
  list(path: string): Promise<string[] | undefined>
}

/** The contents of a directory that is a root file system. */
export function directoryContents(root: string): Contents {
  return {
    read: async (path, limit) => readInside(root, path, limit),
    list: async (path) => listInside(root, path),
    [Symbol.asyncDispose]: async () => {},
  }
}

/** The contents of an image; dispose of it after use. */
export async function openContents(image: Layers): Promise<Contents> {
  const { rootfs } = image
  if (image.encryption?.open === false)
    throw new SingError('ENCRYPTION', 'its files are encrypted, and nobody gave a key')
  if ('directory' in rootfs) return directoryContents(rootfs.directory)
  const layers = unpackedLayers(image)
  if (layers.length > 1) return await (await import('./layered.ts')).Layered.open(layers)
  // The addon is only loaded for those who need it.
  const { SquashfsImage } = await import('../native/addon.ts')
  const squashfs = await SquashfsImage.at(rootfs)
  return {
    read: (path, limit) => squashfs.read(path, limit),
    list: (path) => squashfs.list(path),
    [Symbol.asyncDispose]: async () => squashfs.close(),
  }
}
