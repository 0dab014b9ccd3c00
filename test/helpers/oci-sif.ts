/** OCI-SIF files for tests, sound and broken ones: layers packed here, documents as a test wants them. */

import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hostArchitecture } from '../../src/image/architecture.ts'
import { layerTypes } from '../../src/image/oci-sif.ts'
import { type Entry, packEntries } from '../../src/native/addon.ts'
import { dataTypes } from '../../src/sif/format.ts'
import { SifWriter } from '../../src/sif/write.ts'
import { give, temporaryFolder } from './temp.ts'

/** What a test says of a file in a layer. */
export type LayerFile = Partial<Omit<Entry, 'path' | 'data' | 'xattrs'>> & {
  readonly data?: string
  readonly xattrs?: Readonly<Record<string, string>>
}

export const whiteout: LayerFile = { type: 'character', mode: 0, device: { major: 0, minor: 0 } }
export const opaque: LayerFile = { type: 'directory', xattrs: { 'trusted.overlay.opaque': 'y' } }
export const directory: LayerFile = { type: 'directory' }
export const link = (target: string): LayerFile => ({ type: 'symlink', link: target })
export const file = (data: string): LayerFile => ({ data })
export const program = (data: string | Uint8Array): LayerFile => ({
  mode: 0o755,
  data: typeof data === 'string' ? data : Buffer.from(data).toString('latin1'),
})

async function* entriesOf(files: Readonly<Record<string, LayerFile>>): AsyncGenerator<Entry> {
  for (const [path, { data, xattrs, ...more }] of Object.entries(files)) {
    const bytes = Buffer.from(data ?? '', 'latin1')
    const type = more.type ?? 'file'
    const mode = more.mode ?? (type === 'directory' ? 0o755 : 0o644)
    yield {
      ...{ uid: 0, gid: 0, mtime: 1_000_000_000 },
      ...more,
      ...{ path, type, mode, size: bytes.length },
      ...(xattrs
        ? {
            xattrs: Object.fromEntries(
              Object.entries(xattrs).map(([key, value]) => [key, Buffer.from(value)]),
            ),
          }
        : {}),
      data: (async function* () {
        yield bytes
      })(),
    }
  }
}

let count = 0

/** The bytes of a squashfs with these files. */
export async function squashfsOf(files: Readonly<Record<string, LayerFile>>): Promise<Buffer> {
  const path = join(temporaryFolder(), `layer-${count++}`)
  const fd = openSync(path, 'w+')
  try {
    await packEntries(entriesOf(files), { fd, offset: 0, time: 1_000_000_000, workers: 1 })
  } finally {
    closeSync(fd)
  }
  return readFileSync(path)
}

export const sha256 = (data: Uint8Array): string =>
  `sha256:${createHash('sha256').update(data).digest('hex')}`

export type OciSifLike = {
  readonly layers: readonly (Uint8Array | { readonly data: Uint8Array; readonly mediaType: string })[]
  readonly config?: object
  /** More of the configuration, manifest, and root index, or other values of what is there. */
  readonly more?: object
  readonly manifest?: object
  readonly index?: object
  /** Blobs by number that are left out: layers, then configuration, then manifest. */
  readonly without?: readonly number[]
  /** Other bytes in the place of a blob; its digest stays. */
  readonly instead?: Readonly<Record<number, Uint8Array>>
  readonly rootIndexes?: number
}

const json = (value: object): Buffer => Buffer.from(JSON.stringify(value))
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

/** Write an OCI-SIF; what is not said is as it should be. */
export async function writeOciSif(path: string, image: OciSifLike): Promise<string> {
  const layers = image.layers.map((layer) =>
    layer instanceof Uint8Array ? { data: layer, mediaType: layerTypes.squashfs } : layer,
  )
  const describe = ({ data, mediaType }: { data: Uint8Array; mediaType: string }) => ({
    mediaType,
    digest: sha256(data),
    size: data.length,
  })
  const config = json({
    ...{ created: '2020-01-02T03:04:05Z', architecture: hostArchitecture(), os: 'linux' },
    config: image.config ?? {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ data }) => sha256(data)) },
    ...image.more,
  })
  const manifest = json({
    ...{ schemaVersion: 2, mediaType: manifestType },
    config: describe({ data: config, mediaType: 'application/vnd.oci.image.config.v1+json' }),
    layers: layers.map(describe),
    ...image.manifest,
  })
  const described = describe({ data: manifest, mediaType: manifestType })
  const index = json({ schemaVersion: 2, manifests: [described], ...image.index })
  const blobs = [...layers.map(({ data }) => data), config, manifest]
  await using writer = await SifWriter.create(path, { id: '', time: -62135596800, launch: false })
  for (const [number, data] of blobs.entries()) {
    if (image.without?.includes(number)) continue
    const found = image.instead?.[number] ?? data
    await writer.add({ dataType: dataTypes.ociBlob, data: found, extra: Buffer.from(sha256(data)) })
  }
  for (let number = 0; number < (image.rootIndexes ?? 1); number += 1)
    await writer.add({ dataType: dataTypes.ociRootIndex, data: index })
  await writer.commit()
  give(path)
  return path
}
