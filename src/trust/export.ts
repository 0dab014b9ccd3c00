/** Writes a key into a file: whole or not at all, and a private one for its owner alone. */

import { chmodSync, closeSync, openSync, statSync } from 'node:fs'
import { destinationOf, replaceFile, writeAll } from '../config/replace.ts'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { armored } from './armored.ts'
import type { KeyBlock } from './blocks.ts'

/** Exit status of the peers for an export that fails. */
const status = 10

/** A key as files have it. */
export const exportedKey = (block: KeyBlock, isArmored: boolean): Uint8Array =>
  isArmored ? Buffer.from(armored(block)) : block.bytes

/** A pipe or a device is written as it is. */
function writeInto(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, 'w')
  try {
    writeAll(fd, [bytes])
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
    const file = destinationOf(path)
    const old = statSync(file, { throwIfNoEntry: false })
    if (old?.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' })
    if (old && !old.isFile()) writeInto(file, bytes)
    else if (isSecret) replaceFile(file, [bytes], 0o600, (partial) => chmodSync(partial, 0o600))
    else replaceFile(file, [bytes], 0o644)
  } catch (cause) {
    throw new SingError('KEY', `cannot write the key to ${shown(path)}: ${reasonOf(cause)}`, {
      cause,
      status,
    })
  }
}
