/** A finished stage that later ones build on or copy from: it is mounted or unpacked when somebody wants its files. */

import { passedAddress } from './address.ts'
import { rootfsArchitecture } from './architecture.ts'
import type { BuildTools } from './request.ts'
import type { StageTree } from './stage-tree.ts'
import type { FinishedStage, StagePlan } from './steps.ts'
import { wayOf } from './trees.ts'

export class Stage implements FinishedStage {
  readonly #plan: StagePlan
  readonly #tree: StageTree
  readonly #architecture: string | undefined
  #described: Promise<string> | undefined

  constructor(plan: StagePlan, tree: StageTree, architecture: string | undefined) {
    this.#architecture = architecture
    this.#plan = plan
    this.#tree = tree
  }

  get address(): string | undefined {
    return this.#tree.address
  }

  get identity(): readonly string[] | undefined {
    return this.address === undefined ? undefined : [this.address, ...this.#plan.description]
  }

  async files(): Promise<string> {
    return await this.#tree.open()
  }

  async described(): Promise<string> {
    this.#described ??= this.#describe()
    return await this.#described
  }

  fork(root: string): StageTree | undefined {
    return this.#tree.fork(root)
  }

  async #describe(): Promise<string> {
    const root = await this.#tree.open()
    await this.#plan.describe(root, rootfsArchitecture(root, this.#architecture))
    return root
  }

  /** Run the stage's test, unless the same files have passed it. */
  async test(tools: BuildTools): Promise<void> {
    const { test } = this.#plan
    if (!test) return
    const run = async () =>
      await tools.steps.run(test.title, async () => await test.run(await this.described()))
    const identity = this.identity && (await test.identity())
    if (!tools.results || !this.identity || !identity) return await run()
    let isRun = false
    const isAnew = tools.steps.mustRun(test.title)
    const address = passedAddress(wayOf(tools), this.identity, identity)
    const noChanges = async () => {
      isRun = true
      await run()
      return undefined
    }
    await tools.results.provide(address, test.title, noChanges, isAnew)
    if (!isRun) tools.steps.cached(test.title)
  }
}
