/** Flags that get their values from configuration files: those of every launch, and those of the profiles in use. */

import type { FlagSetting, Origin, ProfileSetting, Settings } from '../config/layers.ts'
import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import type { Call } from './command.ts'
import type { Default, Defaults } from './parse.ts'

const placeOf = ({ file, line }: Origin): string => `${file}:${line}`

const toDefault = (key: string, { flag, value, origin }: FlagSetting): [string, Default] => [
  flag,
  { value, origin: `${key}.${flag} (${placeOf(origin)})` },
]

function unknownProfile(name: string, asked: string, profiles: Settings['profiles']): SingError {
  const known = [...profiles.keys()]
  const near = suggest(name, known)
  const hint = near
    ? `Did you mean ${near}?`
    : known.length > 0
      ? `There are: ${known.join(', ')}`
      : 'Profiles are written below profiles: in a configuration file; see: sing config list'
  return new SingError('USAGE', `${asked}: there is no profile "${shown(name)}"`, { status: 255, hint })
}

function findProfile(name: string, asked: string, profiles: Settings['profiles']): ProfileSetting {
  const profile = profiles.get(name)
  if (!profile) throw unknownProfile(name, asked, profiles)
  return profile
}

const isConfigured = (origin: string): boolean => origin.includes(' (')

/** An error about the value of a flag, with the place of the file that gave it. */
export function located(error: unknown, { flags, origins }: Pick<Call, 'flags' | 'origins'>): unknown {
  if (!(error instanceof SingError)) return error
  const [, name = '', told = ''] = /^--([a-z-]+) (.*)/s.exec(error.message) ?? []
  const words = [flags[name] ?? []].flat().map(String)
  const origin = words
    .map((word, index) => ({ word, origin: origins[name]?.[index] ?? '' }))
    .find(({ word, origin: from }) => isConfigured(from) && word !== '' && told.includes(word))?.origin
  if (origin === undefined) return error
  const { code, message, hint, status, cause } = error
  const place = `It stands in ${origin}`
  return new SingError(code, message, { hint: hint ? `${hint}\n${place}` : place, status, cause })
}

/** The profiles that a call uses: those it names, or those of the configuration. */
export type Chosen = { readonly names: readonly string[]; readonly origin: string }

/**
 * Defaults of flags by name, the weakest first: `launch`, then the profiles in their order.
 * @throws SingError for a profile that there is not
 */
export function flagDefaults(settings: Settings, asked: Chosen | undefined): Defaults {
  const { launch, profiles, profile } = settings
  const chosen =
    asked ?? (profile && { names: profile.names, origin: `profile (${placeOf(profile.origin)})` })
  const entries = [
    ...launch.map((setting) => toDefault('launch', setting)),
    ...(chosen?.names ?? []).flatMap((name) =>
      findProfile(name, chosen?.origin ?? '', profiles).flags.map((setting) =>
        toDefault(`profiles.${name}`, setting),
      ),
    ),
  ]
  const found = new Map<string, Default[]>()
  for (const [flag, entry] of entries) found.set(flag, [...(found.get(flag) ?? []), entry])
  return found
}
