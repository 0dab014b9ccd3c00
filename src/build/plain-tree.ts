/** A stage as files in a directory: for trees that stay files, and for machines that cannot mount. */

import type { Window } from '../image/open.ts'
import { unpackLayers } from '../image/unpack.ts'
import type { StepCounter } from './counter.ts'
import type { BuildTools } from './request.ts'
import type { StageTree } from './stage-tree.ts'
import type { Step } from './steps.ts'
import { grantOwner } from './tree.ts'

/** Fill the empty directory `root` with what layers show, the topmost first. */
export async function unpackInto(root: string, layers: readonly Window[], tools: BuildTools): Promise<void> {
  const { facts, report, signal, request } = tools
  const owners = { ownership: facts.isRoot, notes: facts.idsMapped === 1 }
  await unpackLayers(layers.toReversed(), root, { ...owners, report, signal })
  if (request.fixPermissions) grantOwner(root)
}

export class PlainTree implements StageTree {
  readonly address = undefined
  readonly base = undefined
  readonly #root: string
  readonly #steps: StepCounter

  constructor(root: string, { steps }: Pick<BuildTools, 'steps'>) {
    this.#root = root
    this.#steps = steps
  }

  async take(step: Step): Promise<void> {
    await this.#steps.run(step.title, () => step.run(this.#root))
  }

  async open(): Promise<string> {
    return this.#root
  }

  async unpack(): Promise<string> {
    return this.#root
  }
}
