/** The loop of a build: the stages in their order, and in each the steps on its tree. */

import { rootfsArchitecture } from './architecture.ts'
import type { BuildTools } from './request.ts'
import type { StageTree } from './stage-tree.ts'
import type { FinishedStage, FinishedStages, FoundBase, StagePlan } from './steps.ts'
import { openTree } from './trees.ts'

/** The stage that becomes the image. */
export type BuiltStage = {
  readonly root: string
  readonly base: StageTree['base']
  readonly found: FoundBase
}

/** A front end: what it wants done, given the stages that are finished by the time a plan is asked. */
export type FrontEnd = (finished: FinishedStages) => readonly StagePlan[]

/** Write what the finished tree says about itself, and try it. */
async function finish(plan: StagePlan, root: string, tools: BuildTools): Promise<string> {
  await plan.describe(root, rootfsArchitecture(root, tools.request.architecture))
  const { test } = plan
  if (test) await tools.steps.run(test.title, () => test.run(root))
  return root
}

async function takeSteps(plan: StagePlan, number: number, finished: FinishedStages, tools: BuildTools) {
  const root = tools.scratch.directory(`rootfs-${number}`)
  await plan.before(root)
  const { found, tree } = await tools.steps.run(plan.from, async () => {
    const base = await plan.base()
    tools.signal.throwIfAborted()
    return { found: base, tree: await openTree(base.base, root, finished, tools) }
  })
  for (const step of await plan.steps()) {
    await tree.take(step)
    tools.signal.throwIfAborted()
  }
  return { tree, found }
}

async function finishedStage(plan: StagePlan, tree: StageTree, tools: BuildTools): Promise<FinishedStage> {
  const root = await finish(plan, await tree.open(), tools)
  return { identity: undefined, root: async () => root }
}

/** Build all stages. Resolves with the last one. */
export async function buildStages(front: FrontEnd, tools: BuildTools): Promise<BuiltStage | undefined> {
  const finished = new Map<string, FinishedStage>()
  const plans = front(finished)
  tools.steps.add(plans.reduce((sum, { count }) => sum + count, 0))
  for (const [index, plan] of plans.entries()) {
    const { tree, found } = await takeSteps(plan, index + 1, finished, tools)
    if (index < plans.length - 1) {
      const stage = await finishedStage(plan, tree, tools)
      if (plan.name !== undefined) finished.set(plan.name, stage)
      continue
    }
    const root = await finish(plan, await (tools.request.sandbox ? tree.unpack() : tree.open()), tools)
    return { root, base: tree.base, found }
  }
  return undefined
}
