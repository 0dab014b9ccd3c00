/** The stages of a Dockerfile one after the other: what each begins with, and what its instructions come to. */

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
import { hostArchitecture } from '../../image/architecture.ts'
import type { BaseImage } from '../../image/labels.ts'
import type { BuildTools } from '../request.ts'
import type { SourceBase } from '../sources/index.ts'
import type { FoundBase } from '../steps.ts'
import { configAttachment } from './describe.ts'
import { type From, findImage, readFrom, requirePlatform } from './from.ts'
import type { DockerSpec } from './spec.ts'
import { withPlace } from './steps.ts'

/** What is known of a stage once its base is. */
export type Known = {
  readonly state: State
  readonly actions: readonly Action[]
  readonly time: number | undefined
  /** The image of OCI below it. */
  readonly image: BaseImage | undefined
}

export const nothing: SourceBase = {
  base: { kind: 'packed', layers: [], identity: async () => ['nothing'] },
  attachments: [],
  time: undefined,
}

export class Stages {
  readonly needs: Needs
  readonly #spec: DockerSpec
  readonly #tools: BuildTools
  readonly #nameOf: (index: number) => string
  readonly #given: Given
  readonly #known = new Map<number, Known>()

  /** `nameOf` tells what the engine calls a stage. */
  constructor(spec: DockerSpec, nameOf: (index: number) => string, tools: BuildTools) {
    this.#spec = spec
    this.#tools = tools
    this.#nameOf = nameOf
    const { name, escaper, arguments: declared, stages } = spec.file
    const outside = { name, escaper, build: spec.arguments, used: new Set<string>() }
    const target = stages[spec.target]?.name ?? 'default'
    const values = declared.flatMap((one) => (one.kind === 'arg' ? [one] : []))
    const platform = platformArguments(hostArchitecture(), this.architecture, target)
    this.#given = { ...outside, global: globalArguments(values, outside, platform) }
    this.needs = neededStages(spec.file, spec.target, (stage, index) => this.from(stage, index))
  }

  /** Programs of images are started, which must be for this machine then. */
  get #runs(): boolean {
    const { stages } = this.#spec.file
    return stages.some(({ instructions }) => instructions.some(({ kind }) => kind === 'run'))
  }

  /** Of the image. */
  get architecture(): string {
    return this.#tools.request.architecture ?? hostArchitecture()
  }

  #place(line: number): string {
    return `${this.#spec.file.name}:${line}`
  }

  /** What is known of a stage that has begun. */
  of(index: number): Known {
    const known = this.#known.get(index)
    if (!known) throw new SingError('INTERNAL', `stage ${index} has not begun`)
    return known
  }

  /** What the word behind FROM means, its arguments put in. */
  from({ from, line }: Pick<DockerStage, 'from' | 'line'>, below: number): From {
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

  /** Find what a stage begins with; what its instructions come to is known then. */
  async begin(index: number, stage: DockerStage): Promise<FoundBase> {
    const { found, state } = await this.#find(index, stage)
    const known = { ...this.#fold(stage, state), time: found.time, image: found.image }
    this.#known.set(index, known)
    return { ...found, attachments: [configAttachment(known.state)] }
  }

  async #find(index: number, stage: DockerStage): Promise<{ found: FoundBase; state: State }> {
    if (stage.platform !== undefined) this.#requirePlatform(stage.platform, stage.line)
    const from = this.from(stage, index)
    switch (from.kind) {
      case 'nothing':
        return { found: nothing, state: firstState({ Env: [`PATH=${defaultPath}`] }) }
      case 'stage': {
        const { state, time, image } = this.of(from.index)
        const base = { kind: 'stage', name: this.#nameOf(from.index) } as const
        const inherited = { ...firstState(state.config, state.author), history: state.history }
        return { found: { base, attachments: [], time, image }, state: inherited }
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
    requirePlatform(platform, this.architecture, this.#place(line))
  }

  /** One instruction after the other; before them those that the base has for its children. */
  #fold(stage: DockerStage, first: State): Pick<Known, 'state' | 'actions'> {
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
    return { state, actions }
  }
}
