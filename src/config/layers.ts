/** What several files say, as one configuration in which the later file wins (pure). */

import type { FlagValue, Reading } from './document.ts'
import { type Config, defaultConfig, directives, type Scope, toConfig } from './schema.ts'

/** Where a value stands. */
export type Origin = { readonly file: string; readonly line: number; readonly scope: Scope }

/** One file and what it says. */
export type Layer = { readonly file: string; readonly scope: Scope; readonly reading: Reading }

export type FlagSetting = { readonly flag: string; readonly value: FlagValue; readonly origin: Origin }

export type ProfileSetting = { readonly origin: Origin; readonly flags: readonly FlagSetting[] }

/** A file that was looked for. */
export type Looked = {
  readonly file: string
  readonly scope: Scope
  readonly state: 'read' | 'absent' | 'ignored'
  /** Why it was ignored, or what in it has no effect. */
  readonly notes: readonly string[]
}

/** The configuration of a call, and where each part of it comes from. */
export type Settings = {
  readonly config: Config
  /** By key, of values that are said somewhere. */
  readonly origins: ReadonlyMap<string, Origin>
  /** Flags of every launch, the weakest first. */
  readonly launch: readonly FlagSetting[]
  readonly profiles: ReadonlyMap<string, ProfileSetting>
  readonly profile: { readonly names: readonly string[]; readonly origin: Origin } | undefined
  readonly files: readonly Looked[]
  /** Sentences for the person: files that may not be believed. */
  readonly warnings: readonly string[]
}

export const defaultSettings: Settings = {
  config: defaultConfig,
  origins: new Map(),
  launch: [],
  profiles: new Map(),
  profile: undefined,
  files: [],
  warnings: [],
}

/** Put layers together, the weakest first. */
export function mergeLayers(layers: readonly Layer[]): Omit<Settings, 'files' | 'warnings'> {
  const values = new Map<string, unknown>()
  const origins = new Map<string, Origin>()
  const launch: FlagSetting[] = []
  const profiles = new Map<string, ProfileSetting>()
  let profile: Settings['profile']
  for (const { file, scope, reading } of layers) {
    const at = (line: number): Origin => ({ file, line, scope })
    for (const { key, value, line } of reading.settings) {
      if (values.has(key) && directives.get(key)?.stays?.(values.get(key), value, scope)) continue
      values.set(key, value)
      origins.set(key, at(line))
    }
    const flagsOf = (flags: Reading['launch']): FlagSetting[] =>
      flags.map(({ flag, value, line }) => ({ flag, value, origin: at(line) }))
    launch.push(...flagsOf(reading.launch))
    for (const { name, line, flags } of reading.profiles)
      profiles.set(name, { origin: at(line), flags: flagsOf(flags) })
    if (reading.profile) profile = { names: reading.profile.names, origin: at(reading.profile.line) }
  }
  return { config: toConfig(values), origins, launch, profiles, profile }
}
