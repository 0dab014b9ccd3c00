/** Writes a configuration file: whole or not at all. The one place of this room that changes something. */

import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs'
import { posix } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'

export type WriteOptions = {
  /** Mode of a new file; one that was there keeps its own. */
  readonly mode: number
  readonly folderMode: number
  /** Nobody else may read it: the mode is that of an old file, too. */
  readonly isSecret?: boolean
}

/** Where a link leads: the link stays. */
function destination(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return path
    throw error
  }
}

function writeBeside(
  path: string,
  text: string,
  old: Stats | undefined,
  { mode, isSecret }: { mode: number; isSecret: boolean },
): void {
  const partial = posix.join(posix.dirname(path), `.${posix.basename(path)}.partial-${process.pid}`)
  const fd = openSync(partial, 'wx', 0o600)
  try {
    const bytes = Buffer.from(text)
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
    if (old && old.uid !== process.geteuid?.()) chownSync(partial, old.uid, old.gid)
    chmodSync(partial, old && !isSecret ? old.mode & 0o7777 : mode)
    fsyncSync(fd)
    renameSync(partial, path)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

/** @throws SingError when the file cannot be written */
export function writeConfig(path: string, text: string, options: WriteOptions): void {
  const { mode, folderMode, isSecret = false } = options
  try {
    const file = destination(path)
    mkdirSync(posix.dirname(file), { recursive: true, mode: folderMode })
    writeBeside(file, text, statSync(file, { throwIfNoEntry: false }), { mode, isSecret })
  } catch (error) {
    throw new SingError('IO', `cannot write ${shown(path)}: ${reasonOf(error)}`, { cause: error })
  }
}
