/** Which parts of an image are layers of its root file system. Where these cannot be stacked, they are unpacked as one tree. */

import type { Image, Window } from './open.ts'

/** What of an image its root file system depends on. */
export type Layers = Pick<Image, 'rootfs'> & Partial<Pick<Image, 'kind' | 'overlays' | 'encryption'>>

/** The parts of an image that are unpacked as one, lowest first: its root file system, and the layers of an OCI-SIF. */
export function unpackedLayers({ kind, rootfs, overlays = [] }: Layers): Window[] {
  if (!('file' in rootfs)) return []
  return [
    rootfs,
    ...(kind === 'oci-sif' ? overlays.filter(({ filesystem }) => filesystem === 'squashfs') : []),
  ]
}

/** The image that it is once its layers are one tree: what is left above them are changes. */
export function flattened(image: Image): Image {
  const layers = unpackedLayers(image)
  if (layers.length < 2) return image
  return { ...image, overlays: (image.overlays ?? []).filter(({ filesystem }) => filesystem !== 'squashfs') }
}
