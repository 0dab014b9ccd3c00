/** SIF files in registries (`oras://`): the manifest of such an artifact, written and recognised. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import type { Descriptor, Digest, Manifest } from './types.ts'

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const sifConfigType = 'application/vnd.sylabs.sif.config.v1+json'
export const sifLayerType = 'application/vnd.sylabs.sif.layer.v1.sif'
/** What the first writers of such artifacts put there, slip included: their images are still around. */
const firstLayerType = 'appliciation/vnd.sylabs.sif.layer.tar'

const title = 'org.opencontainers.image.title'
const description = 'org.opencontainers.image.description'

/** The configuration of an artifact: an empty object of JSON. */
export const emptyConfig = Buffer.from('{}')
const emptyConfigDescriptor: Descriptor = {
  mediaType: sifConfigType,
  digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
  size: emptyConfig.length,
}

export type Annotations = Readonly<Record<string, string>>

/** What is known of a SIF that is sent. */
export type SifArtifact = {
  /** File name: the title of the layer. */
  readonly name: string
  readonly digest: Digest
  readonly size: number
  readonly annotations?: Annotations
}

export function sifManifest({ name, digest, size, annotations = {} }: SifArtifact): Manifest {
  const layer = { mediaType: sifLayerType, digest, size, annotations: { [title]: name } }
  return { mediaType: manifestType, config: emptyConfigDescriptor, layers: [layer], annotations }
}

/** The bytes of a manifest in the order of fields that other writers use: the same manifest has the same digest everywhere. */
export function manifestBytes({ mediaType, config, layers, annotations }: Manifest): Buffer {
  const document = {
    schemaVersion: 2,
    mediaType,
    config: descriptorFields(config),
    layers: layers.map(descriptorFields),
    ...annotationFields(annotations),
  }
  return Buffer.from(JSON.stringify(document))
}

function descriptorFields({ mediaType, size, digest, annotations }: Descriptor): object {
  return { mediaType, size, digest, ...annotationFields(annotations) }
}

function annotationFields(annotations: Annotations = {}): { annotations?: Annotations } {
  const keys = Object.keys(annotations).sort()
  if (keys.length === 0) return {}
  return { annotations: Object.fromEntries(keys.map((key) => [key, annotations[key] ?? ''])) }
}

/**
 * Annotations from `name=value` words, and a description.
 * @throws SingError USAGE naming the word that has no name or no value
 */
export function parseAnnotations(words: readonly string[], text?: string): Annotations {
  const pairs = words.map((word): [string, string] => {
    const at = word.indexOf('=')
    if (at > 0) return [word.slice(0, at), word.slice(at + 1)]
    throw new SingError('USAGE', `--annotation ${shown(word)}: expected name=value`, { status: 255 })
  })
  return Object.fromEntries([...(text ? [[description, text]] : []), ...pairs])
}

/**
 * The one layer that is the SIF itself. `name` is the reference, for messages.
 * @throws SingError IMAGE_FORMAT when the manifest is of something else
 */
export function sifLayer({ config, layers }: Manifest, name: string): Descriptor & { size: number } {
  const [layer] = layers
  const isSif = layer?.mediaType === sifLayerType || layer?.mediaType === firstLayerType
  if (layer?.size !== undefined && isSif && layers.length === 1) return { ...layer, size: layer.size }
  const isImage = /^application\/vnd\.(oci|docker)\.(image\.config|container\.image)\./.test(config.mediaType)
  throw new SingError('IMAGE_FORMAT', `${shown(name)} is no SIF: ${findings(layers)}`, {
    hint: isImage ? `It is a container image: ${shown(name.replace(/^oras:/, 'docker:'))}` : undefined,
  })
}

function findings(layers: readonly Descriptor[]): string {
  const [layer] = layers
  if (layers.length !== 1 || layer === undefined) return `it has ${layers.length} layers, not one`
  const { mediaType, size } = layer
  return size === undefined ? 'its layer has no size' : `its layer is of type ${shown(mediaType)}`
}
