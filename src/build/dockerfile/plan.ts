/** Dockerfiles as plans of stages: the second front end of builds. */

import { chmodSync } from 'node:fs'
import { SingError, shown } from '../../core/errors.ts'
import type { Giver as Image } from '../../definition/dockerfile/needs.ts'
import type { DockerStage } from '../../definition/dockerfile/types.ts'
import { inShort } from '../../definition/dockerfile/words.ts'
import { baseLabels } from '../../image/labels.ts'
import { fixedTime } from '../describe.ts'
import { prepareRootfs } from '../metadata.ts'
import type { BuildTools } from '../request.ts'
import type { SourceBase } from '../sources/index.ts'
import type { FinishedStages, FoundBase, StagePlan, Step } from '../steps.ts'
import { type Origin, openContext, treeOrigin } from './context.ts'
import type { Giver } from './copy.ts'
import { configAttachment, describeDocker } from './describe.ts'
import { findImage, readFrom } from './from.ts'
import { noSuchGiver } from './giver.ts'
import type { DockerSpec } from './spec.ts'
import { nothing, Stages } from './stages.ts'
import { stepOf } from './steps.ts'

/** The plans of a Dockerfile, and what a stage that begins with its image finds. */
export type DockerPlans = { readonly plans: readonly StagePlan[]; readonly result: () => SourceBase }

/** Plan the stages that the target needs. `prefix` keeps their names apart from those of others. */
export function planDockerfile(
  spec: DockerSpec,
  prefix: string,
  finished: FinishedStages,
  tools: BuildTools,
): DockerPlans {
  const planner = new Planner(spec, prefix, finished, { ...tools, definitionName: spec.file.name })
  return { plans: planner.plans(), result: () => planner.result() }
}

class Planner {
  readonly #spec: DockerSpec
  readonly #prefix: string
  readonly #finished: FinishedStages
  readonly #tools: BuildTools
  readonly #stages: Stages
  #context: Origin | undefined

  constructor(spec: DockerSpec, prefix: string, finished: FinishedStages, tools: BuildTools) {
    this.#spec = spec
    this.#prefix = prefix
    this.#finished = finished
    this.#tools = tools
    this.#stages = new Stages(spec, this.#stageName, tools)
  }

  plans(): StagePlan[] {
    const { images, stages } = this.#stages.needs
    return [
      ...images.map((image) => this.#imagePlan(image)),
      ...stages.map((index) => this.#stagePlan(index)),
    ]
  }

  result(): SourceBase {
    const { target, file } = this.#spec
    const { state, time, image } = this.#stages.of(target)
    const attachment = configAttachment(state)
    return {
      base: { kind: 'stage', name: this.#stageName(target) },
      attachments: [attachment],
      time,
      addition: {
        identity: [attachment.data.toString(), file.text, ...baseLabels(image).flat()],
        write: (root) => this.#describe(target, root, this.#stages.architecture),
      },
    }
  }

  #stageName = (index: number): string => `${this.#prefix}${index}`
  #imageName = (word: string): string => `${this.#prefix}image ${word}`

  /** An image that only files are taken from. */
  #imagePlan(image: Image): StagePlan {
    const { word } = image
    const { context, file } = this.#spec
    const plan = emptyPlan(this.#imageName(word), `--from=${word}`)
    const base = async (): Promise<FoundBase> => {
      try {
        const from = readFrom(word, [], 0, context)
        if (from.kind === 'nothing' || from.kind === 'stage') return nothing
        return (await findImage(from, false, this.#tools)).found
      } catch (error) {
        throw error instanceof SingError ? noSuchGiver(error, image, file) : error
      }
    }
    return { ...plan, base }
  }

  #stagePlan(index: number): StagePlan {
    const stage = this.#spec.file.stages[index]
    if (!stage) throw new SingError('INTERNAL', `there is no stage ${index}`)
    const changing = stage.instructions.filter(({ kind }) => changesFiles.includes(kind))
    const plan = {
      ...emptyPlan(this.#stageName(index), inShort(stage.title)),
      titles: [stage.title, ...changing.map(({ title }) => title)].map(inShort),
    }
    const steps = async () => this.#steps(index, stage)
    const base = () => this.#stages.begin(index, stage)
    if (index !== this.#spec.target) return { ...plan, base, steps }
    const describe = async (root: string, arch: string) => {
      this.#describe(index, root, arch)
      await prepareRootfs(root)
    }
    return {
      ...plan,
      base,
      steps,
      describe,
      description: [this.#spec.file.text, JSON.stringify(this.#spec.arguments)],
    }
  }

  #steps(index: number, stage: DockerStage): Step[] {
    const sources = {
      give: (from: string | undefined) => this.#giver(from, index),
      buildArguments: this.#spec.arguments,
    }
    const steps = this.#stages.of(index).actions.map((action) => stepOf(action, sources, this.#tools))
    return this.#stages.from(stage, index).kind === 'nothing' ? [rootStep, ...steps] : steps
  }

  #giver(from: string | undefined, below: number): Giver {
    if (from === undefined) return { open: async () => this.#openContext() }
    const word = readFrom(from, this.#spec.file.stages, below, this.#spec.context, true)
    const name = word.kind === 'stage' ? this.#stageName(word.index) : this.#imageName(from)
    const stage = this.#finished.get(name)
    if (!stage) {
      const hint =
        'ONBUILD of a base can copy from the context alone: write the instruction into this Dockerfile'
      throw new SingError('UNSUPPORTED', `--from=${shown(from)}: this stage was not built`, { hint })
    }
    return {
      known: { identity: stage.address === undefined ? undefined : [stage.address] },
      open: async () => treeOrigin(await stage.files(), `the stage ${shown(from)}`),
    }
  }

  #openContext(): Origin {
    this.#context ??= openContext(this.#spec.context, this.#spec.path, this.#tools.request.target)
    return this.#context
  }

  #describe(index: number, root: string, arch: string): void {
    const { file, context } = this.#spec
    const { state, time: baseTime, image } = this.#stages.of(index)
    const time = fixedTime({ time: baseTime }, this.#tools)
    const about = {
      config: state.config,
      text: file.text,
      image,
      header: { bootstrap: 'dockerfile', from: context },
      time: time === undefined ? new Date() : new Date(time * 1000),
      arch,
    }
    describeDocker(root, about, this.#tools)
  }
}

/** Instructions that become steps. */
const changesFiles: readonly string[] = ['run', 'copy', 'add', 'workdir']

/** The root of an empty tree is for everybody to enter. */
const rootStep: Step = {
  title: '',
  line: 0,
  identity: async () => ['root'],
  run: async (root) => chmodSync(root, 0o755),
}

const emptyPlan = (name: string, from: string): StagePlan => ({
  name,
  from: shown(from),
  titles: [shown(from)],
  before: async () => {},
  base: async () => nothing,
  steps: async () => [],
  describe: async () => {},
  description: [],
  test: undefined,
})
