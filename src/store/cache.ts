/**
 * The cache: blobs by their digest and images by their key, shared by all processes of a user, on this machine and on others
 * that see the same directory. Behind it may lie caches that are only read: that of the site.
 *
 *     blobs/sha256/HEX            layers and documents      HEX.partial: on its way, locked by who fetches it
 *     oci-tmp/KEY, net/KEY, ...   images                    KEY.json: its size and name; KEY.lock, KEY.work: being made
 *     build/ADDRESS               what steps of builds made, as images
 *     packages/TOOL/...           packages of distributions
 *     facts                       what is known of files of this machine
 *
 * A name without an ending is a whole file: it was renamed from beside. Times of modification tell the last use.
 */

import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { formatSize, parseSize } from '../core/units.ts'
import { shareLock } from '../native/lock.ts'
import type { Descriptor, Digest } from '../oci/types.ts'
import {
  ArrivingBlob,
  type BlobOptions,
  damaged,
  type Fetch,
  type GrowingBlob,
  hashFor,
  WholeBlob,
} from './blob.ts'
import { type CacheEntry, readContents, readImages, removeEntry, removePartial } from './contents.ts'
import { chooseVictims } from './evict.ts'
import { Facts } from './facts.ts'
import { forgetImage, type ImageOptions, type Make, provideImage } from './images.ts'
import { blobPath, cacheRoot, type ImageKey, type ImageType, imagePath, siteRoot } from './place.ts'
import { makePrivateCache, type PrivateCache } from './private.ts'
import { isWholeImage } from './record.ts'
import { cacheRoom, diskFull, isFull, type Room, temporaryRoom } from './space.ts'
import { distrust } from './trusted.ts'

export type { BlobOptions, Fetch, GrowingBlob } from './blob.ts'
export type { ImageOptions, Make } from './images.ts'
export { type ImageKey, type ImageType, imageKey } from './place.ts'

export type CacheOptions = {
  readonly environment: Readonly<Record<string, string>>
  /** Directories and limits of the configuration. */
  readonly config: { readonly cache: { readonly size: number; readonly site: string } }
  /** Neither read nor write the cache: a temporary directory takes its place. */
  readonly disabled: boolean
  /** The directory for temporary directories; TMPDIR or /tmp unless given. */
  readonly temporary?: string
  readonly report: Report
}

/** See the top of the file. Dispose of it at the end: a temporary one is removed then. */
export interface Cache extends Disposable {
  /** What is fetched goes away with this process. */
  readonly isPrivate: boolean
  /** The blob of a descriptor: from here, or by `fetch`, while it can be read already. */
  blob(descriptor: Descriptor, fetch: Fetch, options: BlobOptions): GrowingBlob
  /** A blob of at most `limit` bytes that is read at once: a manifest, a configuration. Its digest is checked each time. */
  document(descriptor: Descriptor, fetch: Fetch, limit: number, signal: AbortSignal): Promise<Buffer>
  /** A document of at most `limit` bytes that is here; undefined when it is not, or does not have the digest. */
  known(digest: Digest, limit: number): Buffer | undefined
  /** The path of an image that is there and whole; undefined when there is none. */
  find(key: ImageKey): string | undefined
  /**
   * The path of an image. It is made when it is missing or broken, by one process at a time; the others wait and have it too.
   * `make` must leave it synced.
   */
  image(key: ImageKey, make: Make, options: ImageOptions): Promise<string>
  /** What was found out once about something that does not change; see `Facts`. */
  readonly facts: Facts
  /** Forget a blob whose content turned out wrong, so that it is fetched anew. */
  discard(descriptor: Descriptor): void
  /** The images of a type whose ids begin so. */
  list(type: ImageType, beginning: string): readonly CacheEntry[]
  /** Forget an image that turned out broken, or that nobody wants any more. */
  discardImage(key: ImageKey): void
}

/** What an image takes when nobody can tell. */
const usualSize = 512 * 1024 * 1024

/** Milliseconds: uses that follow each other count as one. Each one noted makes a file look changed to who verifies it just now. */
const moment = 10 * 60 * 1000

/** Note that an entry was used. In a cache that may only be read nobody keeps count. */
function touch(path: string): void {
  try {
    const now = new Date()
    if (Math.abs(now.getTime() - statSync(path).mtimeMs) > moment) utimesSync(path, now, now)
  } catch {
    // Then it counts as not used.
  }
}

/** The digest of some bytes, of the kind that another one has. */
const digestOf = (content: Buffer, like: Digest): Digest =>
  `${like.split(':')[0]}:${hashFor(like).update(content).digest('hex')}`

function readIfThere(path: string, limit: number): Buffer | undefined {
  try {
    return statSync(path).size > limit ? undefined : readFileSync(path)
  } catch {
    return undefined
  }
}

/** Remove an entry if that can be done. */
function isRemoved(entry: CacheEntry): boolean {
  try {
    return removeEntry(entry)
  } catch {
    return false
  }
}

/** What backup programs look for (https://bford.info/cachedir/). */
const tag = 'Signature: 8a477f597d28d172789f06886806bc55\n# This folder holds what can be fetched again.\n'

/** Make the folder of the cache unless it is there. @throws the system's error when nothing can be written to it */
function prepare(root: string): void {
  if (mkdirSync(root, { recursive: true, mode: 0o700 }) !== undefined) {
    writeFileSync(join(root, 'CACHEDIR.TAG'), tag)
  }
  accessSync(root, constants.W_OK | constants.X_OK)
}

class DirectoryCache implements Cache {
  readonly #root: string
  /** Caches that are only read, asked first. */
  readonly #fronts: readonly string[]
  readonly #temporary: PrivateCache | undefined
  readonly #limit: number
  readonly #report: Report
  readonly #room: Room
  readonly facts: Facts
  /** Descriptors of the images that were handed out. */
  readonly #held: number[] = []
  readonly #arriving = new Map<string, Promise<unknown>>()
  /** Digests of blobs that turned out wrong: those of caches that are only read are passed over. */
  readonly #wrong = new Set<string>()

  constructor(root: string | PrivateCache, fronts: readonly string[], limit: number, report: Report) {
    const isOwn = typeof root === 'string'
    this.#root = isOwn ? root : root.root
    this.#temporary = isOwn ? undefined : root
    this.#fronts = fronts
    this.#limit = limit
    this.#report = report
    this.facts = new Facts(this.#root)
    this.#room = isOwn ? cacheRoom(root) : temporaryRoom(dirname(root.root))
  }

  get isPrivate(): boolean {
    return this.#temporary !== undefined
  }

  get #roots(): readonly string[] {
    return [...this.#fronts, this.#root]
  }

  /** A path in the cache whose folder is there. */
  #place(name: string): string {
    const path = join(this.#root, name)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return path
  }

  blob(descriptor: Descriptor, fetch: Fetch, options: BlobOptions): GrowingBlob {
    const { digest, size } = descriptor
    const found = this.#openBlob(descriptor)
    if (found) {
      options.onBytes?.(found.size)
      return new WholeBlob(found.fd, found.path, found.size)
    }
    const place = {
      room: this.#room,
      path: this.#place(blobPath(digest)),
      find: () => this.#openBlob(descriptor),
      makeRoom: (bytes: number) => this.#makeRoom(bytes),
      before: this.#arriving.get(digest),
    }
    const onWait = (): void => {
      const what = size === undefined ? 'a download' : `a download of ${formatSize(size)}`
      this.#report({ kind: 'info', text: `Waiting for ${what} by another process` })
    }
    const blob = new ArrivingBlob(descriptor, place, fetch, { onWait, ...options })
    this.#arriving.set(digest, blob.done)
    return blob
  }

  /** The blob when it is here with the right size. A size that nobody told is no reason to believe anything. */
  #openBlob({ digest, size }: Descriptor): { fd: number; path: string; size: number } | undefined {
    if (size === undefined) return undefined
    for (const root of this.#wrong.has(digest) ? [this.#root] : this.#roots) {
      const path = join(root, blobPath(digest))
      const fd = openIfThere(path)
      if (fd === undefined) continue
      if (fstatSync(fd).size === size) {
        if (root === this.#root) {
          shareLock(fd)
          touch(path)
        }
        return { fd, path, size }
      }
      closeSync(fd)
      if (root === this.#root) this.#forgetBlob(path)
    }
    return undefined
  }

  #forgetBlob(path: string): void {
    for (const remove of [unlinkSync, removePartial]) {
      try {
        remove(path)
      } catch {
        // It is replaced when it is fetched.
      }
    }
  }

  async document(descriptor: Descriptor, fetch: Fetch, limit: number, signal: AbortSignal): Promise<Buffer> {
    const { size, digest } = descriptor
    if (size !== undefined && size > limit) {
      throw new SingError('DIGEST', `${shown(digest)} has ${size} bytes, at most ${limit} are read`)
    }
    for (const isLast of [false, true]) {
      using blob = this.blob(descriptor, fetch, { signal, limit })
      const { fd } = await blob.opened
      const whole = await blob.done
      const content = Buffer.alloc(whole.size)
      readSync(fd, content, 0, content.length, 0)
      if (digestOf(content, digest) === digest) return content
      this.discard(descriptor)
      if (isLast) break
    }
    throw damaged(descriptor, 'it does not stay what it was in the cache')
  }

  known(digest: Digest, limit: number): Buffer | undefined {
    for (const root of this.#roots) {
      const content = readIfThere(join(root, blobPath(digest)), limit)
      if (content && digestOf(content, digest) === digest) return content
    }
    return undefined
  }

  find(key: ImageKey): string | undefined {
    return this.#roots
      .map((root) => join(root, imagePath(key)))
      .find((path) => isWholeImage(path) && this.#hold(path))
  }

  /** Show others that an image is in use; false when it has just been removed. That of a site is nobody's to remove. */
  #hold(path: string): boolean {
    const fd = openIfThere(path)
    if (fd === undefined) return false
    if (path.startsWith(this.#root)) {
      shareLock(fd)
      touch(path)
      this.#held.push(fd)
    } else {
      closeSync(fd)
    }
    return true
  }

  async image(key: ImageKey, make: Make, options: ImageOptions): Promise<string> {
    const found = options.anew ? undefined : this.find(key)
    if (found !== undefined) return found
    const path = this.#place(imagePath(key))
    const onWait = (): void =>
      this.#report({ kind: 'info', text: `Waiting for another process that makes ${shown(options.name)}` })
    await this.#withRoom(options.expected, () => provideImage(path, make, { onWait, ...options }))
    this.#hold(path)
    this.#trim()
    return path
  }

  discard({ digest }: Descriptor): void {
    this.#wrong.add(digest)
    this.#forgetBlob(this.#place(blobPath(digest)))
  }

  list(type: ImageType, beginning: string): readonly CacheEntry[] {
    return readImages(this.#root, type, beginning)
  }

  discardImage(key: ImageKey): void {
    forgetImage(join(this.#root, imagePath(key)))
  }

  /** Remove what was not used for the longest time until the cache is as small as it may be. */
  #trim(limit = this.#limit): number {
    if (limit === Number.POSITIVE_INFINITY || this.isPrivate) return 0
    const victims = chooseVictims(readContents(this.#root), limit, Date.now()).filter(isRemoved)
    const size = victims.reduce((sum, entry) => sum + entry.size, 0)
    if (size > 0) {
      const text = `Removed ${formatSize(size)} from the cache that were not used for the longest time`
      this.#report({ kind: 'verbose', text })
    }
    return size
  }

  /** Work that writes into the cache, once more with more room when the disk was full. */
  async #withRoom(needed: number | undefined, work: () => Promise<void>): Promise<void> {
    for (let isLast = false; ; isLast = true) {
      try {
        return await work()
      } catch (error) {
        // What is full elsewhere, or was explained already, is not ours to explain.
        if (!isFull(error) || (error instanceof SingError && error.hint === this.#room.hint)) throw error
        if (isLast || !this.#makeRoom(needed ?? usualSize)) throw diskFull(this.#room, needed, error)
      }
    }
  }

  #makeRoom(bytes: number): boolean {
    const total = readContents(this.#root).reduce((sum, { size }) => sum + size, 0)
    return this.#trim(Math.max(0, total - bytes)) > 0
  }

  [Symbol.dispose](): void {
    for (const fd of this.#held.splice(0)) closeSync(fd)
    this.#temporary?.[Symbol.dispose]()
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch {
    return undefined
  }
}

/** What the environment says wins over the configuration. @throws SingError naming the variable that is wrong */
export function settingsOf({ environment, config }: Pick<CacheOptions, 'environment' | 'config'>): {
  limit: number
  fronts: string[]
} {
  const { SING_CACHE_SIZE: size = '', SING_CACHE_SITE: site = config.cache.site } = environment
  const limit = size === '' ? config.cache.size : parseSize(size)
  if (limit === undefined) {
    throw new SingError('USAGE', `SING_CACHE_SIZE=${shown(size)}: expected a size, such as 20G`, {
      status: 255,
    })
  }
  return { limit: limit === 0 ? Number.POSITIVE_INFINITY : limit, fronts: site ? [siteRoot(site)] : [] }
}

/**
 * Open the cache that the environment and the configuration name. One that cannot be written is read all the same, one that
 * others can change is not; what is fetched goes to a temporary directory then.
 */
export function openCache(options: CacheOptions): Cache {
  const { environment, disabled, report, temporary = environment.TMPDIR || '/tmp' } = options
  const { limit, fronts } = settingsOf(options)
  const temporaryCache = (readable: readonly string[]): Cache =>
    new DirectoryCache(makePrivateCache(temporary), readable, limit, report)
  if (disabled) return temporaryCache([])
  const root = cacheRoot(environment)
  if (root === undefined) return temporaryCache(fronts)
  const without = (reason: string, readable: readonly string[]): Cache => {
    report({ kind: 'warning', text: `The cache ${shown(root)} ${reason}; what is fetched is not kept` })
    return temporaryCache(readable)
  }
  let refusal: string | undefined
  try {
    prepare(root)
  } catch (error) {
    refusal = `cannot be written: ${reasonOf(error)}`
  }
  const danger = distrust(root)
  if (danger !== undefined) return without(`${danger} and is not used`, fronts)
  if (refusal !== undefined) return without(refusal, [...fronts, root])
  return new DirectoryCache(root, fronts, limit, report)
}
