/** The documents of an OCI-SIF that is made from an OCI image: its configuration with other layers, manifest, root index. Pure. */

import { Buffer } from 'node:buffer'
import { manifestBytes } from '../oci/artifact.ts'
import { mediaTypes } from '../oci/manifest.ts'
import type { Descriptor, ImageConfig, Manifest } from '../oci/types.ts'

type History = { readonly empty_layer?: boolean }

/** What a new configuration says about how it was made. */
export type Making = {
  /** Digest of the manifest that it was made from. */
  readonly from: string
  /** The program, with its version. */
  readonly by: string
}

/** RFC 3339, as far as seconds go. */
const timeText = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')

/** Entries of layers that became one are no layers any more; the last one tells of that one, or of nothing new. */
function historyOf(old: unknown, layers: number, { from, by }: Making, created: number): History[] {
  const entries = (Array.isArray(old) ? old : []).filter(
    (entry) => typeof entry === 'object' && entry !== null,
  )
  const counted = entries.filter((entry: History) => entry.empty_layer !== true).length
  const isSame = counted === layers
  const kept = isSame ? entries : entries.map((entry) => ({ ...entry, empty_layer: true }))
  const comment = `oci-sif created from ${from.replace(/^sha\d+:/, '')}`
  const last = { created: timeText(created), created_by: by, comment }
  // Each layer has one entry, in their order. (OCI image specification, config.md.)
  const missing = isSame ? 0 : layers
  return [
    ...kept,
    ...Array.from({ length: missing }, () => last),
    ...(missing === 0 ? [{ ...last, empty_layer: true }] : []),
  ]
}

/** The configuration of the same image with layers of these digests, which are uncompressed. `document` is JSON. */
export function relayeredConfig(
  config: Pick<ImageConfig, 'document' | 'created'>,
  diffIds: readonly string[],
  making: Making,
): Buffer {
  const document = JSON.parse(config.document.toString()) as Record<string, unknown>
  const history = historyOf(document.history, diffIds.length, making, config.created ?? 0)
  const rootfs = { type: 'layers', diff_ids: diffIds }
  return Buffer.from(JSON.stringify({ ...document, rootfs, history }))
}

/** A manifest of OCI with another configuration and layers, and all else of the old one. */
export function relayeredManifest(
  manifest: Pick<Manifest, 'annotations'>,
  config: Descriptor,
  layers: readonly Descriptor[],
): Buffer {
  const { annotations } = manifest
  const typed = { ...config, mediaType: mediaTypes.config }
  return manifestBytes({ mediaType: mediaTypes.manifest, config: typed, layers, annotations })
}

/** The root index that names one image. */
export function rootIndexBytes(
  { mediaType, size, digest }: Descriptor,
  { platform: { os, architecture, variant } }: Pick<ImageConfig, 'platform'>,
): Buffer {
  const platform = { architecture, os: os || 'linux', ...(variant ? { variant } : {}) }
  const manifests = [{ mediaType, size, digest, platform }]
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }))
}
