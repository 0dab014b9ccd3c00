/**
 * Images in the cache: made by one process at a time, used by all.
 *
 * An image is made in the folder `NAME.work` while `NAME.lock` is held, and moved to its name when it is whole. What a process
 * that was killed left in that folder is removed by the next that makes the same. Who makes an image has synced it: images
 * are not checked again before they are used, so a power cut must not leave a name without its bytes.
 */

import { mkdirSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import { releaseLock, waitForLock } from './lock.ts'
import { lockEnding, recordEnding, workEnding } from './place.ts'
import { isWholeImage, writeRecord } from './record.ts'

export type ImageOptions = {
  readonly signal: AbortSignal
  /** What it is made from, for lists and messages. */
  readonly name: string
  /** Bytes that it will take at least, where that is known. */
  readonly expected?: number
  /** One that was there before does not count, and is replaced; one that another process makes in the meantime does. */
  readonly anew?: boolean
  /** Called once when another process makes the same and takes long. */
  readonly onWait?: () => void
}

/** Makes the image as a new file at the path, whole and synced, or throws. */
export type Make = (path: string) => Promise<void>

async function makeInPlace(path: string, make: Make, name: string): Promise<void> {
  const work = path + workEnding
  const draft = join(work, 'image.sif')
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { mode: 0o700 })
  try {
    await make(draft)
    const size = statSync(draft, { throwIfNoEntry: false })?.size ?? 0
    if (size === 0) throw new SingError('INTERNAL', `nothing was made of ${shown(name)}`)
    writeRecord(path, { size, name })
    renameSync(draft, path)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino

/** The image at the path; made now unless it is there. */
export async function provideImage(path: string, make: Make, options: ImageOptions): Promise<void> {
  const { signal, name, onWait, anew = false } = options
  const former = anew ? inodeOf(path) : undefined
  const isDone = (): boolean => isWholeImage(path) && (!anew || inodeOf(path) !== former)
  if (isDone()) return
  const lock = await waitForLock(path + lockEnding, { signal, onWait, isDone })
  if (!lock) return
  try {
    if (!isDone()) await makeInPlace(path, make, name)
  } finally {
    await releaseLock(lock, path + lockEnding)
  }
}

/** Forget an image. */
export function forgetImage(path: string): void {
  for (const name of [path, path + recordEnding]) {
    try {
      unlinkSync(name)
    } catch {
      // Somebody else was faster, or it cannot be changed; then it is not for us to repair.
    }
  }
}
