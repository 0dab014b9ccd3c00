/** Where the cache lies and what its entries are called. */

import { createHash } from 'node:crypto'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { SingError, shown } from '../core/errors.ts'

type Environment = Readonly<Record<string, string>>

/** Kinds of images that are kept whole, named as the peers name the folders of theirs; and what steps of builds made. */
export const imageTypes = ['library', 'oci-tmp', 'shub', 'net', 'oras', 'build'] as const
export type ImageType = (typeof imageTypes)[number]

/** A built or fetched image in the cache. */
export type ImageKey = { readonly type: ImageType; readonly id: string }

/** The key of an image that is the same whenever all these parts are. */
export function imageKey(type: ImageType, ...parts: readonly string[]): ImageKey {
  return { type, id: createHash('sha256').update(JSON.stringify(parts)).digest('hex') }
}

/** What is kept besides images: layers and documents, and packages of distributions for builds. */
export const entryTypes = [...imageTypes, 'blob', 'packages'] as const
export type EntryType = (typeof entryTypes)[number]

/** The folder of a type below that of the cache. */
export const folderOf = (type: EntryType): string => (type === 'blob' ? 'blobs' : type)

/** The folder of the home directory where programs keep what they can get again; undefined without a home. */
function homeCache({ XDG_CACHE_HOME, HOME }: Environment): string | undefined {
  // Paths in these variables are absolute, or to be ignored (XDG base directory specification).
  if (XDG_CACHE_HOME?.startsWith('/')) return XDG_CACHE_HOME
  const home = HOME || userInfo().homedir
  return home.startsWith('/') ? join(home, '.cache') : undefined
}

/** What the environment names, as the peers: the caches lie in the folder `cache` of it. */
function namedCache(environment: Environment): string | undefined {
  const names = ['SING_CACHEDIR', 'APPTAINER_CACHEDIR', 'SINGULARITY_CACHEDIR']
  const name = names.find((candidate) => environment[candidate])
  if (name === undefined) return undefined
  const value = environment[name] ?? ''
  if (value.startsWith('/')) return join(value, 'cache')
  throw new SingError('USAGE', `${name}=${shown(value)}: expected an absolute path`, { status: 255 })
}

/**
 * The folder of the cache, which may not be there yet; undefined when there is no place for one. Apart from those of the
 * peers, whose entries promise less.
 */
export function cacheRoot(environment: Environment): string | undefined {
  const base = namedCache(environment) ?? homeCache(environment)
  return base === undefined ? undefined : join(base, 'sing')
}

/** The cache in a directory that was filled with SING_CACHEDIR set to it. */
export const siteRoot = (directory: string): string => join(directory, 'cache', 'sing')

const digestPattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** The path of a blob below the folder of a cache. @throws SingError INTERNAL for what is no digest */
export function blobPath(digest: string): string {
  if (!digestPattern.test(digest)) throw new SingError('INTERNAL', `${shown(digest)} is no digest`)
  return join(folderOf('blob'), ...digest.split(':'))
}

/** The path of an image below the folder of a cache. @throws SingError INTERNAL for what is no name */
export function imagePath({ type, id }: ImageKey): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,150}$/.test(id)) {
    throw new SingError('INTERNAL', `${shown(id)} cannot name an entry of the cache`)
  }
  return join(folderOf(type), id)
}

/** Endings of names beside an entry: none of them is one. */
export const partialEnding = '.partial'
export const recordEnding = '.json'
export const lockEnding = '.lock'
export const workEnding = '.work'
