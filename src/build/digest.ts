/** The digests of files, by which steps know what they were given. Those of large files are remembered. */

import { createHash } from 'node:crypto'
import { createReadStream, openSync, readFileSync, statSync } from 'node:fs'
import type { Window } from '../image/open.ts'
import type { Facts } from '../store/facts.ts'

const chunk = 1024 * 1024
/** Smaller files are read faster than it takes to look at a list. */
const leastRemembered = 4 * 1024 * 1024
/** A file that changed so many milliseconds ago may change again without a change of its times. */
const settled = 2000

export type DigestOptions = { readonly facts?: Facts | undefined; readonly signal: AbortSignal }

/** Everything that tells that a file changed, whatever its name is. In a cache times tell the last use, and files do not change. */
function wordsOf(path: Buffer | string, isCached: boolean): { words: string[]; isSettled: boolean } {
  const { dev, ino, size, mtimeNs, ctimeNs, birthtimeNs, ctimeMs } = statSync(path, { bigint: true })
  const times = isCached ? [birthtimeNs] : [mtimeNs, ctimeNs]
  const words = [isCached ? 'cached' : 'file', ...[dev, ino, size, ...times].map(String)]
  return { words, isSettled: isCached || Date.now() - Number(ctimeMs) > settled }
}

async function readDigest(path: Buffer | string, offset: number, size: number, signal: AbortSignal) {
  const hash = createHash('sha256')
  if (offset === 0 && size < chunk) {
    // Trees have many small files, and a stream takes longer than the file.
    const bytes = readFileSync(path)
    // Files of the kernel (/proc) have more than they say.
    hash.update(size === 0 ? bytes : bytes.subarray(0, size))
  } else {
    const range = { start: offset, end: offset + size - 1 }
    // By number: not every engine takes bytes for a path.
    const stream = createReadStream('', { fd: openSync(path, 'r'), ...range, highWaterMark: chunk, signal })
    for await (const bytes of stream) hash.update(bytes)
  }
  return hash.digest('hex')
}

/** SHA-256 of a part of a file, in hexadecimal digits. */
export async function partDigest(
  path: Buffer | string,
  { offset, size, isCached = false }: { offset: number; size: number; isCached?: boolean },
  { facts, signal }: DigestOptions,
): Promise<string> {
  if (!facts || size < leastRemembered) return await readDigest(path, offset, size, signal)
  const before = wordsOf(path, isCached)
  const key = [...before.words, String(offset), String(size)]
  const known = facts.recall(...key)
  if (known !== undefined) return known
  const digest = await readDigest(path, offset, size, signal)
  const after = wordsOf(path, isCached)
  if (after.isSettled && after.words.join() === before.words.join()) facts.note(digest, ...key)
  return digest
}

/** SHA-256 of what an image file holds. */
export function windowDigest({ file, offset, size, held }: Window, options: DigestOptions): Promise<string> {
  return partDigest(file, { offset, size, isCached: held === true }, options)
}
