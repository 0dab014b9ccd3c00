/**
 * Locks that are waited for: of an entry of the cache (a file beside it), of an image that is changed. It ends with the process that holds it, on this machine or another one
 * of the same network file system (where Linux turns flock into byte range locks).
 */

import { constants } from 'node:fs'
import { type FileHandle, open, stat, unlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf } from '../core/errors.ts'
import { takeLock } from '../native/lock.ts'

/** Milliseconds between two tries, growing: short work is not waited for long. */
const pauses = { first: 20, most: 250 }
/** Milliseconds after which waiting is worth a word. */
const patience = 500

export type LockOptions = {
  readonly signal: AbortSignal
  /** Called once, when the wait becomes long. */
  readonly onWait?: (() => void) | undefined
  /** Asked before each new try: true gives up, because what was waited for is there. */
  readonly isDone?: () => boolean
  /** Opens what is locked, instead of making it. */
  readonly open?: (path: string) => Promise<FileHandle>
}

/** Whether an open file still has the name: whoever held the lock before may have removed or renamed it. */
async function isCurrent(file: FileHandle, path: string): Promise<boolean> {
  const [own, named] = await Promise.all([file.stat(), stat(path).catch(() => undefined)])
  return named !== undefined && own.ino === named.ino && own.dev === named.dev
}

const make = (path: string): Promise<FileHandle> =>
  open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)

async function tryLock(
  path: string,
  begin: (path: string) => Promise<FileHandle>,
): Promise<FileHandle | undefined> {
  const file = await begin(path)
  try {
    if (takeLock(file.fd) && (await isCurrent(file, path))) return file
  } catch (error) {
    // On a network file system the file may be gone altogether.
    if (errnoOf(error) !== 'ESTALE') {
      await file.close()
      throw error
    }
  }
  await file.close()
  return undefined
}

/**
 * Wait for the lock of the file at `path`, which is made when it is missing. It is held until the file is closed, and whoever
 * holds it may remove or rename the file before that. Undefined when `isDone` said so.
 * @throws the reason of the signal; system errors of the file
 */
export async function waitForLock(path: string, options: LockOptions): Promise<FileHandle | undefined> {
  const { signal, onWait, isDone, open: begin = make } = options
  let waited = 0
  for (let pause = pauses.first; !isDone?.(); pause = Math.min(pause * 1.5, pauses.most)) {
    signal.throwIfAborted()
    const file = await tryLock(path, begin)
    if (file) return file
    await sleep(pause, undefined, { signal }).catch(() => signal.throwIfAborted())
    if (waited < patience && waited + pause >= patience) onWait?.()
    waited += pause
  }
  return undefined
}

/** Take the lock's file away and end it. */
export async function releaseLock(file: FileHandle, path: string): Promise<void> {
  await unlink(path).catch(() => {})
  await file.close()
}
