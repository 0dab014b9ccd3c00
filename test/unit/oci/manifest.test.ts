import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { documentLimit, parseDocument, refuseArtifact, suitableImages } from '../../../src/oci/manifest.ts'
import type { Index, Manifest } from '../../../src/oci/types.ts'
import { digestOf, imageFor, json, layer, manifestFields } from './documents.ts'

const name = 'docker://registry.example/app:1'

function manifestOf(fields: object): Manifest {
  const document = parseDocument(json(fields), name)
  if (document.kind !== 'manifest') throw new Error('an index')
  return document.manifest
}

describe('a manifest', () => {
  it('is read with everything that somebody uses', () => {
    expect(manifestOf(manifestFields)).toEqual({
      mediaType: manifestFields.mediaType,
      config: manifestFields.config,
      layers: manifestFields.layers,
      annotations: { one: '1' },
    })
  })

  it('is told from an index by its content', () => {
    const { mediaType, ...rest } = manifestFields
    expect(parseDocument(json(rest), name).kind).toBe('manifest')
    expect(parseDocument(json(rest), name, 'x/y')).toMatchObject({ manifest: { mediaType: 'x/y' } })
    const index = { schemaVersion: 2, mediaType, manifests: [imageFor('a', 'linux/amd64')] }
    expect(parseDocument(json(index), name)).toMatchObject({
      kind: 'index',
      index: { manifests: [{ digest: digestOf('a'), platform: { os: 'linux', architecture: 'amd64' } }] },
    })
    expect(parseDocument(json({ manifests: [], config: null }), name).kind).toBe('index')
  })

  it('may have no layers, and members that are null', () => {
    const fields = { ...manifestFields, layers: null, annotations: null, artifactType: null }
    expect(manifestOf(fields)).toMatchObject({ layers: [], annotations: {} })
  })

  it('keeps the places of foreign layers and what a descriptor carries itself', () => {
    const urls = ['https://mirror.example/x']
    const data = Buffer.from('hello').toString('base64')
    const fields = { ...manifestFields, layers: [layer('1', { urls }), layer('2', { size: 5, data })] }
    expect(manifestOf(fields).layers).toMatchObject([{ urls }, { data: Buffer.from('hello') }])
  })

  it.each([
    ['schemaVersion', 1, 'is stored in the first format of Docker'],
    ['fsLayers', [], 'is stored in the first format of Docker'],
    ['blobs', [], 'is no container image: it is an artifact'],
  ])('of an old kind (%s) is refused', (key, value, sentence) => {
    const read = () => manifestOf({ ...manifestFields, [key]: value })
    expect(read).toThrow(`${name} ${sentence}`)
    expect(read).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  })

  it.each([
    [{ schemaVersion: 3 }, 'its schema is 3, not 2'],
    [{ schemaVersion: ['2'] }, 'its schema is no number, not 2'],
    [{ manifests: [] }, 'it is both a manifest and an index'],
    [{ config: undefined }, 'it is neither a manifest nor an index'],
    [{ config: [] }, 'config is not an object'],
    [{ config: { digest: 'sha256:x', size: 1 } }, 'config.digest is no sha256 or sha512 digest'],
    [{ config: { digest: '../../etc/passwd', size: 1 } }, 'config.digest is no'],
    [{ layers: {} }, 'layers is not a list'],
    [{ layers: [layer('1'), null] }, 'layers[1].digest is no'],
    [{ layers: [layer('1', { size: -1 })] }, 'layers[0].size is no number of bytes'],
    [{ layers: [layer('1', { size: 1.5 })] }, 'layers[0].size is no number of bytes'],
    [{ layers: [layer('1', { size: 1e300 })] }, 'layers[0].size is no number of bytes'],
    [{ layers: [layer('1', { size: undefined })] }, 'layers[0].size is no number of bytes'],
    [{ layers: [layer('1', { mediaType: 7 })] }, 'layers[0].mediaType is not a text'],
    [{ layers: [layer('1', { mediaType: 'a\0b' })] }, 'layers[0].mediaType is not a text'],
    [{ layers: [layer('1', { urls: [7] })] }, 'layers[0].urls[0] is not a text'],
    [{ layers: [layer('1', { data: 'aGVsbG8=' })] }, 'layers[0].data is not the base64 of 100 bytes'],
    [{ layers: [layer('1', { platform: 'linux' })] }, 'layers[0].platform is not an object'],
    [{ layers: Array(1001).fill(layer('1')) }, 'layers has 1001 entries, more than 1000'],
    [{ annotations: { a: 1 } }, 'annotations.a is not a text'],
    [
      { annotations: Object.fromEntries(Array.from({ length: 1001 }, (_, at) => [at, ''])) },
      'annotations has more than 1000 entries',
    ],
  ])('that is damaged is refused: %j', (change, reason) => {
    const read = () => manifestOf({ ...manifestFields, ...change })
    expect(read).toThrow(`the manifest of ${name} is damaged: ${reason}`)
    expect(read).toThrow(expect.objectContaining({ code: 'IMAGE_FORMAT' }))
  })

  it.each([
    ['', 'it is not JSON'],
    ['<html>', 'it is not JSON'],
    ['null', 'it is empty'],
    ['[]', 'it is not an object'],
    ['{}', 'it is neither a manifest nor an index'],
    ['['.repeat(100_000), 'it is not JSON'],
    [' '.repeat(documentLimit + 1), `more than ${documentLimit}`],
  ])('that is none is refused', (text, reason) => {
    expect(() => parseDocument(Buffer.from(text), name)).toThrow(reason)
  })

  it('is believed or refused with a sentence, whatever is in it', () => {
    const values = fc.oneof(
      fc.constant(undefined),
      fc.json().map((text) => JSON.parse(text)),
      fc.integer(),
    )
    const paths = fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'config',
      'layers',
      'annotations',
      'manifests',
    )
    const members = fc.constantFrom('digest', 'size', 'mediaType', 'urls', 'data', 'platform', 'annotations')
    fc.assert(
      fc.property(paths, members, values, fc.boolean(), (path, member, value, deep) => {
        const change = deep ? { layers: [layer('1', { [member]: value })] } : { [path]: value }
        try {
          parseDocument(json({ ...manifestFields, ...change }), name)
        } catch (error) {
          expect(error).toBeInstanceOf(SingError)
        }
      }),
    )
  })
})

describe('the image for a machine', () => {
  const arms = [
    imageFor('5', 'linux/arm/v5'),
    imageFor('7', 'linux/arm/v7'),
    imageFor('6', 'linux/arm/v6'),
    imageFor('8', 'linux/arm64/v8'),
    imageFor('a', 'linux/amd64'),
    imageFor('3', 'linux/386'),
    imageFor('f', 'windows/amd64'),
  ]
  const attestation = { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }
  const index = (manifests: Index['manifests']): Index => ({ mediaType: '', manifests, annotations: {} })
  const nested = { mediaType: 'application/vnd.oci.image.index.v1+json' }

  it.each([
    ['linux/amd64', arms, 'a'],
    ['linux/x86_64', arms, 'a'],
    ['linux/arm/v7', arms, '765'],
    ['linux/arm/v6', arms, '65'],
    ['linux/arm/v8', arms, '765'],
    ['linux/arm', arms, '765'],
    ['linux/arm64', arms, '8'],
    ['linux/arm64/v8', arms, '8'],
    ['linux/riscv64', arms, ''],
    ['linux/arm/v7', [imageFor('1', 'linux/arm'), imageFor('2', 'linux/arm/v7')], '21'],
    ['linux/arm', [imageFor('2', 'linux/arm/v7'), imageFor('1', 'linux/arm')], '12'],
    ['linux/arm64', [imageFor('1', 'linux/arm64/v8'), imageFor('2', 'linux/arm64')], '21'],
    ['linux/amd64', [imageFor('3', 'linux/amd64/v3'), imageFor('2', 'linux/amd64/v2')], '23'],
    ['linux/amd64/v2', [imageFor('3', 'linux/amd64/v3'), imageFor('2', 'linux/amd64/v2')], '2'],
    ['linux/s390x', [imageFor('1', 'linux/s390x/z13')], '1'],
    ['linux/amd64', [imageFor('1', 'linux/amd64'), imageFor('2', 'linux/amd64')], '12'],
    // What tells no platform is for amd64, unless it is alone.
    ['linux/amd64', [imageFor('1', ''), imageFor('2', 'linux/arm64')], '1'],
    ['linux/arm64', [imageFor('1', ''), imageFor('2', 'linux/arm64')], '2'],
    ['linux/arm64', [imageFor('1', '')], '1'],
    ['linux/arm64', [imageFor('1', ''), imageFor('2', 'unknown/unknown')], '1'],
    ['linux/arm64', [imageFor('1', ''), imageFor('2', '', attestation)], '1'],
    ['unknown/unknown', [imageFor('2', 'unknown/unknown')], ''],
    ['linux/arm64', [imageFor('1', '', nested), imageFor('2', 'linux/arm64')], '21'],
    ['linux/arm64', [imageFor('1', '', nested), imageFor('2', 'linux/amd64')], '1'],
  ])('%s is found, the best one first', (wanted, manifests, found) => {
    const [os = '', architecture = '', variant] = wanted.split('/')
    const images = suitableImages(index(manifests), { os, architecture, ...(variant ? { variant } : {}) })
    expect(images.map(({ digest }) => digest.at(-1)).join('')).toBe(found)
  })
})

describe('what is no image', () => {
  it.each([
    ['application/vnd.sylabs.sif.config.v1+json', 'it is a SIF file'],
    ['application/vnd.cncf.helm.config.v1+json', 'it is a Helm chart'],
    ['application/vnd.wasm.config.v0+json', 'it is a WebAssembly module'],
    ['application/vnd.dev.cosign.artifact.sig.v1+json', 'it is a signature or an attestation'],
    ['application/vnd.example', 'it is application/vnd.example'],
  ])('%s is refused', (mediaType, what) => {
    const manifest = manifestOf({ ...manifestFields, config: { ...manifestFields.config, mediaType } })
    expect(() => refuseArtifact(manifest, name)).toThrow(`${name} is no container image: ${what}`)
  })

  it('is told by its type where the configuration is empty', () => {
    const config = { ...manifestFields.config, mediaType: 'application/vnd.oci.empty.v1+json' }
    const manifest = manifestOf({ ...manifestFields, config, artifactType: 'application/x.mine' })
    expect(() => refuseArtifact(manifest, name)).toThrow('it is application/x.mine')
  })

  it('is encrypted', () => {
    const layers = [layer('1', { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted' })]
    const manifest = manifestOf({ ...manifestFields, layers })
    expect(() => refuseArtifact(manifest, name)).toThrow(`${name} has encrypted layers`)
  })

  it('images are accepted', () => {
    const mediaTypes = [
      'application/vnd.docker.container.image.v1+json',
      'application/octet-stream',
      undefined,
    ]
    for (const mediaType of [...mediaTypes, manifestFields.config.mediaType]) {
      const manifest = manifestOf({ ...manifestFields, config: { ...manifestFields.config, mediaType } })
      expect(() => refuseArtifact(manifest, name)).not.toThrow()
    }
  })
})
