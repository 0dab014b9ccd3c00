/** What steps made, in the cache: a squashfs with what each of them changed, found by the address of the tree behind it. */

import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, reasonOf, shown } from '../core/errors.ts'
import type { Cache } from '../store/cache.ts'
import { isFull } from '../store/space.ts'
import { windowDigest } from './digest.ts'
import { FailedStates } from './failed-states.ts'
import { nothing, type PackTools, packChanges, type Result, readLayer, writeLayer } from './pack-changes.ts'
import { pinned } from './pinned.ts'
import type { BuildTools } from './request.ts'

type ResultTools = PackTools & Pick<BuildTools, 'scratch' | 'definitionName'>

/** Runs a step; resolves with the directory of what changed, undefined when nothing did. */
export type Run = () => Promise<string | undefined>

export class StepResults {
  readonly #cache: Cache
  readonly #tools: ResultTools
  /** What steps left that failed. */
  readonly failed: FailedStates
  #count = 0

  constructor(cache: Cache, tools: ResultTools) {
    this.#cache = cache
    this.#tools = tools
    this.failed = new FailedStates(cache, tools)
  }

  get facts(): Cache['facts'] {
    return this.#cache.facts
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
      else await writeLayer(path, async (fd) => writeSync(fd, nothing))
    }
    try {
      const { signal, definitionName } = this.#tools
      const options = { signal, name: `${definitionName} ${title}`.trim(), anew }
      return this.#read(await this.#cache.image({ type: 'build', id: address }, make, options))
    } catch (error) {
      if (!changes || !(isFull(error) || errnoOf(error))) throw error
      const reason = isFull(error) ? 'there is no space left in the cache' : reasonOf(error)
      return await this.#withoutCache(title, changes.path, reason)
    }
  }

  /** A layer of the cache, also when another build puts a new one in its place (--no-cache). */
  #read(path: string): Result {
    const layer = readLayer(path)
    return layer && pinned({ ...layer, held: true }, this.#tools.scratch)
  }

  /** A hash of what a result holds. */
  async digestOf(result: Result): Promise<string> {
    return result ? await windowDigest(result, { facts: this.facts, signal: this.#tools.signal }) : 'nothing'
  }

  /** A cache that is full, or that somebody removed, is no reason to lose what a step made. */
  async #withoutCache(title: string, changes: string | undefined, reason: string): Promise<Result> {
    const { report, scratch } = this.#tools
    const text = `What ${shown(title)} made is not kept: ${reason}`
    report({ kind: 'warning', text })
    if (changes === undefined) return undefined
    this.#count += 1
    const path = join(scratch.path, `layer-${this.#count}.squashfs`)
    await packChanges(changes, path, this.#tools)
    return readLayer(path)
  }
}
