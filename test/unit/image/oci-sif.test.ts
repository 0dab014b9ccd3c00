import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { hostArchitecture } from '../../../src/image/architecture.ts'
import { layerTypes } from '../../../src/image/oci-sif.ts'
import { openImage } from '../../../src/image/open.ts'
import { file, type OciSifLike, sha256, squashfsOf, writeOciSif } from '../../helpers/oci-sif.ts'
import { temporaryFolder } from '../../helpers/temp.ts'
import { fileOf, sample } from '../sif/samples.ts'

const folder = temporaryFolder()
let layer: Buffer
let count = 0
const make = (image: Partial<OciSifLike> = {}) =>
  writeOciSif(join(folder, `image-${count++}.sif`), { layers: [layer], ...image })

beforeAll(async () => {
  layer = await squashfsOf({ a: file('a') })
})

const described = (digest: string, size: number, more: object = {}) => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest,
  size,
  ...more,
})
const signature = { annotations: { 'org.opencontainers.image.ref.name': '_cosign/x:sha256-1.sig' } }

describe('an OCI-SIF', () => {
  it('is opened with the places of its layers, and what its configuration says', async () => {
    const above = await squashfsOf({ b: file('b') })
    const config = { Entrypoint: ['/a'], Cmd: ['b'], Env: ['A=1'], WorkingDir: '/srv', User: 'web' }
    const path = await make({ layers: [layer, above], config })
    const { rootfs, ...image } = await openImage(path)
    expect(image).toMatchObject({
      kind: 'oci-sif',
      path,
      arch: hostArchitecture(),
      writable: true,
      oci: config,
    })
    expect(rootfs).toEqual({ file: path, offset: 4096 + 48 * 585, size: layer.length })
    expect(image.overlays).toEqual([
      { file: path, offset: 4096 + 48 * 585 + layer.length, size: above.length, filesystem: 'squashfs' },
    ])
  })

  it('may hold signatures of cosign beside its image', async () => {
    const path = await make()
    const { objects } = await (await import('../../../src/sif/read.ts')).readSif(path)
    const manifest = objects[2]
    const digest = Buffer.from(manifest?.extra ?? []).toString('latin1', 0, 71)
    const manifests = [described(sha256(layer), 7, signature), described(digest, manifest?.size ?? 0)]
    expect(await openImage(await make({ index: { manifests } }))).toMatchObject({ kind: 'oci-sif' })
  })

  it('with a root file system of its own kind beside it is a SIF', async () => {
    expect(await openImage(await fileOf(await sample('tiny')), { anyArchitecture: true })).toMatchObject({
      kind: 'sif',
    })
  })
})

describe('an OCI-SIF is refused', () => {
  const wrong = Buffer.from('wrong')
  it.each<[string, Partial<OciSifLike>, string, string]>([
    ['without a blob', { without: [0] }, 'IMAGE_FORMAT', 'it is an OCI-SIF without the blob sha256:'],
    ['without its configuration', { without: [1] }, 'IMAGE_FORMAT', 'without the blob sha256:'],
    ['without its manifest', { without: [2] }, 'IMAGE_FORMAT', 'without the blob sha256:'],
    [
      'with another configuration',
      { instead: { 1: Buffer.from('{}') } },
      'IMAGE_FORMAT',
      'without the blob sha256:',
    ],
    ['with another manifest', { instead: { 2: wrong } }, 'IMAGE_FORMAT', 'without the blob sha256:'],
    ['with two root indexes', { rootIndexes: 2 }, 'IMAGE_FORMAT', 'it has 2 root indexes'],
    ['with no image', { index: { manifests: [] } }, 'UNSUPPORTED', 'with no images, and one is needed'],
    [
      'with two images',
      {
        index: {
          manifests: [described(`sha256:${'1'.repeat(64)}`, 1), described(`sha256:${'2'.repeat(64)}`, 1)],
        },
      },
      'UNSUPPORTED',
      'with 2 images, and one is needed',
    ],
    [
      'with a choice of images',
      {
        index: {
          manifests: [
            described(`sha256:${'1'.repeat(64)}`, 1, {
              mediaType: 'application/vnd.oci.image.index.v1+json',
            }),
          ],
        },
      },
      'UNSUPPORTED',
      'with a choice of images',
    ],
    [
      'with signatures alone',
      { index: { manifests: [described(`sha256:${'1'.repeat(64)}`, 1, signature)] } },
      'UNSUPPORTED',
      'with no images',
    ],
    [
      'with a huge size',
      { index: { manifests: [described(`sha256:${'1'.repeat(64)}`, 1e300)] } },
      'IMAGE_FORMAT',
      'manifests[0].size is no number of bytes',
    ],
    [
      'with a manifest as root index',
      { index: { manifests: undefined, config: {} } },
      'IMAGE_FORMAT',
      'digest',
    ],
    ['without layers', { layers: [] }, 'UNSUPPORTED', 'it has no layers'],
    [
      'with archives as layers',
      { layers: [{ data: wrong, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' }] },
      'UNSUPPORTED',
      'its layers are archives (application/vnd.oci.image.layer.v1.tar+gzip)',
    ],
    ['with a layer that is no squashfs', { layers: [wrong] }, 'IMAGE_FORMAT', 'does not begin like'],
    [
      'with an ext3 at the bottom',
      { layers: [{ data: wrong, mediaType: layerTypes.ext3 }] },
      'UNSUPPORTED',
      'a layer that is an ext3 lies below others',
    ],
    ['with fewer diff ids', { more: { rootfs: { diff_ids: [] } } }, 'IMAGE_FORMAT', 'it counts 0 layers'],
    ['for another system', { more: { os: 'windows' } }, 'IMAGE_FORMAT', 'its programs are for windows'],
    [
      'that is a data container',
      { manifest: { artifactType: 'application/vnd.sylabs.data-container.v1' } },
      'UNSUPPORTED',
      'it is a data container',
    ],
  ])('%s', async (_, image, code, message) => {
    const path = await make(image)
    await expect(openImage(path)).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it('when a document does not match its digest', async () => {
    const path = await make({ config: { Cmd: ['a'] } })
    const { open } = await import('node:fs/promises')
    await using handle = await open(path, 'r+')
    const bytes = await handle.readFile()
    await handle.write('z', bytes.indexOf('"Cmd":["a"]') + 8)
    await expect(openImage(path)).rejects.toThrow('its configuration does not match its digest')
  })

  it('when it is cut off', async () => {
    const path = await make()
    truncateSync(path, 4096 + 48 * 585 + 100)
    await expect(openImage(path)).rejects.toThrow('is not within the file')
  })
})
