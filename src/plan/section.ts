/** Launches that a build needs: a script inside a root file system that is being made, or a program of the host. */

import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import { parseBinds, parseMount, sortBinds } from './binds.ts'
import { type BindOptions, bindOp, type LaunchSpec, type Missing, type Op } from './spec.ts'

export type SectionRequest = {
  /** The root file system, a directory of the host. */
  readonly root: string
  /** The command line inside. */
  readonly program: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly writable: boolean
  /** Changes go to memory and vanish. */
  readonly memoryUpper: boolean
  /** Values of --bind and --mount. */
  readonly binds: readonly string[]
  readonly mounts: readonly string[]
  /** What brings in drivers of the host. */
  readonly devices: readonly Op[]
  readonly umask: number | undefined
  /** Where it begins; absent: at the root. */
  readonly directory?: string
  /** Who runs it; absent: root. */
  readonly user?: LaunchSpec['security']['user']
  /** More mounts. */
  readonly operations?: readonly Op[]
  /** Nobody can be reached. */
  readonly withoutNetwork?: boolean
}

const common = { hostname: undefined, openFiles: undefined } as const

function requireRoot(facts: HostFacts): void {
  if (facts.isRoot) return
  throw new SingError('FAKEROOT', 'sections of a definition need root or --fakeroot')
}

const bind = (from: string, at: string, missing: Missing, options: BindOptions = {}): Op =>
  bindOp(from, at, { missing, ...options })

function rootOps(request: SectionRequest, facts: HostFacts): Op[] {
  const layer: Op = { op: 'directory', layer: 'image', from: request.root }
  if (!request.memoryUpper) return [layer, { op: 'root', layer: 'image' }]
  return [
    layer,
    { op: 'memory', layer: 'upper', size: 0 },
    { op: 'overlay', lower: ['image'], upper: 'upper', userxattr: facts.inUserNamespace },
  ]
}

function userBinds(request: SectionRequest, cwd: string): Op[] {
  const binds = [...request.binds.flatMap(parseBinds), ...request.mounts.map(parseMount)]
  return sortBinds(binds).map(({ source, destination, readonly, optional }) =>
    bind(source.startsWith('/') ? source : `${cwd}/${source}`, destination, 'fail', {
      readonly,
      soft: optional,
    }),
  )
}

/**
 * A script inside a root file system: %post, %appinstall, %test. A pid namespace of its own ends whatever the script leaves
 * running, so that nothing holds the tree when it is packed.
 */
export function planSection(request: SectionRequest, facts: HostFacts, debug: boolean): LaunchSpec {
  requireRoot(facts)
  const ops: Op[] = [
    ...rootOps(request, facts),
    bind('/dev', '/dev', 'fail', { trusted: true }),
    { op: 'proc', at: '/proc', missing: 'fail' },
    bind('/sys', '/sys', 'fail', { trusted: true }),
    bind('/etc/hosts', '/etc/hosts', 'skip', { soft: true }),
    bind('/etc/resolv.conf', '/etc/resolv.conf', 'skip', { soft: true }),
    ...request.devices,
    ...(request.operations ?? []),
    ...userBinds(request, facts.cwd ?? '/'),
    ...(request.writable || request.memoryUpper ? [] : [{ op: 'readonly', at: '/' } as const]),
  ]
  return {
    ...common,
    namespaces: request.withoutNetwork ? ['mount', 'pid', 'net'] : ['mount', 'pid'],
    ids: { uids: [], gids: [], setgroups: 'allow' },
    root: 'new',
    ops,
    process: {
      programs: [request.program],
      directories: [request.directory ?? '/'],
      directoryRequired: true,
      environment: request.environment,
      umask: request.umask,
      init: true,
      dieWithParent: true,
    },
    security: {
      noNewPrivileges: facts.inUserNamespace,
      capabilities: 'all',
      filter: 'none',
      ...(request.user && { user: request.user }),
    },
    debug,
  }
}

export type HostProgramRequest = {
  readonly program: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly cwd: string
  /** A tree whose dev/ gets the device nodes of the host: nobody may make nodes in a user namespace. */
  readonly devices: string | undefined
  /** A tree whose proc/ shows the processes of the program. */
  readonly proc?: string | undefined
  /** Directories of the host that appear in another place for as long as the program runs. */
  readonly lent?: readonly { readonly from: string; readonly at: string }[]
  /** Absent: that of this process. */
  readonly umask?: number
}

const deviceNames = ['null', 'zero', 'full', 'random', 'urandom', 'tty']

/** What a tree gets that a program of the host fills. */
function treeOps({ devices, proc, lent = [] }: HostProgramRequest): Op[] {
  const nodes = devices === undefined ? [] : deviceNames
  return [
    ...nodes.map((name) => bind(`/dev/${name}`, `${devices}/dev/${name}`, 'create', { trusted: true })),
    ...(proc === undefined ? [] : [{ op: 'proc', at: `${proc}/proc`, missing: 'create' } as const]),
    ...lent.map(({ from, at }) => bind(from, at, 'create')),
  ]
}

/** A program of the host on the host's tree, with an own /proc and device nodes bound into a tree that it fills. */
export function planHostProgram(request: HostProgramRequest, facts: HostFacts, debug: boolean): LaunchSpec {
  requireRoot(facts)
  return {
    ...common,
    namespaces: ['mount', 'pid'],
    ids: { uids: [], gids: [], setgroups: 'allow' },
    root: 'host',
    ops: [{ op: 'proc', at: '/proc', missing: 'fail' }, ...treeOps(request)],
    process: {
      programs: [request.program],
      directories: [request.cwd, '/'],
      directoryRequired: false,
      environment: request.environment,
      umask: request.umask,
      init: true,
      dieWithParent: true,
    },
    security: { noNewPrivileges: facts.inUserNamespace, capabilities: 'all', filter: 'none' },
    debug,
  }
}

/** The namespaces of a command's second life, and who it is there. */
export type ReentryIdentity = Pick<LaunchSpec, 'namespaces' | 'ids'> & {
  readonly filter: LaunchSpec['security']['filter']
}

/** The engine itself once more, with a mount namespace of its own, and as root of a user namespace unless it is root. */
export function planReentry(
  program: readonly string[],
  environment: Readonly<Record<string, string>>,
  identity: ReentryIdentity,
  facts: HostFacts,
  openFiles: number | undefined,
  debug: boolean,
): LaunchSpec {
  return {
    namespaces: identity.namespaces,
    ids: identity.ids,
    root: 'host',
    ops: [],
    hostname: undefined,
    process: {
      programs: [program],
      directories: [facts.cwd ?? '/', '/'],
      directoryRequired: false,
      environment,
      umask: undefined,
      init: false,
      dieWithParent: false,
    },
    openFiles,
    security: {
      noNewPrivileges: facts.inUserNamespace || identity.namespaces.includes('user'),
      capabilities: 'all',
      filter: identity.filter,
    },
    debug,
  }
}
