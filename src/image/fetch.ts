/** Any reference to an image becomes a file of this machine: from the cache, or fetched into it. */

import { dirname, resolve } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import { openSource, type SourceOptions } from '../oci/open.ts'
import { parseReference, type Reference } from '../oci/reference.ts'
import { resolveImage } from '../oci/resolve.ts'
import type { Digest, ImageSource, Platform } from '../oci/types.ts'
import { architectureName } from '../sif/details.ts'
import { readSif } from '../sif/read.ts'
import { imageKey } from '../store/cache.ts'
import { makePrivateCache, type PrivateCache } from '../store/private.ts'
import {
  cacheRoom,
  diskFull,
  isFull,
  type Room,
  RoomFull,
  targetRoom,
  temporaryRoom,
} from '../store/space.ts'
import { otherArchitectures } from './architecture.ts'
import type { ConvertOptions } from './convert.ts'
import { cachedDocuments, knownDocument } from './documents.ts'
import { layerFilesystem } from './oci-sif.ts'
import type { OciImage } from './pack-layers.ts'
import { requireSource } from './refused.ts'

/** Part of the key of what is made: it grows when the same image would become other bytes. */
const formatVersion = '1'

/** What an image of OCI becomes: a SIF, or an OCI-SIF with one layer, or with all of them. */
export type Form = 'sif' | 'oci-sif' | 'oci-sif-layers'

export type FetchOptions = Omit<ConvertOptions, 'packing' | 'time' | 'behind' | 'examine'> & {
  /** Default: a SIF, or an OCI-SIF where it has to be one. */
  readonly form?: Form
  readonly source: Omit<SourceOptions, 'scratch' | 'signal'>
  /** The directory for temporary files of sources, on a disk with room. */
  readonly scratch: string
  /** What the user asks for; undefined is whatever suits this machine. */
  readonly platform: Platform | undefined
  readonly host: Platform
}

export type Fetched = {
  /** In the cache: to be used or copied, never to be changed. */
  readonly path: string
  /** The reference in full, without secrets. */
  readonly name: string
  /** Of the manifest, where there is one. */
  readonly digest?: Digest
}

/**
 * The path of the image that a reference names.
 * @throws SingError REFERENCE, UNSUPPORTED, IMAGE_NOT_FOUND, and whatever fetching and converting it may end with
 */
export async function fetchImage(reference: string, options: FetchOptions): Promise<Fetched> {
  requireSource(reference)
  requireForm(reference, options)
  if (/^https?:/.test(reference))
    return await suiting(await (await import('./web.ts')).fetchWeb(reference, options), options.platform)
  const parsed = parseReference(reference)
  using scratch = new Scratch(options.scratch)
  await using source = await open(parsed, scratch, options)
  const asked = askedPlatform(parsed, options)
  if (parsed.kind === 'oras')
    return await suiting(
      await (await import('./oras.ts')).fetchSif(source, asked ?? options.host, options),
      options.platform,
    )
  const image = await readImage(source, asked, options)
  const path = await provide(image, { ...options, form: formFor(image, options) })
  return { path, name: source.name, digest: image.digest }
}

/** Convert an image into a new file, packed as the caller wants it. Its layers come through the cache. */
export async function convertReference(
  reference: string,
  target: string,
  options: FetchOptions & Pick<ConvertOptions, 'packing' | 'time' | 'behind' | 'examine'>,
): Promise<void> {
  const parsed = parseReference(reference)
  using scratch = new Scratch(options.scratch)
  await using source = await open(parsed, scratch, options)
  const image = await readImage(source, askedPlatform(parsed, options), options)
  formFor(image, options)
  await make(image, target, targetRoom(dirname(target)), options)
}

/** A file that was fetched as it is may be for another architecture than the user asks for. */
async function suiting(fetched: Fetched, asked: Platform | undefined): Promise<Fetched> {
  if (asked === undefined) return fetched
  const architecture = architectureName((await readSif(fetched.path)).header.arch)
  if (architecture === asked.architecture || architecture === 'unknown') return fetched
  throw new SingError(
    'IMAGE_ARCHITECTURE',
    `${shown(fetched.name)} is for ${architecture}, not for ${asked.architecture}`,
    { hint: 'To fetch it all the same: leave --arch or --platform out' },
  )
}

/** @throws SingError UNSUPPORTED for files that are images already, and stay what they are */
function requireForm(reference: string, { form = 'sif' }: FetchOptions): void {
  if (form === 'sif' || !/^(oras|https?):/.test(reference)) return
  throw new SingError('UNSUPPORTED', `--oci: ${shown(reference)} is a file, which is fetched as it is`, {
    hint: 'Leave --oci out',
  })
}

/**
 * What an image becomes. Layers that are file systems stay what they are, which a SIF of one file system has no place for.
 * @throws SingError UNSUPPORTED when the caller wants such a SIF all the same
 */
function formFor({ manifest, source }: OciImage, { form }: FetchOptions): Form {
  if (form !== 'sif' && form !== undefined) return form
  if (!manifest.layers.some((layer) => layerFilesystem(layer) !== undefined)) return 'sif'
  if (form === undefined) return 'oci-sif'
  throw new SingError('UNSUPPORTED', `${shown(source.name)}: its layers are file systems, not archives`, {
    hint: 'Fetch it as an OCI-SIF: sing pull --oci; sing build makes another SIF or a sandbox of that',
  })
}

/** A temporary directory for a source, made when it asks for one. */
class Scratch implements Disposable {
  readonly #parent: string
  #made: PrivateCache | undefined

  constructor(parent: string) {
    this.#parent = parent
  }

  directory(): string {
    this.#made ??= makePrivateCache(this.#parent)
    return this.#made.root
  }

  [Symbol.dispose](): void {
    this.#made?.[Symbol.dispose]()
  }
}

function open(
  reference: Reference,
  scratch: Scratch,
  { source, signal }: FetchOptions,
): Promise<ImageSource> {
  return openSource(reference, { ...source, signal, scratch: async () => scratch.directory() })
}

const askedPlatform = (reference: Reference, { platform }: FetchOptions): Platform | undefined =>
  platform ?? ('platform' in reference ? reference.platform : undefined)

/** What the user asks for, else this machine's own platform, else another one whose programs it runs. */
async function readImage(
  source: ImageSource,
  asked: Platform | undefined,
  options: FetchOptions,
): Promise<OciImage> {
  const { host } = options
  try {
    return await readImageFor(source, asked ?? host, options)
  } catch (error) {
    const isForOthers = error instanceof SingError && error.code === 'IMAGE_ARCHITECTURE'
    if (asked || !isForOthers) throw error
    for (const architecture of otherArchitectures()) {
      const image = await readImageFor(source, { ...host, architecture }, options).catch(() => undefined)
      if (image) return image
    }
    throw error
  }
}

async function readImageFor(source: ImageSource, wanted: Platform, options: FetchOptions): Promise<OciImage> {
  const { cache, signal } = options
  const read = cachedDocuments(source, cache, signal)
  const { descriptor, manifest, config } = await resolveImage(
    source,
    wanted,
    signal,
    read,
    knownDocument(source, cache),
  )
  // Who does not tell the architecture built it for the machine that most have.
  const architecture = config.platform.architecture || wanted.architecture
  const platform = { ...config.platform, architecture }
  return { source, digest: descriptor.digest, manifest, config: { ...config, platform } }
}

/** The converted image in the cache; what is made of a manifest is always the same. */
function provide(image: OciImage, options: FetchOptions): Promise<string> {
  const { source, digest, config } = image
  // Where the image does not say it, the architecture is the one that was asked for.
  const { architecture } = config.platform
  const { cache, form = 'sif', signal, version } = options
  const { agent, from } = source.origin
  const key =
    form === 'sif'
      ? imageKey('oci-tmp', formatVersion, version, agent, from, digest, architecture)
      : imageKey('oci-tmp', formatVersion, version, form, digest, architecture)
  // ROOT/oci-tmp/NAME.work/image.sif
  const room = (path: string) => (cache.isPrivate ? temporaryRoom : cacheRoom)(resolve(path, '../../..'))
  return cache.image(key, (path) => make(image, path, room(path), options), { signal, name: source.name })
}

type MakeOptions = ConvertOptions & { readonly form?: Form }

async function makeForm(image: OciImage, path: string, options: MakeOptions): Promise<void> {
  const { form = 'sif' } = options
  if (form === 'sif') return (await import('./convert.ts')).convert(image, path, options)
  const { writeOciSif } = await import('./oci-sif-write.ts')
  await writeOciSif(image, path, { ...options, keepLayers: form === 'oci-sif-layers' })
}

/** Convert an image. What it will take is not known; about as much as its layers take. */
async function make(image: OciImage, path: string, room: Room, options: MakeOptions): Promise<void> {
  try {
    await makeForm(image, path, options)
  } catch (error) {
    if (error instanceof RoomFull || !isFull(error)) throw error
    const needed = image.manifest.layers.reduce((sum, { size = 0 }) => sum + size, 0)
    throw diskFull(room, needed, error)
  }
}
