/** What the user wants of a launch, with every default and implication resolved. */

import { posix } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import { parseSize } from '../core/units.ts'
import type { HostFacts } from '../host/facts.ts'
import type { OverlayLayer } from '../image/overlay.ts'
import type { ImageUser } from '../image/user.ts'
import { type Bind, isRoot, parseBinds, parseData, parseMount, sortBinds } from './binds.ts'
import type { DeviceRequest } from './devices.ts'
import type { FuseMount } from './fusemount.ts'
import { type NetworkRequest, parseNetwork } from './network.ts'
import type { SecurityRequest } from './security.ts'

export type Verb = 'exec' | 'run' | 'shell' | 'test' | 'start'

export type Home =
  | { readonly kind: 'default' }
  | { readonly kind: 'none' }
  | { readonly kind: 'custom'; readonly source: string; readonly target: string }

export type LaunchRequest = {
  readonly verb: Verb
  /** The command of exec, the arguments of run, shell and test. */
  readonly command: readonly string[]
  readonly fakeroot: boolean
  readonly ignoreSubids: boolean
  readonly userns: boolean
  readonly ignoreUserns: boolean
  /** Absent: what the identity gives. */
  readonly security?: SecurityRequest
  /** File systems that programs serve through FUSE. */
  readonly fuseMounts?: readonly FuseMount[]
  readonly binds: readonly Bind[]
  readonly home: Home
  readonly contain: boolean
  readonly workdir: string | undefined
  readonly scratch: readonly string[]
  /** Names of --no-mount. */
  readonly noMount: ReadonlySet<string>
  readonly writable: boolean
  readonly writableTmpfs: boolean
  /** Bytes that changes in memory may take; undefined: what the configuration says. */
  readonly writableTmpfsSize: number | undefined
  /** Make mount points by binds instead of an overlay. */
  readonly underlay: boolean
  /** What lies over the image, lowest first; the layers once they were looked up. */
  readonly overlays: readonly {
    readonly path: string
    readonly readonly: boolean
    readonly layers?: readonly OverlayLayer[]
  }[]
  readonly pid: boolean
  readonly init: boolean
  readonly ipc: boolean
  readonly uts: boolean
  /** Its network is not the host's. */
  readonly net: boolean
  readonly network: NetworkRequest
  readonly hostname: string | undefined
  readonly umask: number | undefined
  readonly dns: readonly string[]
  readonly cwd: string | undefined
  /** Where the image wants to be started, and as whom, when both are asked for. */
  readonly workingDirectory?: string | undefined
  readonly imageUser?: ImageUser | undefined
  readonly app: string
  readonly shell: string | undefined
  /** Name of the instance that the container is, or is part of. */
  readonly instance: string | undefined
  /** The container is started as an instance, which nobody waits for. */
  readonly kept: boolean
  /** The image's own /sbin/init is process 1. */
  readonly boot: boolean
  /** Use one container with other processes: of the same parent, or (undefined) with those of the same job, or not at all. */
  readonly share: boolean | undefined
  readonly cleanEnvironment: boolean
  readonly evaluate: boolean
  /** Host variables that stay outside. */
  readonly withheld: ReadonlySet<string>
  /** Values set by flags and files, weakest first; those of files with their names. */
  readonly assignments: readonly (readonly [name: string, value: string, file?: string])[]
  readonly devices: DeviceRequest
}

type Flags = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>

const list = (value: Flags[string]): readonly string[] =>
  Array.isArray(value) ? value : value === undefined ? [] : [String(value)]
const text = (value: Flags[string]): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined
const commas = (value: Flags[string]): string[] =>
  list(value)
    .flatMap((entry) => entry.split(','))
    .map((entry) => entry.trim())
    .filter(Boolean)

/** `NAME=value` words of --env; a comma separates them where another `NAME=` follows. */
export function parseAssignments(words: readonly string[]): [string, string][] {
  return words.flatMap((word) =>
    word.split(/,(?=[A-Za-z_][A-Za-z0-9_]*=)/).map((assignment): [string, string] => {
      const at = assignment.indexOf('=')
      if (at < 1) {
        throw new SingError('ENVIRONMENT', `--env ${word}: "${assignment}" has no value`, {
          hint: 'Write --env NAME=VALUE',
        })
      }
      return [assignment.slice(0, at), assignment.slice(at + 1)]
    }),
  )
}

function parseHome(flags: Flags, facts: HostFacts): Home {
  if (flags['no-home'] === true) return { kind: 'none' }
  const word = text(flags.home)
  if (word === undefined) return { kind: 'default' }
  const [source = '', target = '', ...more] = word.split(':')
  if (!source || more.length > 0)
    throw new SingError('USAGE', `--home ${word}: expected SOURCE or SOURCE:DESTINATION`, { status: 255 })
  const from = posix.resolve(facts.cwd ?? '/', source)
  const at = target || from
  if (!at.startsWith('/')) throw new SingError('BIND', `--home ${word}: the destination is not absolute`)
  return at === '/' ? { kind: 'none' } : { kind: 'custom', source: from, target: at }
}

function parseOverlays(flags: Flags, facts: HostFacts): LaunchRequest['overlays'] {
  return commas(flags.overlay).map((word) => ({
    path: posix.resolve(facts.cwd ?? '/', word.replace(/:(ro|rw)$/, '')),
    readonly: word.endsWith(':ro'),
  }))
}

function requireAbsolute(flag: string, paths: readonly string[]): readonly string[] {
  for (const path of paths) {
    if (!path.startsWith('/')) throw new SingError('BIND', `--${flag} ${path}: the path is not absolute`)
    if (isRoot(path))
      throw new SingError('BIND', `--${flag} ${path}: the root of the container cannot be replaced`)
  }
  return paths
}

/** As sethostname(2) and the names of RFC 1123 allow. */
function parseHostname(flags: Flags): string | undefined {
  const name = text(flags.hostname)
  if (name === undefined || /^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/.test(name)) return name
  throw new SingError('USAGE', `--hostname ${name}: not a host name`, {
    hint: 'Letters, digits, dots and hyphens, at most 64 of them',
    status: 255,
  })
}

function parseDevices(flags: Flags, facts: HostFacts): DeviceRequest {
  const at = (path: string) => posix.resolve(facts.cwd ?? '/', path)
  return {
    vendors: (['nv', 'rocm'] as const).filter((name) => flags[name] === true && flags[`no-${name}`] !== true),
    hpu: flags['intel-hpu'] === true,
    libraries: commas(flags.containlibs).map(at),
    names: commas(flags.device),
    cdiDirectories: commas(flags['cdi-dirs']).map(at),
  }
}

const isAddress = (word: string): boolean =>
  /^(\d{1,3}\.){3}\d{1,3}$/.test(word) || /^[0-9a-f:]*:[0-9a-f:.]*(%\w+)?$/i.test(word)

function parseServers(flags: Flags): string[] {
  const servers = commas(flags.dns)
  const stranger = servers.find((server) => !isAddress(server))
  if (stranger === undefined) return servers
  throw new SingError('NETWORK', `--dns ${shown(stranger)}: not the address of a name server`, {
    hint: 'Write addresses, as in --dns 192.0.2.53,2001:db8::53',
  })
}

/** Relative sources belong to the directory of the caller. */
function allBinds(flags: Flags, facts: HostFacts): Bind[] {
  const words = [
    ...list(flags.bind).flatMap(parseBinds),
    ...list(flags.mount).map(parseMount),
    ...list(flags.data).map(parseData),
  ]
  return sortBinds(words.map((bind) => ({ ...bind, source: posix.resolve(facts.cwd ?? '/', bind.source) })))
}

/** --oci is --compat, unless --no-compat leaves that out; --no-oci takes it back. */
const isCompatible = (flags: Flags): boolean =>
  flags.compat === true || (flags.oci === true && flags['no-oci'] !== true && flags['no-compat'] !== true)

/** Changes of a container that --oci alone makes changeable go to where the user wants them, if anywhere. */
const keepsChanges = ({ compat, writable, overlay }: Flags): boolean =>
  compat !== true && (writable === true || commas(overlay).some((word) => !word.endsWith(':ro')))

/** On, off, or on with a size. */
function parseWritableTmpfs(
  flags: Flags,
  compat: boolean,
): Pick<LaunchRequest, 'writableTmpfs' | 'writableTmpfsSize'> {
  const { 'writable-tmpfs': asked } = flags
  if (typeof asked !== 'string')
    return {
      writableTmpfs: asked === true || (compat && !keepsChanges(flags)),
      writableTmpfsSize: undefined,
    }
  return { writableTmpfs: true, writableTmpfsSize: parseSize(asked) }
}

function checkConflicts(request: LaunchRequest): LaunchRequest {
  const refuse = (sentence: string) => {
    throw new SingError('USAGE', sentence, { status: 255 })
  }
  if (request.writable && request.overlays.length > 0) refuse('--writable and --overlay exclude each other')
  if (request.writable && request.writableTmpfs) refuse('--writable and --writable-tmpfs exclude each other')
  return request
}

/** Programs that serve a file system from inside must end with the container. */
const servesInside = (flags: Flags): boolean =>
  list(flags.fusemount).some((word) => word.startsWith('container'))

/**
 * Resolve the flags of a launch. `fileAssignments` are the values of --env-file, in the order of the files.
 * @throws SingError for words that mean nothing
 */
export function toRequest(
  verb: Verb,
  flags: Flags,
  command: readonly string[],
  facts: HostFacts,
  fileAssignments: LaunchRequest['assignments'],
): LaunchRequest {
  const compat = isCompatible(flags)
  const containAll = flags.containall === true || compat
  const pid = ((flags.pid === true || containAll) && flags['no-pid'] !== true) || servesInside(flags)
  const network = parseNetwork(flags, facts)
  const hostname = parseHostname(flags)
  const workdir = text(flags.workdir)
  return checkConflicts({
    verb,
    command,
    fakeroot: flags.fakeroot === true,
    ignoreSubids: flags['ignore-subuid'] === true,
    userns: flags.userns === true,
    ignoreUserns: flags['ignore-userns'] === true,
    binds: allBinds(flags, facts),
    home: parseHome(flags, facts),
    contain: flags.contain === true || containAll,
    workdir: workdir === undefined ? undefined : posix.resolve(facts.cwd ?? '/', workdir),
    scratch: requireAbsolute('scratch', commas(flags.scratch)),
    noMount: new Set(commas(flags['no-mount'])),
    writable: flags.writable === true,
    ...parseWritableTmpfs(flags, compat),
    underlay: flags.underlay === true,
    overlays: parseOverlays(flags, facts),
    pid,
    init: pid && flags['no-init'] !== true && !compat,
    ipc: flags.ipc === true || containAll,
    uts: flags.uts === true || hostname !== undefined,
    net: network.kind !== 'host',
    network,
    hostname,
    umask: flags['no-umask'] === true || compat ? 0o022 : undefined,
    dns: parseServers(flags),
    cwd: text(flags.cwd),
    app: text(flags.app) ?? '',
    shell: text(flags.shell),
    instance: undefined,
    kept: false,
    boot: flags.boot === true,
    share: typeof flags.sharens === 'boolean' ? flags.sharens : undefined,
    cleanEnvironment: flags.cleanenv === true || containAll,
    evaluate: flags['no-eval'] !== true && !compat,
    withheld: new Set(commas(flags['no-env'])),
    assignments: [...fileAssignments, ...parseAssignments(list(flags.env))],
    devices: parseDevices(flags, facts),
  })
}

/** The same as an instance: it always has processes of its own, below an init that outlives its command. */
export function asInstance(request: LaunchRequest, name: string): LaunchRequest {
  return { ...request, instance: name, kept: true, pid: true, init: !request.boot }
}
