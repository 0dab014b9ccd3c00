/**
 * What scripts left that failed in a shell (--on-error shell): kept as layers in the cache, until the same image is built from the
 * same definition with --resume. A state counts only on the tree that the script began with. One image has one, and those that
 * nobody came back to go.
 */

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Window } from '../image/open.ts'
import type { Cache } from '../store/cache.ts'
import { type PackTools, packChanges, readLayer } from './pack-changes.ts'
import type { Step } from './steps.ts'

const prefix = 'failed-'
const mostStates = 8
const longest = 14 * 24 * 60 * 60 * 1000

/** A step that failed on the tree at `address`. */
export type Left = {
  readonly step: Step
  readonly address: string
  /** Layers that it had left before. */
  readonly below: number
  /** The directory of what it changed; undefined where that cannot be told. */
  readonly changes: string | undefined
}

const hash = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)

export class FailedStates {
  readonly #cache: Cache
  readonly #tools: PackTools
  readonly #own: string
  #isUsed = false

  constructor(cache: Cache, tools: PackTools) {
    this.#cache = cache
    this.#tools = tools
    const { target, spec } = tools.request
    this.#own = `${prefix}${hash(target, resolve(spec))}-`
  }

  /** @throws SingError when there is nothing that --resume could go on with */
  require(): void {
    const { target, spec } = this.#tools.request
    if (this.#cache.list('build', this.#own).length > 0) return
    throw new SingError(
      'BUILD',
      `there is nothing to resume: no build of ${shown(target)} from ${shown(spec)} was left`,
      {
        hint: 'A build can be resumed when it failed in a shell: sing build --on-error shell ...',
      },
    )
  }

  /** The layers that the step left when it failed on the tree at `address`, the topmost first. */
  leftBy(step: Step, address: string): readonly Window[] {
    if (!this.#tools.request.resume || this.#isUsed) return []
    const layers: Window[] = []
    for (;;) {
      const path = this.#cache.find(this.#key(step, address, layers.length))
      const layer = path === undefined ? undefined : readLayer(path)
      if (!layer) break
      layers.unshift(layer)
    }
    this.#isUsed = layers.length > 0
    return layers
  }

  /** Keep what a step left whose script failed in a shell. Resolves with the error to throw, which says how to go on. */
  async keep(left: Left, error: unknown): Promise<unknown> {
    const { report, signal, request } = this.#tools
    const isLeft = error instanceof SingError && error.code === 'SECTION' && request.onError === 'shell'
    if (!isLeft || signal.aborted || left.changes === undefined) return error
    try {
      await this.#write(left, left.changes)
    } catch (cause) {
      signal.throwIfAborted()
      report({ kind: 'warning', text: `What you left cannot be kept: ${reasonOf(cause)}` })
      return error
    }
    const next = 'What you left is kept: build once more with --resume, and the step runs again on it'
    const hint = error.hint === undefined ? next : `${error.hint}\n${next}`
    return new SingError(error.code, error.message, { hint, cause: error })
  }

  async #write({ step, address, below }: Left, changes: string): Promise<void> {
    const { signal, request } = this.#tools
    const name = `${step.title} of ${request.target}, which failed`
    if (below === 0) this.forget()
    const make = (path: string) => packChanges(changes, path, this.#tools)
    await this.#cache.image(this.#key(step, address, below), make, { signal, name, anew: true })
    this.#trim()
  }

  /** Tell when --resume had no effect. */
  explainUnused(): void {
    if (!this.#tools.request.resume || this.#isUsed) return
    const text = '--resume had no effect: what comes before the step that failed is not what it was'
    this.#tools.report({ kind: 'warning', text })
  }

  /** The image is there, or another state takes the place of this one. */
  forget(): void {
    for (const { id } of this.#cache.list('build', this.#own)) this.#cache.discardImage({ type: 'build', id })
  }

  /** Part of a script or all of it, it goes on where it was. */
  #key({ title }: Step, address: string, number: number) {
    const id = `${this.#own}${hash(address, title.replace(/ \(.*\)$/, ''))}-${number}`
    return { type: 'build', id } as const
  }

  #trim(): void {
    const newest = this.#cache.list('build', prefix).toSorted((one, other) => other.used - one.used)
    for (const [index, { id, used }] of newest.entries()) {
      if (index >= mostStates || Date.now() - used > longest) this.#cache.discardImage({ type: 'build', id })
    }
  }
}
