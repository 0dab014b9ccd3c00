import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  emptyConfig,
  manifestBytes,
  parseAnnotations,
  sifLayer,
  sifLayerType,
  sifManifest,
} from '../../../src/oci/artifact.ts'
import type { Descriptor, Manifest } from '../../../src/oci/types.ts'

const digest = `sha256:${'ab'.repeat(32)}`
const artifact = { name: 'fortune.sif', digest, size: 4711 }

describe('the manifest of a SIF', () => {
  it('has the bytes that other writers give it', () => {
    expect(manifestBytes(sifManifest(artifact)).toString()).toBe(
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
        '"config":{"mediaType":"application/vnd.sylabs.sif.config.v1+json","size":2,' +
        '"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},' +
        `"layers":[{"mediaType":"${sifLayerType}","size":4711,"digest":"${digest}",` +
        '"annotations":{"org.opencontainers.image.title":"fortune.sif"}}]}',
    )
  })

  it('names its configuration by the digest that it has', () => {
    const { config } = sifManifest(artifact)
    expect(config.digest).toBe(`sha256:${createHash('sha256').update(emptyConfig).digest('hex')}`)
  })

  it('sorts annotations', () => {
    const annotations = parseAnnotations(['z=1', 'a=x=y', 'empty='], 'says things')
    const { annotations: written } = JSON.parse(
      manifestBytes(sifManifest({ ...artifact, annotations })).toString(),
    )
    expect(Object.entries(written)).toEqual([
      ['a', 'x=y'],
      ['empty', ''],
      ['org.opencontainers.image.description', 'says things'],
      ['z', '1'],
    ])
  })

  it.each(['novalue', '=x'])('has no annotation %s', (word) => {
    expect(() => parseAnnotations([word])).toThrow(`--annotation ${word}: expected name=value`)
  })
})

describe('the SIF of a manifest', () => {
  const layer: Descriptor = { mediaType: sifLayerType, digest, size: 1 }
  const manifest = (layers: Descriptor[], config = 'application/vnd.unknown.config.v1+json'): Manifest => ({
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: config, digest, size: 2 },
    layers,
    annotations: {},
  })

  it.each([sifLayerType, 'appliciation/vnd.sylabs.sif.layer.tar'])('is a layer of type %s', (mediaType) => {
    expect(sifLayer(manifest([{ ...layer, mediaType }]), 'oras://x')).toMatchObject({ digest, size: 1 })
  })

  const refused: [layers: Descriptor[], reason: string][] = [
    [[], 'it has 0 layers, not one'],
    [[layer, layer], 'it has 2 layers, not one'],
    [[{ ...layer, mediaType: 'text/plain' }], 'its layer is of type text/plain'],
    [[{ ...layer, size: undefined }], 'its layer has no size'],
  ]
  it.each(refused)('is not found in %j', (layers, reason) => {
    expect(() => sifLayer(manifest(layers), 'oras://host/x:1')).toThrow(
      `oras://host/x:1 is no SIF: ${reason}`,
    )
  })

  it.each(['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'])(
    'is looked for at docker:// when the configuration is %s',
    (config) => {
      const image = manifest([{ ...layer, mediaType: 'application/vnd.oci.image.layer.v1.tar' }], config)
      expect(() => sifLayer(image, 'oras://host/x:1')).toThrow(
        expect.objectContaining({ hint: 'It is a container image: docker://host/x:1' }),
      )
    },
  )
})
