/** What a step changed as a layer of its own: written, and found again. */

import { closeSync, constants, fsyncSync, openSync, statSync } from 'node:fs'
import type { Window } from '../image/open.ts'
import { packLayer } from '../native/addon.ts'
import { packing, standard } from './compression.ts'
import { windowDigest } from './digest.ts'
import type { BuildTools } from './request.ts'
import { removeTree } from './tree.ts'

/** A layer; undefined when the step changed nothing. */
export type Result = Window | undefined

/** Stands for a layer where nothing changed. Shorter than the head of any squashfs. */
export const nothing = 'nothing\n'

export type PackTools = Pick<BuildTools, 'request' | 'report' | 'signal'>

/** Write a new file, whole and on the disk. */
export async function writeLayer(path: string, write: (fd: number) => Promise<unknown>): Promise<void> {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    await write(fd)
    // The cache believes a name after a power cut too.
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Pack what changed, the upper directory of an overlay, as a layer. */
export async function packChanges(
  changes: string,
  path: string,
  tools: PackTools,
  options: { readonly time?: number; readonly quick?: boolean } = {},
): Promise<void> {
  const { report, signal, request } = tools
  const { time, quick = false } = options
  // Whatever the image is packed like: its layers are found by what they hold.
  const how = { compression: quick ? ({ kind: 'lz4' } as const) : standard, blockSize: undefined }
  await writeLayer(path, (fd) =>
    packLayer(changes, {
      fd,
      offset: 0,
      ...packing({ ...request.packing, ...how }),
      report,
      signal,
      ...(time === undefined ? {} : { time }),
    }),
  )
}

/** A hash of what is in a directory of changes, but for times: the same files give the same image. */
export async function changesDigest(changes: string, tools: PackTools): Promise<string> {
  const path = `${changes}.squashfs`
  await packChanges(changes, path, tools, { time: 0, quick: true })
  const { size } = statSync(path)
  const digest = await windowDigest({ file: path, offset: 0, size }, { signal: tools.signal })
  removeTree(path)
  return digest
}

/** A layer of the cache; undefined when it holds nothing. */
export function readLayer(path: string): Result {
  const { size } = statSync(path)
  return size > nothing.length ? { file: path, offset: 0, size } : undefined
}
