/** Which places of the host appear in the container, and where. */

import { posix } from 'node:path'
import type { Config } from '../config/schema.ts'
import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Window } from '../image/open.ts'
import type { Bind } from './binds.ts'
import { groupRecords, type Identity, passwdRecords } from './identity.ts'
import type { LaunchRequest } from './request.ts'
import { bindOp, type Missing, type Op } from './spec.ts'

export type MountContext = {
  readonly request: LaunchRequest
  readonly config: Config
  readonly facts: HostFacts
  readonly identity: Identity
  /** Home directory inside. */
  readonly home: string
  /** What default mounts do in an image that lacks their place: an image that cannot be changed cannot get one. */
  readonly missing: Missing
  /** Changes of the root are there the next time. */
  readonly keepsChanges: boolean
  /** Size limit of memory-backed directories in bytes; 0 is the kernel's default (half of the memory). */
  readonly memorySize: number
  /** What devices need: above the places of the host, below those of the user. */
  readonly devices: readonly Op[]
}

/** Who asks for a place is told when it cannot be had. */
const orFail = (missing: Missing): Missing => (missing === 'skip' ? 'fail' : missing)

const wanted = (
  { request, config }: MountContext,
  name: 'proc' | 'sys' | 'dev' | 'tmp' | 'home' | 'devpts',
): boolean => !request.noMount.has(name) && config.mount[name] !== 'no'

const minimalDevices = ['null', 'zero', 'random', 'urandom', 'tty', 'full']

function minimalDev(context: MountContext): Op[] {
  const at = '/dev'
  return [
    // Without the tmpfs all that follows would be made in the image.
    { op: 'tmpfs', at, missing: orFail(context.missing), size: 0, mode: 0o755 },
    ...minimalDevices.map((name) =>
      bindOp(`/dev/${name}`, `${at}/${name}`, { trusted: true, recursive: false }),
    ),
    { op: 'mkdir', at: `${at}/shm`, mode: 0o1777 },
    { op: 'tmpfs', at: `${at}/shm`, missing: 'create', size: context.memorySize, mode: 0o1777 },
    ...(wanted(context, 'devpts')
      ? ([
          { op: 'devpts', at: `${at}/pts`, missing: 'create' },
          { op: 'symlink', at: `${at}/ptmx`, to: 'pts/ptmx' },
        ] as const)
      : []),
    { op: 'symlink', at: `${at}/fd`, to: '/proc/self/fd' },
    { op: 'symlink', at: `${at}/stdin`, to: '/proc/self/fd/0' },
    { op: 'symlink', at: `${at}/stdout`, to: '/proc/self/fd/1' },
    { op: 'symlink', at: `${at}/stderr`, to: '/proc/self/fd/2' },
    ...(context.request.ipc ? ([{ op: 'mqueue', at: `${at}/mqueue`, missing: 'create' }] as const) : []),
  ]
}

const isMinimal = (request: LaunchRequest, config: Config): boolean =>
  request.contain || config.mount.dev === 'minimal'

/** Whether /dev is another one than the host's: then devices come in one by one. */
export function hasOwnDev(request: LaunchRequest, config: Config): boolean {
  return isMinimal(request, config) || request.noMount.has('dev') || config.mount.dev === 'no'
}

function devOps(context: MountContext): Op[] {
  if (!wanted(context, 'dev')) return []
  if (isMinimal(context.request, context.config)) return minimalDev(context)
  return [
    bindOp('/dev', '/dev', { missing: context.missing, trusted: true }),
    ...(context.request.ipc ? ([{ op: 'mqueue', at: '/dev/mqueue', missing: 'skip' }] as const) : []),
  ]
}

function kernelOps(context: MountContext): Op[] {
  const { request, missing } = context
  const proc: Op = request.pid
    ? { op: 'proc', at: '/proc', missing }
    : bindOp('/proc', '/proc', { missing, trusted: true })
  // A fresh sysfs shows the devices of an own network; without one the kernel refuses it.
  const sys: Op = request.net
    ? { op: 'sysfs', at: '/sys', missing }
    : bindOp('/sys', '/sys', { missing, trusted: true })
  return [...(wanted(context, 'proc') ? [proc] : []), ...(wanted(context, 'sys') ? [sys] : [])]
}

function configuredBinds(context: MountContext): Op[] {
  const { request, config, missing } = context
  if (request.noMount.has('bind-paths')) return []
  return config.bindPaths
    .map((spec) => spec.split(':'))
    .filter(([source, target]) => source && !request.noMount.has(target ?? source))
    .map(([source = '', target]) => bindOp(source, target ?? source, { missing, soft: true }))
}

/** Places that belong to the image, or that have mounts of their own. */
const ofImage = [
  'bin',
  'boot',
  'dev',
  'etc',
  'lib',
  'lib32',
  'lib64',
  'proc',
  'root',
  'run',
  'sbin',
  'sys',
  'tmp',
  'usr',
  'var',
]

/** What is mounted on the host, at its own places. Each bind brings what is mounted below it along. */
function hostFileSystems({ request, facts, missing }: MountContext): Op[] {
  if (request.noMount.has('hostfs')) return []
  const places = (facts.fileSystems ?? []).filter(
    (place) => place !== '/' && !ofImage.includes(place.split('/')[1] ?? ''),
  )
  return places
    .filter((place) => !places.some((other) => other !== place && isBelow(place, other)))
    .map((place) => bindOp(place, place, { missing, soft: true }))
}

/** The source of the home directory, or undefined when none is mounted. */
export function homeSource({ request, facts, identity }: MountContext): string | undefined {
  const { home } = request
  switch (home.kind) {
    case 'none':
      return undefined
    case 'custom':
      return home.source
    case 'default':
      return identity.namespace || identity.uid !== 0 ? facts.user.home : identity.home
  }
}

function homeOps(context: MountContext): Op[] {
  const { request, home } = context
  // A root that may be changed gets the one directory that no image can know the name of.
  const missing = context.missing === 'fail' ? 'create' : context.missing
  const source = homeSource(context)
  if (source === undefined || !wanted(context, 'home') || home === '/') return []
  // The home directory of a user of the image is a part of the image.
  if (request.contain && request.imageUser && request.home.kind === 'default') return []
  if (request.contain && request.home.kind === 'default') {
    if (request.workdir) return [bindOp(`${request.workdir}/home`, home, { missing })]
    return [{ op: 'tmpfs', at: home, missing, size: context.memorySize, mode: 0o755 }]
  }
  if (request.home.kind === 'custom') return [bindOp(source, home, { missing: orFail(missing) })]
  return [bindOp(source, home, { missing, soft: true })]
}

function temporaryOps(context: MountContext): Op[] {
  const { request, missing, memorySize } = context
  if (!wanted(context, 'tmp')) return []
  // /var/tmp first: in an image where it is a link to /tmp, the real /tmp must end on top.
  const places = [
    { at: '/var/tmp', kept: 'var_tmp' },
    { at: '/tmp', kept: 'tmp' },
  ]
  return places.map(({ at, kept }): Op => {
    if (!request.contain) return bindOp(at, at, { missing, soft: true })
    if (request.workdir) return bindOp(`${request.workdir}/${kept}`, at, { missing })
    return { op: 'tmpfs', at, missing, size: memorySize, mode: 0o1777 }
  })
}

function scratchOps({ request, missing, memorySize }: MountContext): Op[] {
  return request.scratch.map(
    (at): Op =>
      request.workdir
        ? bindOp(`${request.workdir}/scratch${at}`, at, { missing: orFail(missing) })
        : { op: 'tmpfs', at, missing: orFail(missing), size: memorySize, mode: 0o1777 },
  )
}

/** What the user says, what who sets up the network says, or what the host has. */
function resolverOp({ dns, network }: LaunchRequest, missing: Missing): Op {
  const at = '/etc/resolv.conf'
  if (dns.length > 0) {
    const text = dns.map((server) => `nameserver ${server}\n`).join('')
    return { op: 'file', at, missing, mode: 0o644, text }
  }
  if (network.kind === 'helper' || network.kind === 'plugins')
    return { op: 'answer', at, missing, mode: 0o644 }
  return bindOp(at, at, { missing, soft: true })
}

function generatedFiles(context: MountContext): Op[] {
  const { request, config, identity, facts, home } = context
  const missing = context.missing === 'fail' ? 'skip' : context.missing
  // Root of a writable root may want to add users: the image's own files stay.
  const accounts = !(identity.uid === 0 && context.keepsChanges)
  const resolver = resolverOp(request, missing)
  return [
    ...(config.resolvConf && !request.noMount.has('/etc/resolv.conf') ? [resolver] : []),
    ...(config.passwd && accounts
      ? ([
          { op: 'records', at: '/etc/passwd', missing, lines: passwdRecords(identity, facts, home) },
        ] as const)
      : []),
    ...(config.group && accounts
      ? ([{ op: 'records', at: '/etc/group', missing, lines: groupRecords(facts) }] as const)
      : []),
    ...(request.hostname
      ? ([{ op: 'file', at: '/etc/hostname', missing, mode: 0o644, text: `${request.hostname}\n` }] as const)
      : []),
  ]
}

/** The layers that image files need which are bound from, in the order of the binds. */
export function dataLayers(request: LaunchRequest): { bind: Bind; layer: string; window: Window }[] {
  return request.binds.flatMap((bind, index) =>
    bind.window ? [{ bind, layer: `data${index}`, window: bind.window }] : [],
  )
}

function userBinds({ request, config, missing }: MountContext): Op[] {
  if (!config.userBinds) return []
  const layers = dataLayers(request)
  return request.binds.map((wanted: Bind): Op => {
    const { source, destination: at, readonly, imageSource: path = '/' } = wanted
    const data = layers.find((layer) => layer.bind === wanted)
    return data
      ? {
          op: 'layer-bind',
          layer: data.layer,
          path,
          at,
          missing: orFail(missing),
          readonly: readonly || data.window.filesystem !== 'ext3',
        }
      : bindOp(source, at, { missing: orFail(missing), readonly })
  })
}

const systemDirectories = new Set([
  '/',
  '/etc',
  '/bin',
  '/mnt',
  '/usr',
  '/var',
  '/opt',
  '/sbin',
  '/lib',
  '/lib64',
])
const isBelow = (path: string, parent: string): boolean =>
  path === parent || path.startsWith(parent === '/' ? '/' : `${parent}/`)

/** The caller's directory at its own place, unless it is there already or something else was asked for there. */
function workingDirectory(context: MountContext, before: readonly Op[]): Op[] {
  const { request, config, facts } = context
  const { cwd } = facts
  if (cwd === undefined || request.contain || request.noMount.has('cwd') || !config.userBinds) return []
  if (systemDirectories.has(cwd) || ['/proc', '/sys', '/dev'].some((parent) => isBelow(cwd, parent)))
    return []
  const covering = before.findLast(
    (op) => 'at' in op && (op.op === 'bind' || op.op === 'tmpfs') && isBelow(cwd, op.at),
  )
  if (covering === undefined)
    return [bindOp(cwd, cwd, { missing: context.missing === 'fail' ? 'skip' : context.missing, soft: true })]
  return []
}

/** Last, so that nothing is looked for in file systems that are not served yet. */
function fuseOps({ request, config, missing }: MountContext): Op[] {
  const { fuseMounts = [] } = request
  if (fuseMounts.length > 0 && !config.fusemount) {
    throw new SingError(
      'UNSUPPORTED',
      "--fusemount cannot be used: the site's configuration does not allow it",
      {
        hint: 'Ask the administrator for: enable fusemount = yes',
      },
    )
  }
  return fuseMounts.map((mount) => ({ op: 'fuse', missing: orFail(missing), ...mount }))
}

/** A home below /tmp must not be covered by it. */
function homeAndTemporary(context: MountContext): MountGroup[] {
  const home: MountGroup = { reason: 'home', ops: homeOps(context) }
  const temporary: MountGroup = { reason: 'tmp', ops: temporaryOps(context) }
  const below = ['/tmp', '/var/tmp'].some((place) => isBelow(context.home, place))
  return below ? [temporary, home] : [home, temporary]
}

/** Mounts that are there for one reason; `docs/plan.md` names the reasons. */
export type MountGroup = {
  readonly reason:
    | 'dev'
    | 'bind-paths'
    | 'kernel'
    | 'hostfs'
    | 'home'
    | 'tmp'
    | 'scratch'
    | 'files'
    | 'devices'
    | 'bind'
    | 'cwd'
    | 'fuse'
  readonly ops: readonly Op[]
}

/** All mounts of a launch in order, after the root and before it becomes read-only. */
export function mountGroups(context: MountContext): MountGroup[] {
  const { config } = context
  const before: MountGroup[] = [
    { reason: 'dev', ops: devOps(context) },
    { reason: 'bind-paths', ops: configuredBinds(context) },
    { reason: 'kernel', ops: kernelOps(context) },
    ...(config.mount.hostfs === 'yes' ? [{ reason: 'hostfs', ops: hostFileSystems(context) } as const] : []),
    ...homeAndTemporary(context),
    { reason: 'scratch', ops: scratchOps(context) },
    { reason: 'files', ops: generatedFiles(context) },
    ...(context.devices.length > 0 ? [{ reason: 'devices', ops: context.devices } as const] : []),
    { reason: 'bind', ops: userBinds(context) },
  ]
  const mounted = before.flatMap(({ ops }) => ops)
  return [
    ...before,
    { reason: 'cwd', ops: workingDirectory(context, mounted) },
    { reason: 'fuse', ops: fuseOps(context) },
  ]
}

/** Directories of the host that must exist before the launch: those of --workdir. */
export function workdirDirectories({
  workdir,
  contain,
  scratch,
}: LaunchRequest): { path: string; mode: number }[] {
  if (!workdir) return []
  return [
    ...(contain
      ? [
          { path: `${workdir}/tmp`, mode: 0o1777 },
          { path: `${workdir}/var_tmp`, mode: 0o1777 },
          { path: `${workdir}/home`, mode: 0o755 },
        ]
      : []),
    ...scratch.map((at) => ({ path: posix.join(workdir, 'scratch', at), mode: 0o755 })),
  ]
}
