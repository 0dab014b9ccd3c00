/** `sing config`: what holds here and why, and changes to the files that say so. */

import { changeKey, fileOf } from '../../config/change.ts'
import type { FlagValue } from '../../config/document.ts'
import { currentDirectory, homeOf } from '../../config/files.ts'
import type { FlagSetting, Looked, Origin, Settings } from '../../config/layers.ts'
import { type Config, directives, type Scope, withoutEffect } from '../../config/schema.ts'
import { SingError } from '../../core/errors.ts'
import { toJson } from '../../ui/json.ts'
import { toColumns } from '../../ui/table.ts'
import type { Call, Command, Flags } from '../command.ts'
import { flagDefaults } from '../configured.ts'
import { findKey, type Key, toNode } from '../keys.ts'
import { allLaunchFlags, type Flag } from '../options.ts'
import { standingFlags } from '../parse.ts'
import { fakeroot, global } from './config-files.ts'

const toggle = (name: string, help: string, short?: string): Flag => ({
  name,
  kind: 'boolean',
  help,
  ...(short && { short }),
})
const jsonFlag = toggle('json', 'print JSON instead of text', 'j')
const scopeFlags = [
  toggle('site', "change the site's file instead of your own", 'S'),
  toggle('project', 'change the file of this project', 'P'),
]

/** A value that holds, and where it comes from. */
type Row = { readonly key: string; readonly value: FlagValue; readonly from: string }

const placeOf = ({ file, line }: Origin): string => `${file}:${line}`

/** The value of a directive in a configuration, by its key. */
function valueAt(config: Config, key: string): unknown {
  const camel = (name: string) => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return key.split('.').reduce((at: unknown, name) => (at as Record<string, unknown>)[camel(name)], config)
}

function directiveRows({ config, origins }: Settings): Row[] {
  return [...directives].map(([key, { type }]) => {
    const words = type.write(valueAt(config, key))
    const origin = origins.get(key)
    const value = type.list ? words : (words[0] ?? '')
    return { key, value, from: origin ? placeOf(origin) : 'default' }
  })
}

const isSecret = (name: string): boolean => /password|passphrase/.test(name)

/** The place alone where the key says the rest: `launch.bind (FILE:LINE)`. */
const shortened = (key: string, origin: string): string =>
  origin.startsWith(`${key} (`) ? origin.slice(key.length + 2, -1) : origin

/** Values of flags that a launch would have, one row for each origin. */
function launchRows(settings: Settings, environment: Readonly<Record<string, string>>): Row[] {
  const standing = standingFlags(allLaunchFlags, environment, flagDefaults(settings, undefined))
  return [...standing].flatMap(([name, { value, origins }]) => {
    const key = `launch.${name}`
    const row = (part: FlagValue, origin = ''): Row => ({
      key,
      value: isSecret(name) ? '(not shown)' : part,
      from: shortened(key, origin),
    })
    if (!Array.isArray(value)) return [row(value as FlagValue, origins[0])]
    const parts = [...new Set(origins)]
    return parts.map((origin) =>
      row(
        value.filter((_: string, index: number) => origins[index] === origin),
        origin,
      ),
    )
  })
}

const flagRow = (prefix: string, { flag, value, origin }: FlagSetting): Row => ({
  key: `${prefix}.${flag}`,
  value,
  from: placeOf(origin),
})

function profileRows({ profile, profiles }: Settings): Row[] {
  return [
    ...(profile ? [{ key: 'profile', value: profile.names, from: placeOf(profile.origin) }] : []),
    ...[...profiles].flatMap(([name, { flags }]) => flags.map((flag) => flagRow(`profiles.${name}`, flag))),
  ]
}

function textOf(value: FlagValue): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return Array.isArray(value) ? value.join(', ') : String(value)
}

const rowText = ({ key, value, from }: Row): string[] => [key, textOf(value), from]

const fileText = ({ file, scope, state, notes }: Looked): string[][] => [
  [`  ${file}`, scope, state === 'ignored' ? `ignored: ${notes.join(', ')}` : state],
  ...(state === 'read' ? notes.map((note) => ['', '', note]) : []),
]

function listText(rows: readonly Row[], { files }: Settings, all: boolean): string {
  const values = toColumns([['KEY', 'VALUE', 'FROM'], ...rows.map(rowText)])
  const looked =
    files.length > 0 ? `\nFiles, of which the later one wins:\n${toColumns(files.flatMap(fileText))}` : ''
  const rest = Object.entries(withoutEffect).map(([name, reason]) => [`  ${name}`, reason])
  return (
    values + looked + (all ? `\nDirectives of singularity.conf without effect here:\n${toColumns(rest)}` : '')
  )
}

async function list({ flags, context }: Call): Promise<number> {
  const settings = await context.settings()
  for (const text of settings.warnings) context.report({ kind: 'warning', text })
  const rows = [
    ...directiveRows(settings),
    ...launchRows(settings, context.environment),
    ...profileRows(settings),
  ]
  const { files } = settings
  const json = { values: rows, files, ...(flags.all && { withoutEffect }) }
  context.print(flags.json ? toJson(json) : listText(rows, settings, flags.all === true))
  return 0
}

/** Rows of a key: one for most, several for a flag with several origins or a profile. */
function rowsOf(key: Key, settings: Settings, environment: Readonly<Record<string, string>>): Row[] {
  const isBelow = (row: Row) => row.key === key.name || row.key.startsWith(`${key.name}.`)
  switch (key.kind) {
    case 'directive':
      return directiveRows(settings).filter(isBelow)
    case 'launch':
      return launchRows(settings, environment).filter((row) => row.key === key.name)
    default:
      return profileRows(settings).filter(isBelow)
  }
}

async function get({ args: [asked = ''], context }: Call): Promise<number> {
  const key = findKey(asked)
  const rows = rowsOf(key, await context.settings(), context.environment)
  const lines = rows.flatMap(({ key: name, value }) => {
    const words = Array.isArray(value) ? value : [textOf(value)]
    return key.kind === 'profile' ? [`${name} ${words.join(', ')}`] : words
  })
  context.print(lines.map((line) => `${line}\n`).join(''))
  return rows.length > 0 ? 0 : 1
}

function scopeOf(flags: Flags): Scope {
  if (flags.site === true && flags.project === true)
    throw new SingError('USAGE', '--site and --project exclude each other')
  return flags.site === true ? 'site' : flags.project === true ? 'project' : 'user'
}

const isYaml = (path: string): boolean => /\.ya?ml$/i.test(path)

function change({ flags, context }: Call, key: Key, words: readonly string[] | undefined): number {
  const { environment, configFile } = context
  const scope = scopeOf(flags)
  if (scope === 'site' && configFile !== undefined && !isYaml(configFile)) {
    throw new SingError('USAGE', `${configFile} is no YAML file`, {
      hint: 'Use: sing --config FILE config global --set DIRECTIVE VALUE',
    })
  }
  const file = fileOf(scope, environment, configFile)
  const place = { file, scope, home: homeOf(environment), flags: allLaunchFlags }
  const start = { folder: currentDirectory() ?? '/', home: place.home }
  changeKey(place, key.path, words && toNode(key, words, start))
  return 0
}

const description =
  'Keys are those of `sing config list`: directives such as mount.home, flags of every launch such as launch.bind, flags of a profile such as profiles.mpi.sharens, and profile, the profiles that are on.'

export const subcommands: Readonly<Record<string, Command>> = {
  list: {
    usage: 'config list [options]',
    summary: 'Show what holds here, and where it comes from',
    flags: [jsonFlag, toggle('all', 'also what has no effect here, and why', 'a')],
    args: [0, 0],
    run: list,
  },
  get: {
    usage: 'config get <key>',
    summary: 'Print the value of a key',
    description,
    examples: ['sing config get mount.home', 'sing config get "bind path"'],
    flags: [],
    args: [1, 1],
    run: get,
  },
  set: {
    usage: 'config set [options] <key> <value...>',
    summary: 'Set a key in your own file, or in that of the site or the project',
    description,
    examples: [
      'sing config set launch.bind /data /scratch:/scratch:ro',
      'sing config set --project profiles.mpi.sharens yes',
    ],
    flags: scopeFlags,
    args: [2, Number.POSITIVE_INFINITY],
    run: async (call) => change(call, findKey(call.args[0] ?? ''), call.args.slice(1)),
  },
  unset: {
    usage: 'config unset [options] <key>',
    summary: 'Take a key out of a file',
    flags: scopeFlags,
    args: [1, 1],
    run: async (call) => change(call, findKey(call.args[0] ?? ''), undefined),
  },
  global,
  fakeroot,
}
