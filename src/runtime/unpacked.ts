/** Where an image cannot be mounted: unpack it into a private directory for as long as the container runs. */

import { lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { chmod, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { reasonOf, SingError } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { isAbandoned, makeMarked, removeUnmarked } from '../host/mark.ts'
import { flattened, unpackedLayers } from '../image/layers.ts'
import type { Image } from '../image/open.ts'
import { unpackLayers } from '../image/unpack.ts'
import { holdVersion, requireVersion } from '../image/version.ts'
import type { ExtractOptions } from '../native/addon.ts'

const prefix = 'sing-rootfs-'

/** Directories whose owner is gone (killed hard) are removed by the next one who comes along. */
async function removeAbandoned(parent: string): Promise<void> {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue
    const directory = join(parent, name)
    const isOurs = lstatSync(directory, { throwIfNoEntry: false })?.uid === process.geteuid?.()
    if (isOurs && isAbandoned(directory)) await removeTree(directory)
    else if (isOurs) removeUnmarked(directory)
  }
}

/** Remove a tree that may hold directories without permissions. */
export async function removeTree(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true })
  } catch {
    await openDirectories(directory)
    await rm(directory, { recursive: true, force: true })
  }
}

async function openDirectories(directory: string): Promise<void> {
  await chmod(directory, 0o700)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openDirectories(join(directory, entry.name))
  }
}

export type Unpacked = {
  readonly image: Image
  /** What was made for it; whoever is marked as its owner keeps it from being removed. */
  readonly directory: string
  readonly remove: () => Promise<void>
}

/** Unpack what was verified, if it was: from beginning to end it has to be the same file. */
async function unpackWhole(image: Image, tree: string, options: ExtractOptions): Promise<void> {
  const layers = unpackedLayers(image)
  const { path, version } = image
  if (version === undefined) return await unpackLayers(layers, tree, options)
  using held = holdVersion(path, version)
  const same = layers.map((layer) => ({ ...layer, file: held.path }))
  await unpackLayers(same, tree, options)
  requireVersion(held.fd, version, path)
}

/**
 * Unpack the root file system of an image below `parent`.
 * @throws SingError IO or DISK_FULL, and the reason of `signal` when it is aborted; nothing is left behind then
 */
export async function unpackImage(
  image: Image,
  parent: string,
  { report, signal }: { readonly report: Report; readonly signal: AbortSignal },
): Promise<Unpacked> {
  const { rootfs } = image
  if ('directory' in rootfs) return { image, directory: rootfs.directory, remove: async () => {} }
  let directory: string
  try {
    await removeAbandoned(parent)
    directory = makeMarked(parent, prefix)
  } catch (error) {
    throw new SingError('IO', `cannot make a temporary directory in ${parent}: ${reasonOf(error)}`, {
      hint: 'Name another place: --tmpdir DIRECTORY or SINGULARITY_TMPDIR',
      cause: error,
    })
  }
  const remove = () => removeTree(directory)
  try {
    const tree = join(directory, 'rootfs')
    mkdirSync(tree, { mode: 0o755 })
    const options = { report, signal, ownership: process.geteuid?.() === 0 }
    await unpackWhole(image, tree, options)
    // Where a configuration speaks for it, it still does.
    const kind = image.kind === 'oci-sif' ? image.kind : 'sandbox'
    return {
      image: { ...flattened(image), kind, rootfs: { directory: tree }, writable: false },
      directory,
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}
