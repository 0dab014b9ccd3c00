/**
 * A stage as files in a directory: for trees that stay files, and for machines that cannot mount. Where results are kept, the stage is
 * kept as a whole: its steps wait until somebody wants the files, and are done at once or not at all.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Window } from '../image/open.ts'
import { unpackLayers } from '../image/unpack.ts'
import { nextAddress } from './address.ts'
import type { BuildTools } from './request.ts'
import type { Keeping, StageTree } from './stage-tree.ts'
import { changedMeanwhile, type Step } from './steps.ts'
import { grantOwner } from './tree.ts'

/** Fill the empty directory `root` with what layers show, the topmost first. */
export async function unpackInto(root: string, layers: readonly Window[], tools: BuildTools): Promise<void> {
  const { facts, report, signal, request } = tools
  const owners = { ownership: facts.isRoot, notes: facts.idsMapped === 1 }
  await unpackLayers(layers.toReversed(), root, { ...owners, report, signal })
  if (request.fixPermissions) grantOwner(root)
}

type Waiting = {
  readonly step: Step
  readonly title: string
  readonly isAnew: boolean
  readonly identity: readonly string[] | undefined
}

async function isWhatItWas({ step, identity }: Waiting): Promise<boolean> {
  return isDeepStrictEqual(await step.identity(), identity)
}

export class PlainTree implements StageTree {
  readonly base = undefined
  readonly #root: string
  readonly #tools: BuildTools
  /** Puts the base into the empty directory. */
  readonly #fill: () => Promise<void>
  #keeping: Keeping | undefined
  #address: string | undefined
  #waiting: Waiting[] = []
  #isFilled = false

  constructor(root: string, fill: () => Promise<void>, keeping: Keeping | undefined, tools: BuildTools) {
    this.#root = root
    this.#fill = fill
    this.#keeping = keeping
    this.#address = keeping?.address
    this.#tools = tools
  }

  get address(): string | undefined {
    return this.#address
  }

  async take(step: Step): Promise<void> {
    const { steps } = this.#tools
    const identity = this.#keeping && (await step.identity())
    // Its time to be counted is over when the step that it is part of has ended.
    const title = steps.isRunning ? '' : step.title
    this.#waiting.push({ step, title, isAnew: steps.mustRun(step.title), identity })
    if (this.#keeping && identity) {
      this.#address = nextAddress(this.#keeping.way, this.#address ?? '', identity)
      return
    }
    this.#keeping = undefined
    this.#address = undefined
    await this.open()
  }

  async open(): Promise<string> {
    const waiting = this.#waiting.splice(0)
    if (this.#keeping && this.#address !== undefined && !this.#isFilled)
      await this.#provide(waiting, this.#address, this.#keeping)
    else await this.#run(waiting)
    return this.#root
  }

  async #run(waiting: readonly Waiting[]): Promise<void> {
    if (!this.#isFilled) await this.#fill()
    this.#isFilled = true
    for (const { step, title } of waiting) await this.#tools.steps.run(title, () => step.run(this.#root))
  }

  /** Have the whole stage from what is kept, or keep it. */
  async #provide(waiting: readonly Waiting[], address: string, { results }: Keeping): Promise<void> {
    const title = waiting.map(({ step }) => step.title).findLast(Boolean) ?? 'base'
    const isAnew = waiting.some((one) => one.isAnew)
    const run = async () => {
      await this.#run(waiting)
      for (const one of waiting) if (!(await isWhatItWas(one))) throw changedMeanwhile
      return this.#root
    }
    const result = await results.provide(address, title, run, isAnew).catch((error) => {
      if (error !== changedMeanwhile) throw error
      this.#address = undefined
    })
    if (this.#isFilled || !result) return
    await unpackInto(this.#root, [result], this.#tools)
    this.#isFilled = true
    for (const one of waiting) this.#tools.steps.cached(one.title)
  }

  fork(): undefined {
    return undefined
  }

  async unpack(): Promise<string> {
    return await this.open()
  }
}
