/** A launch in words and values for people and programs, before it happens; `docs/plan.md` is its contract. */

import type { Image } from '../image/open.ts'
import { parseBinds, parseMount } from './binds.ts'
import { ociVariables } from './oci.ts'
import type { LaunchPlan } from './plan.ts'
import { type LaunchRequest, parseAssignments } from './request.ts'
import type { Op } from './spec.ts'

/** Where things come from, as words. */
export type Sources = {
  /** The place of a directive in a file, or `default`. */
  readonly directive: (key: string) => string
  /** Origins of a flag: one, or one for each entry of a list; none when it was not given. */
  readonly flag: (name: string) => readonly string[]
  readonly value: (name: string) => unknown
  /** The caller's environment. */
  readonly environment: Readonly<Record<string, string>>
  /** Names of the flags that limit resources. */
  readonly limits: readonly string[]
  /** The image is unpacked into a temporary directory before. */
  readonly unpacked: boolean
}

export type MountLine = {
  /** The place in the container. */
  readonly at: string
  /** The operation of the launch spec. */
  readonly kind: string
  /** What of the host, or which layer, is seen there. */
  readonly source: string
  readonly options: readonly string[]
  readonly origin: string
}

export type VariableLine = { readonly name: string; readonly value: string; readonly origin: string }

export type LimitLine = { readonly name: string; readonly value: string; readonly origin: string }

/** What is described: a launch, or a command in a container that runs already, which mounts nothing. */
export type Described = Pick<LaunchPlan, 'spec' | 'mounts' | 'environment' | 'inside' | 'warnings' | 'notes'>

type DescribedImage = Pick<Image, 'path' | 'oci'> & { readonly kind: Image['kind'] | 'instance' }

export type Description = {
  readonly format: 1
  /** `unpacked`: into a temporary directory, before everything else. */
  readonly image: {
    readonly path: string
    readonly kind: DescribedImage['kind']
    readonly unpacked: boolean
  }
  readonly command: {
    readonly verb: LaunchRequest['verb']
    readonly words: readonly string[]
    readonly app: string
    /** Tried in this order; the first that can be entered counts. */
    readonly directories: readonly string[]
  }
  readonly user: {
    readonly name: string
    readonly uid: number
    readonly gid: number
    readonly uids: LaunchPlan['spec']['ids']['uids']
    readonly gids: LaunchPlan['spec']['ids']['gids']
    readonly setgroups: 'allow' | 'deny'
  }
  readonly namespaces: readonly string[]
  readonly network: string
  readonly hostname: string | null
  readonly umask: string | null
  readonly init: boolean
  readonly mounts: readonly MountLine[]
  readonly environment: readonly VariableLine[]
  /** What the image may still change of the environment. */
  readonly environmentNote: string
  readonly limits: readonly LimitLine[]
  readonly security: {
    readonly noNewPrivileges: boolean
    readonly capabilities: string
    readonly filter: string
    readonly seccomp: boolean
    readonly label: string | null
  }
  readonly warnings: readonly string[]
  readonly notes: readonly string[]
}

const environmentNote =
  'Scripts of the image run before the command and may set more: their values beat those of the host, not those that you set.'

function sourceOf(op: Op): string {
  switch (op.op) {
    case 'squashfs':
    case 'ext3':
      return op.offset > 0 ? `${op.file} at byte ${op.offset}` : op.file
    case 'directory':
    case 'bind':
      return op.from
    case 'overlay':
      return [op.upper, ...op.lower].filter(Boolean).join(' over ')
    case 'root':
    case 'underlay':
      return op.layer
    case 'layer-bind':
      return `${op.layer}:${op.path}`
    case 'symlink':
      return op.to
    case 'fuse':
      return op.words.join(' ')
    default:
      return ''
  }
}

const bytes = (size: number): string[] => (size > 0 ? [`size=${size}`] : [])

function optionsOf(op: Op): string[] {
  const missing = 'missing' in op && op.missing !== 'create' ? [`missing=${op.missing}`] : []
  switch (op.op) {
    case 'squashfs':
      return [op.mount]
    case 'ext3':
      return [op.access]
    case 'memory':
    case 'tmpfs':
      return [...bytes(op.size), ...missing]
    case 'overlay':
      return op.program ? ['fuse-overlayfs'] : []
    case 'layer-bind':
      return [op.readonly ? 'ro' : 'rw', ...missing]
    case 'bind':
      return [op.readonly ? 'ro' : 'rw', ...(op.soft ? ['optional'] : []), ...missing]
    default:
      return missing
  }
}

/** The layers are not at a place of the container yet. */
const placeOf = (op: Op): string =>
  'at' in op ? op.at : 'layer' in op && op.op !== 'root' ? `(${op.layer})` : '/'

const toLine = (op: Op, origin: string): MountLine => ({
  at: placeOf(op),
  kind: op.op,
  source: sourceOf(op),
  options: optionsOf(op),
  origin,
})

type Parts = { readonly plan: Described; readonly request: LaunchRequest; readonly sources: Sources }

const firstOf = ({ flag }: Sources, ...names: readonly string[]): string | undefined =>
  names.flatMap((name) => flag(name).slice(0, 1))[0]

/** A default mount: a flag that makes it what it is, or the directive. */
const byFlagOrDirective = (sources: Sources, key: string, ...flags: readonly string[]): string =>
  firstOf(sources, ...flags) ?? `${key}, ${sources.directive(key)}`

/** The word of --bind or --mount that a bind was written in. */
function bindOrigin(sources: Sources, text: string): string {
  const find = (name: string, parse: (word: string) => readonly { readonly text: string }[]) => {
    const words = sources.value(name)
    const at = Array.isArray(words)
      ? words.findIndex((word) => parse(word).some((bind) => bind.text === text))
      : -1
    return at < 0 ? undefined : sources.flag(name)[at]
  }
  return find('bind', parseBinds) ?? find('mount', (word) => [parseMount(word)]) ?? '--bind'
}

const deviceFlags = ['nv', 'nvccli', 'rocm', 'intel-hpu', 'device', 'containlibs'] as const
const contained = ['contain', 'containall', 'compat'] as const

const fileDirectives: Readonly<Record<string, readonly [key: string, ...flags: string[]]>> = {
  '/etc/resolv.conf': ['resolv-conf', 'dns'],
  '/etc/passwd': ['passwd'],
  '/etc/group': ['group'],
}

/** The host's own /proc and /sys are there by default; new ones because a flag separates the container. */
function kernelOrigin(sources: Sources, op: Op): string {
  const flags = op.op === 'proc' ? ['pid', ...contained] : op.op === 'sysfs' ? ['net', 'network'] : []
  return byFlagOrDirective(sources, `mount.${placeOf(op).slice(1)}`, ...flags)
}

function mountOrigin(
  { request, sources }: Parts,
  reason: LaunchPlan['mounts'][number]['reason'],
  op: Op,
  index: number,
): string {
  switch (reason) {
    case 'dev':
      return byFlagOrDirective(sources, 'mount.dev', ...contained)
    case 'bind-paths':
      return `bind-paths, ${sources.directive('bind-paths')}`
    case 'kernel':
      return kernelOrigin(sources, op)
    case 'hostfs':
      return `mount.hostfs, ${sources.directive('mount.hostfs')}`
    case 'home':
      return byFlagOrDirective(sources, 'mount.home', 'home', ...contained)
    case 'tmp':
      return byFlagOrDirective(sources, 'mount.tmp', ...contained)
    case 'scratch':
      return sources.flag('scratch')[index] ?? '--scratch'
    case 'files': {
      const [key, ...flags] = fileDirectives[placeOf(op)] ?? []
      return key === undefined
        ? (firstOf(sources, 'hostname') ?? 'runtime')
        : byFlagOrDirective(sources, key, ...flags)
    }
    case 'devices':
      return firstOf(sources, ...deviceFlags) ?? 'devices'
    case 'bind':
      return bindOrigin(sources, request.binds[index]?.text ?? '')
    case 'cwd':
      return 'working directory'
    case 'fuse':
      return firstOf(sources, 'fusemount') ?? '--fusemount'
  }
}

/** What is there before the mounts: the image, and what lies over it. */
function rootOrigin({ sources }: Parts, op: Op): string {
  const layer = 'layer' in op ? op.layer : ''
  if (op.op === 'readonly') return 'the image is read-only'
  if (op.op === 'allow-setuid') return firstOf(sources, 'allow-setuid') ?? 'runtime'
  if (layer.startsWith('data')) return firstOf(sources, 'bind', 'mount') ?? 'image'
  if (op.op === 'memory' || /^upper/.test(layer))
    return firstOf(sources, 'writable-tmpfs', 'overlay', 'compat', 'writable') ?? 'image'
  if (/^lower/.test(layer)) return firstOf(sources, 'overlay') ?? 'image'
  return 'image'
}

function mountLines(parts: Parts): MountLine[] {
  const { plan } = parts
  const grouped = new Map(
    plan.mounts.flatMap(({ reason, ops }) =>
      ops.map((op, index) => [op, mountOrigin(parts, reason, op, index)] as const),
    ),
  )
  return plan.spec.ops.map((op) => toLine(op, grouped.get(op) ?? rootOrigin(parts, op)))
}

const prefixes = ['SINGULARITYENV_', 'APPTAINERENV_', 'SINGENV_'] as const

/** Variables that the user sets, with the origin of the value that counts. */
function assigned({ request, sources }: Parts): ReadonlyMap<string, VariableLine> {
  const found = new Map<string, VariableLine>()
  const add = (name: string, value: string, origin: string) => found.set(name, { name, value, origin })
  for (const prefix of prefixes) {
    for (const [variable, value] of Object.entries(sources.environment))
      if (variable.startsWith(prefix)) add(variable.slice(prefix.length), value, variable)
  }
  for (const [name, value, file] of request.assignments)
    add(name, value, file ? `--env-file ${file}` : '--env')
  const words = sources.value('env')
  const origins = sources.flag('env')
  for (const [index, word] of (Array.isArray(words) ? words : []).entries()) {
    for (const [name, value] of parseAssignments([word])) add(name, value, origins[index] ?? '--env')
  }
  return found
}

/** Changes of search paths travel in no variable of their own. */
const searchPath = /^((PREPEND|APPEND)_(LD_LIBRARY_)?)?PATH$/

function variableLines(parts: Parts, image: DescribedImage): VariableLine[] {
  const { plan, sources } = parts
  const set = assigned(parts)
  const injected = new Set(plan.environment.injected.map(({ name }) => name))
  const host = new Set(plan.environment.host)
  const ofImage = ociVariables(image.oci)
  const originOf = (name: string, value: string): string => {
    if (injected.has(name)) return set.get(name)?.origin ?? firstOf(sources, ...deviceFlags) ?? 'devices'
    if (host.has(name) && sources.environment[name] === value) return 'host'
    return ofImage[name] === value ? 'image (OCI configuration)' : 'runtime'
  }
  const carried = Object.entries(plan.spec.process.environment)
    .filter(([name]) => !name.startsWith('_sing_'))
    .map(([name, value]) => ({ name, value, origin: originOf(name, value) }))
  const paths = [...set.values()].filter(({ name }) => searchPath.test(name))
  return [...carried.filter(({ name }) => !paths.some((path) => path.name === name)), ...paths].sort(
    (one, other) => (one.name < other.name ? -1 : 1),
  )
}

function limitLines({ plan, sources }: Parts): LimitLine[] {
  const { openFiles } = plan.spec
  return [
    ...sources.limits.flatMap((name) => {
      const origins = sources.flag(name)
      return origins.length > 0
        ? [{ name, value: String(sources.value(name)), origin: origins[0] ?? '' }]
        : []
    }),
    ...(openFiles === undefined ? [] : [{ name: 'open-files', value: String(openFiles), origin: 'host' }]),
  ]
}

const octal = (mode: number | undefined): string | null =>
  mode === undefined ? null : mode.toString(8).padStart(4, '0')

/** What a launch will be. The same values give the same description. */
export function describe(
  plan: Described,
  request: LaunchRequest,
  image: DescribedImage,
  sources: Sources,
): Description {
  const parts = { plan, request, sources }
  const {
    spec,
    inside: { identity },
  } = plan
  const { user = identity } = spec.security
  return {
    format: 1,
    image: { path: image.path, kind: image.kind, unpacked: sources.unpacked },
    command: {
      verb: request.verb,
      words: request.command,
      app: request.app,
      directories: spec.process.directories,
    },
    user: { name: identity.name, uid: user.uid, gid: user.gid, ...spec.ids },
    namespaces: spec.namespaces,
    network: request.network.kind,
    hostname: spec.hostname ?? null,
    umask: octal(spec.process.umask),
    init: spec.process.init,
    mounts: mountLines(parts),
    environment: variableLines(parts, image),
    environmentNote,
    limits: limitLines(parts),
    security: {
      noNewPrivileges: spec.security.noNewPrivileges,
      capabilities: spec.security.capabilities,
      filter: spec.security.filter,
      seccomp: spec.security.seccomp !== undefined,
      label: spec.security.label?.text ?? null,
    },
    warnings: plan.warnings,
    notes: plan.notes ?? [],
  }
}
