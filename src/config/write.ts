/** Writes a configuration file: whole or not at all. */

import { chmodSync, chownSync, mkdirSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { destinationOf, replaceFile } from './replace.ts'

export type WriteOptions = {
  /** Mode of a new file; one that was there keeps its own. */
  readonly mode: number
  readonly folderMode: number
  /** Nobody else may read it: the mode is that of an old file, too. */
  readonly isSecret?: boolean
}

/** @throws SingError when the file cannot be written */
export function writeConfig(path: string, text: string, options: WriteOptions): void {
  const { mode, folderMode, isSecret = false } = options
  try {
    const file = destinationOf(path)
    mkdirSync(posix.dirname(file), { recursive: true, mode: folderMode })
    const old = statSync(file, { throwIfNoEntry: false })
    replaceFile(file, [Buffer.from(text)], 0o600, (partial) => {
      if (old && old.uid !== process.geteuid?.()) chownSync(partial, old.uid, old.gid)
      chmodSync(partial, old && !isSecret ? old.mode & 0o7777 : mode)
    })
  } catch (error) {
    throw new SingError('IO', `cannot write ${shown(path)}: ${reasonOf(error)}`, { cause: error })
  }
}
