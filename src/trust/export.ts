/** Writes a key into a file: whole or not at all, and a private one for its owner alone. */

import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { armored } from './armored.ts'
import type { KeyBlock } from './blocks.ts'

/** Exit status of the peers for an export that fails. */
const status = 10

/** A key as files have it. */
export const exportedKey = (block: KeyBlock, isArmored: boolean): Uint8Array =>
  isArmored ? Buffer.from(armored(block)) : block.bytes

/** Where a link leads: the link stays. */
function destination(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return path
    throw error
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
}

function writeBeside(path: string, bytes: Uint8Array, mode: number | undefined): void {
  const draft = join(dirname(path), `.${basename(path)}.partial-${process.pid}`)
  const fd = openSync(draft, 'wx', mode ?? 0o644)
  try {
    if (mode !== undefined) fchmodSync(fd, mode)
    writeAll(fd, bytes)
    fsyncSync(fd)
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

/** A pipe or a device is written as it is. */
function writeInto(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, 'w')
  try {
    writeAll(fd, bytes)
  } finally {
    closeSync(fd)
  }
}

/**
 * Write a key to a path. A file that is there is replaced, as by the peers.
 * @throws SingError KEY
 */
export function writeKeyFile(
  path: string,
  bytes: Uint8Array,
  { isSecret }: Pick<KeyBlock, 'isSecret'>,
): void {
  try {
    const file = destination(path)
    const old = statSync(file, { throwIfNoEntry: false })
    if (old?.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' })
    if (old && !old.isFile()) writeInto(file, bytes)
    else writeBeside(file, bytes, isSecret ? 0o600 : undefined)
  } catch (cause) {
    throw new SingError('KEY', `cannot write the key to ${shown(path)}: ${reasonOf(cause)}`, {
      cause,
      status,
    })
  }
}
