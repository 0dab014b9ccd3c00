/** What steps made, in the cache: a squashfs with what each of them changed, found by the address of the tree behind it. */

import { closeSync, constants, fsyncSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { shown } from '../core/errors.ts'
import type { Window } from '../image/open.ts'
import { packLayer } from '../native/addon.ts'
import type { Cache } from '../store/cache.ts'
import { isFull } from '../store/space.ts'
import { standard } from './compression.ts'
import type { BuildTools } from './request.ts'

/** A layer; undefined when the step changed nothing. */
export type Result = Window | undefined

/** Stands for a layer where nothing changed. Shorter than the head of any squashfs. */
const nothing = 'nothing\n'

type PackTools = Pick<BuildTools, 'request' | 'report' | 'signal'>

/** Write a new file. */
async function writeFile(path: string, write: (fd: number) => Promise<unknown>): Promise<void> {
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
  const { workers } = request.packing
  const { time, quick = false } = options
  await writeFile(path, (fd) =>
    packLayer(changes, {
      fd,
      offset: 0,
      compression: quick ? { kind: 'lz4' } : standard,
      report,
      signal,
      ...(workers === undefined ? {} : { workers }),
      ...(time === undefined ? {} : { time }),
    }),
  )
}

function read(path: string): Result {
  const { size } = statSync(path)
  return size > nothing.length ? { file: path, offset: 0, size } : undefined
}

/** Runs a step; resolves with the directory of what changed, undefined when nothing did. */
export type Run = () => Promise<string | undefined>

export class StepResults {
  readonly #cache: Cache
  readonly #tools: PackTools & Pick<BuildTools, 'scratch'>
  #count = 0

  constructor(cache: Cache, tools: PackTools & Pick<BuildTools, 'scratch'>) {
    this.#cache = cache
    this.#tools = tools
  }

  get facts(): Cache['facts'] {
    return this.#cache.facts
  }

  /** The result of a step that somebody ran; null when nobody did. */
  find(address: string): Result | null {
    const path = this.#cache.find({ type: 'build', id: address })
    return path === undefined ? null : read(path)
  }

  /**
   * The result of a step: what is kept, or what `run` makes of it, which is kept then. One process runs it at a time; who waited has
   * its result.
   */
  async provide(address: string, title: string, run: Run, anew: boolean): Promise<Result> {
    let changes: { path: string | undefined } | undefined
    const make = async (path: string): Promise<void> => {
      // Not again when the cache was full.
      changes ??= { path: await run() }
      if (changes.path !== undefined) await packChanges(changes.path, path, this.#tools)
      else await writeFile(path, async (fd) => writeSync(fd, nothing))
    }
    try {
      const { signal } = this.#tools
      return read(
        await this.#cache.image({ type: 'build', id: address }, make, { signal, name: title, anew }),
      )
    } catch (error) {
      if (!changes || !isFull(error)) throw error
      return await this.#withoutCache(title, changes.path)
    }
  }

  /** A full cache is no reason to lose what a step made. */
  async #withoutCache(title: string, changes: string | undefined): Promise<Result> {
    const { report, scratch } = this.#tools
    const text = `What ${shown(title)} made is not kept: there is no space left in the cache`
    report({ kind: 'warning', text })
    if (changes === undefined) return undefined
    this.#count += 1
    const path = join(scratch.path, `layer-${this.#count}.squashfs`)
    await packChanges(changes, path, this.#tools)
    return read(path)
  }
}
