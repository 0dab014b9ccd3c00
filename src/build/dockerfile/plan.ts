/** Dockerfiles as plans of stages: the second front end of builds. */

import { chmodSync } from 'node:fs'
import { SingError, shown } from '../../core/errors.ts'
import type { Action } from '../../definition/dockerfile/actions.ts'
import { expandWord } from '../../definition/dockerfile/expand.ts'
import { fold } from '../../definition/dockerfile/fold.ts'
import { type Needs, neededStages } from '../../definition/dockerfile/needs.ts'
import { parseTriggers } from '../../definition/dockerfile/parse.ts'
import {
  defaultPath,
  firstState,
  type Given,
  globalArguments,
  platformArguments,
  type State,
} from '../../definition/dockerfile/state.ts'
import type { DockerStage } from '../../definition/dockerfile/types.ts'
import { inShort } from '../../definition/dockerfile/words.ts'
import { hostArchitecture } from '../../image/architecture.ts'
import { fixedTime } from '../definition-plan.ts'
import { prepareRootfs } from '../metadata.ts'
import type { BuildTools } from '../request.ts'
import type { SourceBase } from '../sources/index.ts'
import type { FinishedStages, FoundBase, StagePlan, Step } from '../steps.ts'
import { type Origin, openContext, treeOrigin } from './context.ts'
import type { Giver } from './copy.ts'
import { configAttachment, describeDocker } from './describe.ts'
import { findImage, readFrom, requirePlatform } from './from.ts'
import type { DockerSpec } from './spec.ts'
import { stepOf, withPlace } from './steps.ts'

/** The plans of a Dockerfile, and what a stage that begins with its image finds. */
export type DockerPlans = { readonly plans: readonly StagePlan[]; readonly result: () => SourceBase }

/** What is known of a stage once its base is. */
type Known = { readonly state: State; readonly actions: readonly Action[]; readonly time: number | undefined }

const nothing: SourceBase = {
  base: { kind: 'packed', layers: [], identity: async () => ['nothing'] },
  attachments: [],
  time: undefined,
}

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
  readonly #given: Given
  readonly #needs: Needs
  readonly #known = new Map<number, Known>()
  #context: Origin | undefined

  constructor(spec: DockerSpec, prefix: string, finished: FinishedStages, tools: BuildTools) {
    this.#spec = spec
    this.#prefix = prefix
    this.#finished = finished
    this.#tools = tools
    const { name, escaper, arguments: declared, stages } = spec.file
    const outside = { name, escaper, build: spec.arguments, used: new Set<string>() }
    const target = stages[spec.target]?.name ?? 'default'
    const values = declared.flatMap((one) => (one.kind === 'arg' ? [one] : []))
    const global = globalArguments(
      values,
      outside,
      platformArguments(hostArchitecture(), this.#architecture, target),
    )
    this.#given = { ...outside, global }
    this.#needs = neededStages(spec.file, spec.target, (stage, index) => this.#from(stage, index))
  }

  plans(): StagePlan[] {
    const { images, stages } = this.#needs
    return [...images.map((word) => this.#imagePlan(word)), ...stages.map((index) => this.#stagePlan(index))]
  }

  result(): SourceBase {
    const { target, file } = this.#spec
    const { state, time } = this.#knownOf(target)
    const attachment = configAttachment(state)
    return {
      base: { kind: 'stage', name: this.#stageName(target) },
      attachments: [attachment],
      time,
      addition: {
        identity: [attachment.data.toString(), file.text],
        write: (root) => this.#describe(target, root, this.#architecture),
      },
    }
  }

  /** Programs of images are started, which must be for this machine then. */
  get #runs(): boolean {
    const { stages } = this.#spec.file
    return stages.some(({ instructions }) => instructions.some(({ kind }) => kind === 'run'))
  }

  /** Of the image. */
  get #architecture(): string {
    return this.#tools.request.architecture ?? hostArchitecture()
  }

  #stageName = (index: number): string => `${this.#prefix}${index}`
  #imageName = (word: string): string => `${this.#prefix}image ${word}`

  #place(line: number): string {
    return `${this.#spec.file.name}:${line}`
  }

  #knownOf(index: number): Known {
    const known = this.#known.get(index)
    if (!known) throw new SingError('INTERNAL', `stage ${index} has not begun`)
    return known
  }

  /** What the word behind FROM means, its arguments put in. */
  #from({ from, line }: Pick<DockerStage, 'from' | 'line'>, below: number) {
    const { file, context } = this.#spec
    const place = { name: file.name, line, escaper: file.escaper }
    const word = expandWord(from, (name) => this.#given.global.get(name), place)
    if (word === '')
      throw new SingError('DEFINITION', `${this.#place(line)}: FROM ${shown(from)} becomes empty`)
    return this.#located(line, () => readFrom(word, file.stages, below, context))
  }

  #located<T>(line: number, work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw error instanceof SingError ? withPlace(error, this.#place(line)) : error
    }
  }

  /** An image that only files are taken from. */
  #imagePlan(word: string): StagePlan {
    const { context } = this.#spec
    const plan = emptyPlan(this.#imageName(word), `--from=${word}`)
    const base = async (): Promise<FoundBase> => {
      const from = readFrom(word, [], 0, context)
      if (from.kind === 'nothing' || from.kind === 'stage') return nothing
      return (await findImage(from, false, this.#tools)).found
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
    const base = () => this.#base(index, stage)
    if (index !== this.#spec.target) return { ...plan, base, steps }
    const describe = async (root: string, arch: string) => {
      this.#describe(index, root, arch)
      await prepareRootfs(root)
    }
    return { ...plan, base, steps, describe, description: [this.#spec.file.text] }
  }

  async #base(index: number, stage: DockerStage): Promise<FoundBase> {
    const { found, state } = await this.#begin(index, stage)
    const known = this.#fold(stage, state, found.time)
    this.#known.set(index, known)
    return { ...found, attachments: [configAttachment(known.state)] }
  }

  async #begin(index: number, stage: DockerStage): Promise<{ found: FoundBase; state: State }> {
    if (stage.platform !== undefined) this.#requirePlatform(stage.platform, stage.line)
    const from = this.#from(stage, index)
    switch (from.kind) {
      case 'nothing':
        return { found: nothing, state: firstState({ Env: [`PATH=${defaultPath}`] }) }
      case 'stage': {
        const { state, time } = this.#knownOf(from.index)
        const base = { kind: 'stage', name: this.#stageName(from.index) } as const
        const inherited = { ...firstState(state.config, state.author), history: state.history }
        return { found: { base, attachments: [], time }, state: inherited }
      }
      case 'reference':
      case 'file':
        try {
          const { found, config } = await findImage(from, this.#runs, this.#tools)
          return { found, state: firstState(config) }
        } catch (error) {
          throw error instanceof SingError ? withPlace(error, this.#place(stage.line)) : error
        }
    }
  }

  #requirePlatform(text: string, line: number): void {
    const { name, escaper } = this.#spec.file
    const platform = expandWord(text, (one) => this.#given.global.get(one), { name, line, escaper })
    requirePlatform(platform, this.#architecture, this.#place(line))
  }

  /** One instruction after the other; before them those that the base has for its children. */
  #fold(stage: DockerStage, first: State, time: number | undefined): Known {
    const { OnBuild = [], ...config } = first.config
    const triggers = this.#located(stage.line, () =>
      parseTriggers(OnBuild, `${this.#place(stage.line)}: ONBUILD of ${shown(stage.from)}`, '\\'),
    )
    let state: State = { ...first, config }
    const actions: Action[] = []
    for (const instruction of [
      ...triggers.map((one) => ({ ...one, line: stage.line })),
      ...stage.instructions,
    ]) {
      const folded = fold(state, instruction, this.#given)
      state = folded.state
      if (folded.action) actions.push(folded.action)
    }
    return { state, actions, time }
  }

  #steps(index: number, stage: DockerStage): Step[] {
    const sources = {
      give: (from: string | undefined) => this.#giver(from, index),
      buildArguments: this.#spec.arguments,
    }
    const steps = this.#knownOf(index).actions.map((action) => stepOf(action, sources, this.#tools))
    return this.#from(stage, index).kind === 'nothing' ? [rootStep, ...steps] : steps
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
    this.#context ??= openContext(this.#spec.context, this.#spec.path)
    return this.#context
  }

  #describe(index: number, root: string, arch: string): void {
    const { file, context } = this.#spec
    const { state, time: baseTime } = this.#knownOf(index)
    const time = fixedTime({ time: baseTime }, this.#tools)
    const about = {
      config: state.config,
      text: file.text,
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
