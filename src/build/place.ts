/** The place of an image that is fetched: checked before, and filled with the unpacked image where that is wanted. */

import { accessSync, constants, lstatSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { openImage, type Unlock } from '../image/open.ts'
import { SquashfsImage } from '../native/addon.ts'
import { diskFull, isFull, targetRoom } from '../store/space.ts'
import { makePartial, putInPlace, recoverPartials } from './target.ts'
import { dropSetIds, removeTree } from './tree.ts'

export type PlaceOptions = {
  /** What has the name now may go. */
  readonly force: boolean
  readonly report: Report
  readonly signal: AbortSignal
  /** Opens an encrypted image. */
  readonly unlock?: Unlock | undefined
}

/** Files can be made beside the target. */
function requireParent(target: string): void {
  const parent = dirname(target)
  const refuse = (reason: string, cause?: unknown): SingError =>
    new SingError('IO', `cannot write ${shown(target)}: ${reason}`, { cause })
  try {
    if (!statSync(parent, { throwIfNoEntry: false })?.isDirectory())
      throw refuse(`there is no directory ${shown(parent)}`)
    accessSync(parent, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw cause instanceof SingError ? cause : refuse(`${shown(parent)}: ${reasonOf(cause)}`, cause)
  }
}

/**
 * Check a name before anything is fetched for it, and clear away what a killed process left beside it.
 * @throws SingError EXISTS when something is there that may not go, IO when nothing can be put there
 */
export function requirePlace(target: string, sandbox: boolean, { force, report }: PlaceOptions): void {
  requireParent(target)
  recoverPartials(target, report)
  const old = lstatSync(target, { throwIfNoEntry: false })
  if (!old) return
  if (old.isDirectory() && !sandbox)
    throw new SingError('EXISTS', `${shown(target)} is a directory`, {
      hint: 'To put the image into it: --dir; to make a directory of it: --sandbox',
    })
  if (!old.isDirectory() && !old.isFile() && !old.isSymbolicLink())
    throw new SingError('EXISTS', `${shown(target)} is neither a file nor a directory`)
  if (!force)
    throw new SingError('EXISTS', `${shown(target)} already exists`, { hint: 'Give --force to replace it' })
}

/** Unpack an image beside the target, and put the directory into its place. */
export async function placeSandbox(image: string, target: string, options: PlaceOptions): Promise<void> {
  const { report, signal, unlock } = options
  const isRoot = process.geteuid?.() === 0
  const partial = makePartial(target)
  try {
    const tree = join(partial, 'new')
    mkdirSync(tree, { mode: 0o755 })
    await unpack(image, tree, { report, signal, ownership: isRoot, unlock })
    // Files of root belong to the user now: whoever may enter the sandbox could become the user.
    if (!isRoot) dropSetIds(tree)
    putInPlace(tree, target, report)
  } catch (error) {
    throw isFull(error) ? diskFull(targetRoom(dirname(target)), undefined, error) : error
  } finally {
    removeTree(partial)
  }
}

async function unpack(
  path: string,
  tree: string,
  options: { report: Report; signal: AbortSignal; ownership: boolean; unlock: Unlock | undefined },
): Promise<void> {
  const { rootfs } = await openImage(path, { anyArchitecture: true, unlock: options.unlock })
  if ('directory' in rootfs) throw new SingError('IMAGE_FORMAT', `${shown(path)} is a directory already`)
  await using squashfs = await SquashfsImage.at(rootfs)
  const { skipped } = await squashfs.extract(tree, options)
  if (skipped === 0) return
  const text = `${skipped} device nodes were left out: only root can make them`
  options.report({ kind: 'verbose', text })
}
