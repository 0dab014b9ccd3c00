/** Take one instruction after the other: what it changes in the configuration, and what is to be done to the files. */

import { posix } from 'node:path'
import { excerpt } from '../lines.ts'
import { type Action, readRun, readTransfer, type WithoutPlace } from './actions.ts'
import type { Lookup } from './expand.ts'
import { readHealthcheck, readPorts } from './health.ts'
import { Scope } from './scope.ts'
import { argumentValue, type Given, type OciConfig, type State, withVariables } from './state.ts'
import { type Command, type Instruction, wrong } from './types.ts'
import { plainWords } from './words.ts'

export type Folded = { readonly state: State; readonly action: Action | undefined }

/**
 * The state behind an instruction, and what it does to the files.
 * @throws SingError DEFINITION for values that make no sense once variables are put in
 */
export function fold(state: State, instruction: Instruction, given: Given): Folded {
  const folder = new Folder(state, instruction, given)
  const { change, action } = folder.read()
  const entry = folder.historyEntry()
  const history = [...state.history, action ? entry : ({ ...entry, empty_layer: true } as const)]
  const located = action && ({ ...action, line: instruction.line, title: instruction.title } as Action)
  return { state: { ...state, ...change, history }, action: located }
}

type Change = { readonly change?: Partial<State>; readonly action?: WithoutPlace<Action> }

class Folder {
  readonly #scope: Scope
  readonly #state: State
  readonly #instruction: Instruction
  readonly #given: Given

  constructor(state: State, instruction: Instruction, given: Given) {
    this.#scope = new Scope(state, instruction, given)
    this.#state = state
    this.#instruction = instruction
    this.#given = given
  }

  #config(change: OciConfig): Change {
    return { change: { config: { ...this.#state.config, ...change } } }
  }

  historyEntry(): { created_by: string } {
    const { kind, title } = this.#instruction
    const isShell = kind === 'run' && this.#instruction.command.form === 'shell'
    return { created_by: isShell ? `RUN ${this.#scope.words(this.#instruction.command).join(' ')}` : title }
  }

  read(): Change {
    const act = this.#instruction
    const { config } = this.#state
    switch (act.kind) {
      case 'arg':
        return this.#declare(act.values)
      case 'env':
        return { change: { config: withVariables(config, this.#pairs(act.values), this.#scope.place) } }
      case 'label':
        return this.#config({ Labels: { ...config.Labels, ...Object.fromEntries(this.#pairs(act.values)) } })
      case 'workdir':
        return this.#workdir(act.text)
      case 'user':
        return this.#config({ User: this.#scope.named(act.text, 'USER') })
      case 'stopsignal':
        return this.#config({ StopSignal: this.#signal(act.text) })
      case 'maintainer':
        return { change: { author: act.text } }
      case 'cmd':
        return { change: { config: { ...config, Cmd: this.#scope.words(act.command) }, hasCommand: true } }
      case 'entrypoint':
        return this.#entrypoint(act.command)
      case 'shell':
        return this.#config({ Shell: act.words })
      case 'expose':
        return this.#config({ ExposedPorts: { ...config.ExposedPorts, ...this.#ports(act.words) } })
      case 'volume':
        return this.#config({ Volumes: { ...config.Volumes, ...this.#volumes(act.words) } })
      case 'onbuild':
        return this.#config({ OnBuild: [...(config.OnBuild ?? []), act.text] })
      case 'healthcheck':
        return this.#config({ Healthcheck: readHealthcheck(act.health, this.#scope.place) })
      case 'run':
        return { action: readRun(this.#scope, act) }
      case 'copy':
      case 'add':
        return { action: readTransfer(this.#scope, act) }
    }
  }

  #pairs(pairs: readonly (readonly [string, string])[]): [string, string][] {
    return pairs.map(([name, value]) => [this.#scope.named(name, 'the name'), this.#scope.word(value)])
  }

  #declare(values: readonly (readonly [string, string | undefined])[]): Change {
    const declared = new Map(this.#state.arguments)
    const variables = this.#scope.lookup
    const lookup: Lookup = (name) => variables(name) ?? declared.get(name)
    for (const [name, fallback] of values) {
      const value = argumentValue(name, fallback, lookup, this.#given, this.#scope.place)
      // One that is declared again without a value keeps what it has.
      declared.set(name, value ?? declared.get(name))
    }
    return { change: { arguments: declared } }
  }

  #workdir(text: string): Change {
    const path = posix.resolve('/', this.#scope.directory, this.#scope.named(text, 'WORKDIR'))
    const change = { config: { ...this.#state.config, WorkingDir: path } }
    return { change, action: { kind: 'workdir', path } }
  }

  #signal(text: string): string {
    const word = this.#scope.word(text)
    if (/^(SIG)?[A-Z][A-Z0-9]*([+-]\d+)?$/i.test(word) || /^\d{1,2}$/.test(word)) return word
    throw wrong(
      this.#scope.place,
      `STOPSIGNAL ${excerpt(word)} is no signal`,
      'for example: STOPSIGNAL SIGTERM',
    )
  }

  /** A CMD that the base brought along belongs to the entry point that it had. */
  #entrypoint(command: Command): Change {
    const { Cmd, ...config } = this.#state.config
    const own = this.#state.hasCommand && Cmd ? { Cmd } : {}
    return { change: { config: { ...config, ...own, Entrypoint: this.#scope.words(command) } } }
  }

  #ports(words: readonly string[]): Record<string, object> {
    const ports = words.flatMap((word) => plainWords(this.#scope.word(word)))
    return Object.fromEntries(
      ports.flatMap((port) => readPorts(port, this.#scope.place)).map((port) => [port, {}]),
    )
  }

  #volumes(words: readonly string[]): Record<string, object> {
    return Object.fromEntries(words.map((word) => [this.#scope.named(word, 'VOLUME'), {}]))
  }
}
