/** OCI layouts and Docker images for tests: written here byte by byte, and copied, unpacked and built by the tools that others use. */

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { give } from './give.ts'
import { type Outcome, type RunOptions, run } from './sing.ts'
import { type TarEntry, tarOf } from './tar.ts'

export type Compression = 'gzip' | 'zstd' | 'none'

/** A layer: its files, or the tar itself; or one of these with more to say. */
export type LayerLike = readonly TarEntry[] | Uint8Array | Layer
export type Layer = {
  readonly tar: readonly TarEntry[] | Uint8Array
  readonly compression?: Compression
  /** Instead of what the compression says. */
  readonly mediaType?: string
  /** Instead of the right ones. */
  readonly diffId?: string
  readonly urls?: readonly string[]
}

export type ImageLike = {
  readonly layers: readonly LayerLike[]
  /** The `config` of the configuration: Env, Entrypoint, Cmd, Labels, WorkingDir, User. */
  readonly config?: object
  /** More of the configuration itself, like `created` and `history`. */
  readonly more?: object
  /** Default: linux/amd64. */
  readonly platform?: { readonly os?: string; readonly architecture?: string; readonly variant?: string }
  readonly annotations?: Readonly<Record<string, string>>
}

export type LayoutOptions = {
  readonly compression?: Compression
  /** Docker's media types (schema 2) instead of OCI's. */
  readonly docker?: boolean
}

export type Layout = {
  readonly folder: string
  /** Digest of the manifest or index of each tag. */
  readonly digests: Readonly<Record<string, string>>
}

type Blob = { mediaType: string; digest: string; size: number }

const mediaTypes = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    none: 'application/vnd.oci.image.layer.v1.tar',
    gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
    zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    none: 'application/vnd.docker.image.rootfs.diff.tar',
    gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
  },
} as const

export const sha256 = (data: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(data).digest('hex')}`

/** Write a layout into an empty or missing folder: an image for each tag, or an index of several. */
export function writeLayout(
  folder: string,
  images: Readonly<Record<string, ImageLike | readonly ImageLike[]>>,
  options: LayoutOptions = {},
): Layout {
  mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true })
  const writer = new LayoutWriter(folder, options)
  const digests: Record<string, string> = {}
  const manifests = Object.entries(images).map(([tag, image]) => {
    const blob = isList(image) ? writer.index(image) : writer.image(image)
    digests[tag] = blob.digest
    return { ...blob, annotations: { 'org.opencontainers.image.ref.name': tag } }
  })
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  give(folder)
  return { folder, digests }
}

const isList = (image: ImageLike | readonly ImageLike[]): image is readonly ImageLike[] =>
  Array.isArray(image)

class LayoutWriter {
  readonly #folder: string
  readonly #options: LayoutOptions
  readonly #types: Readonly<Record<keyof (typeof mediaTypes)['oci'], string>>

  constructor(folder: string, options: LayoutOptions) {
    this.#folder = folder
    this.#options = options
    this.#types = options.docker ? mediaTypes.docker : mediaTypes.oci
  }

  index(images: readonly ImageLike[]): Blob {
    const manifests = images.map((image) => ({ ...this.image(image), platform: platformOf(image) }))
    return this.#document('index', { schemaVersion: 2, mediaType: this.#types.index, manifests })
  }

  image(image: ImageLike): Blob {
    const layers = image.layers.map((layer) => this.#layer(isPlain(layer) ? { tar: layer } : layer))
    const config = this.#document('config', {
      created: '2020-01-02T03:04:05Z',
      ...platformOf(image),
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      ...image.more,
    })
    const { manifest: mediaType } = this.#types
    const { annotations } = image
    return this.#document('manifest', {
      schemaVersion: 2,
      mediaType,
      config,
      layers: layers.map(({ blob }) => blob),
      ...(annotations ? { annotations } : {}),
    })
  }

  #layer(layer: Layer): { blob: Blob; diffId: string } {
    const tar = layer.tar instanceof Uint8Array ? layer.tar : tarOf(layer.tar)
    const compression = layer.compression ?? this.#options.compression ?? 'gzip'
    const blob = this.#blob(layer.mediaType ?? this.#types[compression], compress(tar, compression))
    return {
      blob: { ...blob, ...(layer.urls ? { urls: layer.urls } : {}) },
      diffId: layer.diffId ?? sha256(tar),
    }
  }

  #document(kind: 'index' | 'manifest' | 'config', value: object): Blob {
    return this.#blob(this.#types[kind], Buffer.from(JSON.stringify(value)))
  }

  #blob(mediaType: string, data: Uint8Array): Blob {
    const digest = sha256(data)
    writeFileSync(join(this.#folder, 'blobs', 'sha256', digest.slice('sha256:'.length)), data)
    return { mediaType, digest, size: data.length }
  }
}

const isPlain = (layer: LayerLike): layer is readonly TarEntry[] | Uint8Array =>
  Array.isArray(layer) || layer instanceof Uint8Array

const platformOf = ({ platform }: ImageLike) => ({ os: 'linux', architecture: 'amd64', ...platform })

/** The bytes of a blob with this tar. */
export function compress(tar: Uint8Array, compression: Compression): Uint8Array {
  switch (compression) {
    case 'gzip':
      return gzipSync(tar, { level: 1 })
    case 'zstd':
      return zstdCompressSync(tar)
    case 'none':
      return tar
  }
}

/** Put an image of a layout into an open registry (`http://HOST`) byte for byte, whatever its documents say. */
export async function uploadLayout(layout: Layout, tag: string, url: string, name: string): Promise<void> {
  await upload(layout, layout.digests[tag] ?? '', `${url}/v2/${name}`, tag)
}

type Linked = { mediaType: string; manifests?: Blob[]; config?: Blob; layers?: Blob[] }

async function upload(layout: Layout, digest: string, repository: string, tag: string): Promise<void> {
  const data = readBlob(layout, digest)
  const document: Linked = JSON.parse(data.toString())
  for (const manifest of document.manifests ?? [])
    await upload(layout, manifest.digest, repository, manifest.digest)
  for (const blob of [document.config, ...(document.layers ?? [])])
    if (blob) await uploadBlob(repository, blob.digest, readBlob(layout, blob.digest))
  await put(`${repository}/manifests/${tag}`, document.mediaType, data)
}

async function uploadBlob(repository: string, digest: string, data: Uint8Array): Promise<void> {
  const started = await fetch(`${repository}/blobs/uploads/`, { method: 'POST' })
  const location = new URL(started.headers.get('location') ?? '', repository)
  location.searchParams.set('digest', digest)
  await put(location.href, 'application/octet-stream', data)
}

async function put(url: string, type: string, body: Uint8Array): Promise<void> {
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { 'Content-Type': type },
    body: Buffer.from(body),
  })
  if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${await answer.text()}`)
}

/** The bytes of a blob of a layout. */
export const readBlob = ({ folder }: Pick<Layout, 'folder'>, digest: string): Buffer =>
  readFileSync(join(folder, 'blobs', ...digest.split(':')))

/** `skopeo copy`, in its own words: `oci:FOLDER:TAG`, `docker://HOST/NAME:TAG`, `docker-archive:FILE:NAME:TAG`, `dir:FOLDER`. */
export function copyImage(from: string, to: string, more: readonly string[] = []): Promise<Outcome> {
  const noTls = ['--src-tls-verify=false', '--dest-tls-verify=false']
  return must(['skopeo', '--insecure-policy', 'copy', '--quiet', ...noTls, ...more, from, to])
}

/** `umoci unpack`: the tree is `BUNDLE/rootfs`. As root it is complete, with owners, devices and attributes. */
export async function unpackImage(
  { folder }: Layout,
  tag: string,
  bundle: string,
  options: RunOptions = { as: 'self' },
) {
  const rootless = options.as === 'self' && process.getuid?.() === 0 ? [] : ['--rootless']
  await must(['umoci', 'unpack', ...rootless, '--image', `${folder}:${tag}`, bundle], options)
  return join(bundle, 'rootfs')
}

/** `buildah bud` of a folder with a Containerfile into `oci:FOLDER:TAG` or any other target; every instruction makes a layer. */
export async function buildImage(context: string, target: string, storage: string): Promise<void> {
  const where = [
    '--root',
    join(storage, 'root'),
    '--runroot',
    join(storage, 'run'),
    '--storage-driver',
    'vfs',
  ]
  const name = 'localhost/sing-test:built'
  const how = ['--layers', '--isolation', 'chroot', '--pull-never', '-f', 'Containerfile']
  const options = { as: 'self', cwd: context } as const
  await must(['buildah', ...where, 'bud', ...how, '-t', name, context], options)
  await must(['buildah', ...where, 'push', '--quiet', '--tls-verify=false', name, target], options)
}

/** Run a tool that must succeed. */
export async function must(
  command: readonly string[],
  options: RunOptions = { as: 'self' },
): Promise<Outcome> {
  const outcome = await run(command, options)
  if (outcome.status !== 0) throw new Error(`${command.join(' ')}: ${outcome.stderr}`)
  return outcome
}
