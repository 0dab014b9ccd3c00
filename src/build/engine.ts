/** The loop of a build: the stages in their order, and in each the steps on its tree. */

import { rootfsArchitecture } from './architecture.ts'
import type { BuildTools } from './request.ts'
import { Stage } from './stage.ts'
import type { StageTree } from './stage-tree.ts'
import type { FinishedStages, FoundBase, StagePlan } from './steps.ts'
import { openTree } from './trees.ts'

/** The stage that becomes the image. */
export type BuiltStage = {
  readonly root: string
  readonly base: StageTree['base']
  readonly found: FoundBase
}

/** A front end: what it wants done, given the stages that are finished by the time a plan is asked. */
export type FrontEnd = (finished: FinishedStages) => readonly StagePlan[]

/** Find what the stage begins with, and make it what the steps expect. */
async function openBase(plan: StagePlan, root: string, finished: FinishedStages, tools: BuildTools) {
  tools.steps.mustRun(plan.from)
  const found = await plan.base()
  tools.signal.throwIfAborted()
  const tree = await openTree(found.base, root, finished, tools)
  if (found.preparation) await tree.take(found.preparation)
  return { found, tree }
}

async function takeSteps(plan: StagePlan, root: string, finished: FinishedStages, tools: BuildTools) {
  await plan.before(root)
  const { found, tree } = await tools.steps.run(plan.from, () => openBase(plan, root, finished, tools))
  for (const step of await plan.steps()) {
    await tree.take(step)
    tools.signal.throwIfAborted()
  }
  return { tree, found }
}

/** The image as it will be: described, and tried. */
async function finishLast(plan: StagePlan, tree: StageTree, tools: BuildTools): Promise<string> {
  const root = await (tools.request.sandbox ? tree.unpack() : tree.open())
  await plan.describe(root, rootfsArchitecture(root, tools.request.architecture))
  const { test } = plan
  if (test) await tools.steps.run(test.title, () => test.run(root))
  return root
}

/** Build all stages. Resolves with the last one. */
export async function buildStages(front: FrontEnd, tools: BuildTools): Promise<BuiltStage | undefined> {
  const finished = new Map<string, Stage>()
  const plans = front(finished)
  tools.steps.expect(plans.flatMap(({ titles }) => titles))
  for (const [index, plan] of plans.entries()) {
    const root = tools.scratch.directory(`rootfs-${index + 1}`)
    const { tree, found } = await takeSteps(plan, root, finished, tools)
    if (index === plans.length - 1)
      return { root: await finishLast(plan, tree, tools), base: tree.base, found }
    const stage = new Stage(plan, tree, tools.request.architecture)
    await stage.test(tools)
    if (plan.name !== undefined) finished.set(plan.name, stage)
  }
  return undefined
}
