/** What is known at a line of a stage: the configuration that has come together so far, and the arguments that are declared. */

import { expandWord, type Lookup } from './expand.ts'
import { type Place, wrong } from './types.ts'

/** `config` of an OCI image, with what Docker adds to it. */
export type OciConfig = {
  readonly User?: string
  readonly ExposedPorts?: Readonly<Record<string, object>>
  readonly Env?: readonly string[]
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Volumes?: Readonly<Record<string, object>>
  readonly WorkingDir?: string
  readonly Labels?: Readonly<Record<string, string>>
  readonly StopSignal?: string
  readonly OnBuild?: readonly string[]
  readonly Healthcheck?: Healthcheck
  readonly Shell?: readonly string[]
}

export type Healthcheck = {
  readonly Test: readonly string[]
  readonly Interval?: number
  readonly Timeout?: number
  readonly StartPeriod?: number
  readonly StartInterval?: number
  readonly Retries?: number
}

/** What was done, for `docker history`. */
export type HistoryEntry = { readonly created_by: string; readonly empty_layer?: true }

export type State = {
  readonly config: OciConfig
  readonly author: string | undefined
  readonly history: readonly HistoryEntry[]
  /** Arguments declared in this stage, with their values. */
  readonly arguments: ReadonlyMap<string, string | undefined>
  /** CMD stands in this stage: ENTRYPOINT leaves it. */
  readonly hasCommand: boolean
}

/** Arguments from outside of the stages. */
export type Given = {
  /** The file, for messages. */
  readonly name: string
  readonly escaper: Place['escaper']
  /** From the command line. */
  readonly build: Readonly<Record<string, string>>
  /** Declared before the first FROM, and those that are there without: TARGETARCH and its kin. */
  readonly global: ReadonlyMap<string, string | undefined>
  /** Notes the names that the Dockerfile uses. */
  readonly used: Set<string>
}

export const firstState = (config: OciConfig, author?: string): State => ({
  config,
  author,
  history: [],
  arguments: new Map(),
  hasCommand: false,
})

/** As much as a program can be started with. */
const largestEnvironment = 2 * 1024 * 1024

export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** The variables of the configuration. */
export function environmentOf({ Env = [] }: OciConfig): Map<string, string> {
  return new Map(
    Env.map((word) => {
      const equals = word.indexOf('=')
      return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)]
    }),
  )
}

/** What words of an instruction can name: variables, and behind them arguments. */
export function lookupOf({ config, arguments: declared }: State): Lookup {
  const variables = environmentOf(config)
  return (name) => variables.get(name) ?? declared.get(name)
}

/** The environment of a command: arguments, and over them variables. */
export function runEnvironment({ config, arguments: declared }: State): Record<string, string> {
  const set = [...declared].filter((pair): pair is [string, string] => pair[1] !== undefined)
  return Object.fromEntries([['PATH', defaultPath], ...set, ...environmentOf(config)])
}

/** The configuration with variables set; one that is there keeps its place. */
export function withVariables(
  config: OciConfig,
  pairs: readonly (readonly [string, string])[],
  place: Place,
): OciConfig {
  const variables = environmentOf(config)
  for (const [name, value] of pairs) variables.set(name, value)
  const Env = [...variables].map(([name, value]) => `${name}=${value}`)
  if (Env.reduce((sum, word) => sum + word.length, 0) > largestEnvironment)
    throw wrong(place, 'the environment becomes larger than 2 MiB')
  return { ...config, Env }
}

/** The value that an ARG gives its name: from the command line, of its own, or from before the first FROM. */
export function argumentValue(
  name: string,
  fallback: string | undefined,
  lookup: Lookup,
  given: Given,
  place: Place,
): string | undefined {
  given.used.add(name)
  if (Object.hasOwn(given.build, name)) return given.build[name]
  if (fallback !== undefined) return expandWord(fallback, lookup, place)
  return given.global.get(name)
}

/** The arguments above the first FROM, over those that are there without. */
export function globalArguments(
  declared: readonly {
    readonly values: readonly (readonly [string, string | undefined])[]
    readonly line: number
  }[],
  given: Omit<Given, 'global'>,
  platform: ReadonlyMap<string, string>,
): Map<string, string | undefined> {
  const global = new Map<string, string | undefined>(platform)
  for (const { values, line } of declared) {
    const place = { name: given.name, line, escaper: given.escaper }
    const lookup: Lookup = (name) => global.get(name)
    for (const [name, fallback] of values)
      global.set(name, argumentValue(name, fallback, lookup, { ...given, global }, place))
  }
  return global
}

/** The arguments that are there by themselves: about the machine that builds, and the one that the image is for. */
export function platformArguments(own: string, architecture: string, stage: string): Map<string, string> {
  const names = (prefix: string, arch: string): [string, string][] => [
    [`${prefix}PLATFORM`, `linux/${arch}`],
    [`${prefix}OS`, 'linux'],
    [`${prefix}ARCH`, arch],
    [`${prefix}VARIANT`, ''],
  ]
  return new Map([...names('BUILD', own), ...names('TARGET', architecture), ['TARGETSTAGE', stage]])
}
