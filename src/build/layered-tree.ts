/**
 * A stage as packed layers below an overlay: nothing is unpacked, and only what changes is written. Where results are kept, what a
 * step changed becomes the next layer, and the tree is mounted only while a step runs. Elsewhere all steps change the same overlay.
 */

import { lstatSync, readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { reasonOf, SingError } from '../core/errors.ts'
import type { Window } from '../image/open.ts'
import type { PackOptions } from '../native/addon.ts'
import { type Mounted, mountStack } from '../runtime/mounted.ts'
import { changedAddress, madeAddress, nextAddress } from './address.ts'
import { changesDigest, type Result } from './pack-changes.ts'
import { unpackInto } from './plain-tree.ts'
import type { BuildTools } from './request.ts'
import type { Keeping, StageTree } from './stage-tree.ts'
import { changedMeanwhile, type Step } from './steps.ts'
import { removeTree } from './tree.ts'

/** What an overlay shows of its uppermost directory itself. */
function ownAttributes(directory: string): string {
  const { mode, uid, gid } = lstatSync(directory)
  return `${mode} ${uid} ${gid}`
}

export class LayeredTree implements StageTree {
  readonly #root: string
  readonly #tools: BuildTools
  #keeping: Keeping | undefined
  /** Topmost first. */
  #layers: readonly Window[]
  #address: string | undefined
  #mounted: Mounted | undefined
  #mounts = 0
  /** It could not be mounted. */
  #isUnpacked = false

  /** @param root an empty directory */
  constructor(layers: readonly Window[], root: string, keeping: Keeping | undefined, tools: BuildTools) {
    this.#layers = layers
    this.#root = root
    this.#keeping = keeping
    this.#address = keeping?.address
    this.#tools = tools
    tools.scratch.hold({ [Symbol.dispose]: () => this.#unmount() })
  }

  get address(): string | undefined {
    return this.#address
  }

  get base(): PackOptions['base'] {
    const changes = this.#mounted?.changes
    return changes === undefined ? undefined : { layers: this.#layers, changes }
  }

  async take(step: Step): Promise<void> {
    const { steps } = this.#tools
    if (!this.#keeping) return await steps.run(step.title, async () => await step.run(await this.open()))
    const left = this.#keeping.results.failed.leftBy(step, this.#address ?? '')
    if (left.length > 0) return await this.#resume(step, left, this.#keeping)
    const isAnew = steps.mustRun(step.title)
    const identity = await step.identity()
    if (identity) await this.#takeByName(step, identity, isAnew, this.#keeping)
    else await this.#takeByContent(step, this.#keeping)
  }

  async #takeByName(
    step: Step,
    identity: readonly string[],
    isAnew: boolean,
    keeping: Keeping,
  ): Promise<void> {
    const address = nextAddress(keeping.way, this.#address ?? '', identity)
    let changes: string | undefined
    let isRun = false
    const run = async () => {
      isRun = true
      changes = await this.#changesOf(step)
      await keeping.requireBase()
      if (!isDeepStrictEqual(await step.identity(), identity)) throw changedMeanwhile
      return changes
    }
    try {
      const result = await keeping.results.provide(address, step.title, run, isAnew)
      if (!isRun) this.#tools.steps.cached(step.title)
      this.#push(result, madeAddress(keeping.way, address, await keeping.results.digestOf(result)), changes)
    } catch (error) {
      if (error !== changedMeanwhile) throw error
      await this.#keepByContent(step, changes, keeping)
    }
  }

  /** What it does can only be told when it is done. */
  async #takeByContent(step: Step, keeping: Keeping): Promise<void> {
    const changes = await this.#changesOf(step)
    await keeping.requireBase()
    await this.#keepByContent(step, changes, keeping)
  }

  async #keepByContent(step: Step, changes: string | undefined, { results, way }: Keeping): Promise<void> {
    if (changes === undefined) return
    const address = changedAddress(way, this.#address ?? '', await changesDigest(changes, this.#tools))
    const result = await results.provide(address, step.title, async () => changes, false)
    this.#push(result, address, changes)
  }

  #push(result: Result, address: string, changes: string | undefined): void {
    if (result) this.#layers = [result, ...this.#layers]
    this.#address = address
    if (changes !== undefined) removeTree(changes)
  }

  /** Run a step on what it left when it failed. From here on nobody can tell what made the tree, and nothing is kept. */
  async #resume(step: Step, left: readonly Window[], { results }: Keeping): Promise<void> {
    const address = this.#address ?? ''
    const text = `${step.title} runs on what it left when it failed; what is made now is not kept`
    this.#tools.report({ kind: 'info', text })
    this.#layers = [...left, ...this.#layers]
    this.#keeping = undefined
    this.#address = undefined
    await this.#tools.steps.run(step.title, async () => {
      const root = await this.open()
      try {
        await step.run(root)
      } catch (error) {
        const changes = this.#mounted?.changes
        this.#unmount()
        throw await results.failed.keep({ step, address, below: left.length, changes }, error)
      }
    })
  }

  /** Run the step on a mounted tree. Resolves with the directory of what it changed, undefined for nothing. */
  async #changesOf(step: Step): Promise<string | undefined> {
    return await this.#tools.steps.run(step.title, async () => {
      const { changes } = await this.#mount()
      const before = ownAttributes(changes)
      try {
        await step.run(this.#root)
        this.#unmount()
      } catch (error) {
        this.#unmount()
        const left = { step, address: this.#address ?? '', below: 0, changes }
        throw (await this.#keeping?.results.failed.keep(left, error)) ?? error
      }
      return readdirSync(changes).length > 0 || ownAttributes(changes) !== before ? changes : undefined
    })
  }

  async open(): Promise<string> {
    if (this.#mounted || this.#isUnpacked) return this.#root
    if (this.#keeping) await this.#mount()
    else await this.#mountOrUnpack()
    return this.#root
  }

  async #mountOrUnpack(): Promise<void> {
    try {
      await this.#mount()
    } catch (error) {
      const text = `the base is unpacked, because it cannot be mounted: ${reasonOf(error)}`
      this.#tools.report({ kind: 'debug', text })
      await unpackInto(this.#root, this.#layers, this.#tools)
      this.#isUnpacked = true
    }
  }

  async #mount(): Promise<Mounted> {
    this.#mounts += 1
    const directory = `${this.#root}.changes-${this.#mounts}`
    const { idsMapped, inUserNamespace } = this.#tools.facts
    const options = { at: this.#root, directory, allRoot: idsMapped === 1, inUserNamespace }
    try {
      this.#mounted = await mountStack(this.#layers, options)
      return this.#mounted
    } catch (cause) {
      throw new SingError('BUILD', `cannot mount what the steps before made: ${reasonOf(cause)}`, {
        hint: 'If it is damaged: sing cache clean --type build. To build without what is kept: --disable-cache',
        cause,
      })
    }
  }

  #unmount(): void {
    this.#mounted?.[Symbol.dispose]()
    this.#mounted = undefined
  }

  fork(root: string): StageTree | undefined {
    if (!this.#keeping || this.#address === undefined) return undefined
    return new LayeredTree(this.#layers, root, { ...this.#keeping, address: this.#address }, this.#tools)
  }

  async unpack(): Promise<string> {
    const root = this.#tools.scratch.directory(`${basename(this.#root)}-files`)
    await unpackInto(root, this.#layers, this.#tools)
    return root
  }
}
