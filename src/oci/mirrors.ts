/** Where else the images of a registry are: the `registries.conf` of containers-registries.conf(5), version 2. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import { readBytes } from './bytes.ts'

type Environment = Readonly<Record<string, string>>

/** A repository and its registry, as in references. */
export type Location = { readonly registry: string; readonly repository: string }

export type Endpoint = Location & {
  readonly insecure: boolean
  /** For which references a mirror stands. */
  readonly from: 'all' | 'digest-only' | 'tag-only'
}

type Fields = Readonly<Record<string, unknown>>

export type RegistryRule = {
  readonly prefix: string
  readonly location: string
  readonly insecure: boolean
  readonly blocked: boolean
  readonly mirrors: readonly {
    readonly location: string
    readonly insecure: boolean
    readonly from: Endpoint['from']
  }[]
}

const sizeLimit = 1024 * 1024
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const tablesOf = (value: unknown): Fields[] => (Array.isArray(value) ? value.filter(isFields) : [])
const textOf = (value: unknown): string => (typeof value === 'string' ? value.replace(/\/+$/, '') : '')

function toFrom(table: Fields, digestOnly: boolean): Endpoint['from'] {
  const word = table['pull-from-mirror']
  return word === 'digest-only' || word === 'tag-only' ? word : digestOnly ? 'digest-only' : 'all'
}

/** The rules of one document of TOML. */
export function toRules(document: Fields): RegistryRule[] {
  return tablesOf(document.registry).flatMap((table): RegistryRule[] => {
    const location = textOf(table.location)
    const prefix = textOf(table.prefix) || location
    if (!prefix) return []
    const digestOnly = table['mirror-by-digest-only'] === true
    const mirrors = tablesOf(table.mirror)
      .map((mirror) => ({
        location: textOf(mirror.location),
        insecure: mirror.insecure === true,
        from: toFrom(mirror, digestOnly),
      }))
      .filter((mirror) => mirror.location)
    const [insecure, blocked] = [table.insecure === true, table.blocked === true]
    return [{ prefix, location, insecure, blocked, mirrors }]
  })
}

/** How much of a name a prefix covers; 0 when it does not. `*.example.com` covers all hosts below. */
function coverage({ prefix }: RegistryRule, name: string): number {
  if (!prefix.startsWith('*.')) return name === prefix || name.startsWith(`${prefix}/`) ? prefix.length : 0
  const host = name.replace(/\/.*$/, '').replace(/:\d+$/, '')
  return host.endsWith(prefix.slice(1)) ? prefix.length - 1 : 0
}

/** The rule with the longest prefix. */
export function ruleFor(
  rules: readonly RegistryRule[],
  { registry, repository }: Location,
): RegistryRule | undefined {
  const name = `${registry}/${repository}`
  const ranked = rules
    .map((rule) => ({ rule, length: coverage(rule, name) }))
    .filter(({ length }) => length > 0)
    .sort((one, other) => other.length - one.length)
  return ranked[0]?.rule
}

function split(name: string): Location {
  const slash = name.indexOf('/')
  return { registry: name.slice(0, slash), repository: name.slice(slash + 1) }
}

/** The name with the prefix of the rule replaced. */
function moved(rule: RegistryRule, name: string, location: string): Location {
  return split(rule.prefix.startsWith('*.') ? name : `${location}${name.slice(rule.prefix.length)}`)
}

/**
 * Where to ask for an image, in order: mirrors, then the registry itself.
 * @throws SingError REGISTRY when the site blocks it
 */
export function endpointsOf(rule: RegistryRule | undefined, at: Location, byDigest: boolean): Endpoint[] {
  if (!rule) return [{ ...at, insecure: false, from: 'all' }]
  const name = `${at.registry}/${at.repository}`
  if (rule.blocked) {
    throw new SingError('REGISTRY', `${shown(name)} is blocked by registries.conf (${shown(rule.prefix)})`)
  }
  const serves = ({ from }: { from: Endpoint['from'] }) =>
    from === 'all' || (from === 'digest-only') === byDigest
  const mirrors = rule.prefix.startsWith('*.') ? [] : rule.mirrors.filter(serves)
  const own = rule.location ? moved(rule, name, rule.location) : at
  return [
    ...mirrors.map(({ location, insecure, from }) => ({ ...moved(rule, name, location), insecure, from })),
    { ...own, insecure: rule.insecure, from: 'all' },
  ]
}

function readIfThere(path: string): string | undefined {
  try {
    return readBytes(path, sizeLimit).toString('utf8')
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(cause) ?? '')) return undefined
    throw new SingError('IO', `cannot read ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

function filesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.conf'))
    return names.sort().map((name) => join(folder, name))
  } catch {
    return []
  }
}

/** The user's files stand for those of the site; what lies in a folder `.d` is added. */
function filesOf({ HOME, CONTAINERS_REGISTRIES_CONF: named }: Environment): string[] {
  const own = HOME?.startsWith('/') ? join(HOME, '.config/containers/registries.conf') : undefined
  const site = '/etc/containers/registries.conf'
  if (named) return [named]
  return [...(own ? [own] : []), site, ...filesIn(`${site}.d`), ...(own ? filesIn(`${own}.d`) : [])]
}

/** The rules that hold here. A prefix that stands in several files is the last one's; of the two main files the user's counts alone. */
export async function readRules(environment: Environment): Promise<RegistryRule[]> {
  const [own, site, ...rest] = filesOf(environment)
  const first = own === undefined ? undefined : readIfThere(own)
  const main =
    first !== undefined
      ? [[own, first] as const]
      : site === undefined
        ? []
        : [[site, readIfThere(site)] as const]
  const texts = [...main, ...rest.map((path) => [path, readIfThere(path)] as const)]
  const rules = new Map<string, RegistryRule>()
  for (const [path, text] of texts) {
    if (text === undefined || !text.includes('registry')) continue
    for (const rule of toRules(await parseToml(path ?? '', text))) rules.set(rule.prefix, rule)
  }
  return [...rules.values()]
}

async function parseToml(path: string, text: string): Promise<Fields> {
  const { parse } = await import('smol-toml')
  try {
    return parse(text)
  } catch (cause) {
    const [reason] = reasonOf(cause).split('\n')
    throw new SingError('IO', `cannot read ${shown(path)}: ${shown(reason ?? '')}`, { cause })
  }
}
