/** A stage as packed layers below an overlay: nothing is unpacked, and only what changes is written. */

import { basename } from 'node:path'
import { reasonOf } from '../core/errors.ts'
import type { Window } from '../image/open.ts'
import type { PackOptions } from '../native/addon.ts'
import { mountStack } from '../runtime/mounted.ts'
import { unpackInto } from './plain-tree.ts'
import type { BuildTools } from './request.ts'
import type { StageTree } from './stage-tree.ts'
import type { Step } from './steps.ts'

export class LayeredTree implements StageTree {
  readonly address = undefined
  readonly #layers: readonly Window[]
  readonly #root: string
  readonly #tools: BuildTools
  #isOpen = false
  #changes: string | undefined

  /** @param root an empty directory */
  constructor(layers: readonly Window[], root: string, tools: BuildTools) {
    this.#layers = layers
    this.#root = root
    this.#tools = tools
  }

  async take(step: Step): Promise<void> {
    await this.#tools.steps.run(step.title, async () => step.run(await this.open()))
  }

  async open(): Promise<string> {
    if (!this.#isOpen) await this.#show()
    this.#isOpen = true
    return this.#root
  }

  /** Mounted where the kernel does it, else unpacked. */
  async #show(): Promise<void> {
    const { facts, scratch, report } = this.#tools
    const root = this.#root
    try {
      const options = {
        at: root,
        directory: `${root}.changes`,
        allRoot: facts.idsMapped === 1,
        inUserNamespace: facts.inUserNamespace,
      }
      const mounted = await mountStack(this.#layers, options)
      scratch.hold(mounted)
      this.#changes = mounted.changes
    } catch (error) {
      report({
        kind: 'debug',
        text: `the base is unpacked, because it cannot be mounted: ${reasonOf(error)}`,
      })
      await unpackInto(root, this.#layers, this.#tools)
    }
  }

  get base(): PackOptions['base'] {
    return this.#changes === undefined ? undefined : { layers: this.#layers, changes: this.#changes }
  }

  async unpack(): Promise<string> {
    const { scratch } = this.#tools
    const root = scratch.directory(`${basename(this.#root)}-files`)
    await unpackInto(root, this.#layers, this.#tools)
    return root
  }
}
