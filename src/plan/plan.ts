/** The outline of every launch: request, configuration, image and machine in; the launch spec out. */

import type { Config } from '../config/schema.ts'
import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Image, Window } from '../image/open.ts'
import { actionScript } from './action.ts'
import { type DevicePlan, planDevices } from './devices.ts'
import { type Environment, planEnvironment } from './environment.ts'
import { asPayload, type Identity, planIdentity, planNamespaces } from './identity.ts'
import { dataLayers, hasOwnDev, type MountGroup, mountGroups, workdirDirectories } from './mounts.ts'
import { ociProgram } from './oci.ts'
import type { LaunchRequest } from './request.ts'
import type { LaunchSpec, Missing, Namespace, Op } from './spec.ts'

export type LaunchPlan = {
  readonly spec: LaunchSpec
  /** The mounts of the spec by the reason they are there for. */
  readonly mounts: readonly MountGroup[]
  /** Directories of the host to make before the launch. */
  readonly directories: readonly { readonly path: string; readonly mode: number }[]
  /** Sentences for the person: what was asked for and has no effect. */
  readonly warnings: readonly string[]
}

export type PlanOptions = {
  readonly openFiles: number | undefined
  readonly debug: boolean
  /** Somebody waits for the end, to clean up. */
  readonly supervised: boolean
}

type Root = { readonly ops: readonly Op[]; readonly missing: Missing; readonly writable: boolean }

function squashfsLayer(
  layer: string,
  window: Window,
  identity: Identity,
  facts: HostFacts,
): Op & { op: 'squashfs' } {
  const { file, offset, size } = window
  const mount = facts.isRoot && !facts.inUserNamespace ? 'kernel' : 'fuse'
  return { op: 'squashfs', layer, file, offset, size, mount, owner: identity.owner }
}

function imageLayer(image: Image, identity: Identity, facts: HostFacts): Op {
  const { rootfs } = image
  if ('directory' in rootfs) return { op: 'directory', layer: 'image', from: rootfs.directory }
  return squashfsLayer('image', rootfs, identity, facts)
}

/** The image itself, changeable: only a directory can be. */
function writableRoot(image: Image, layer: Op): Root {
  if (image.kind !== 'sandbox') {
    throw new SingError('UNSUPPORTED', `--writable: ${image.path} is a read-only image`, {
      hint: 'Use --writable-tmpfs for changes that vanish, --overlay DIRECTORY for changes that stay, or build --sandbox first',
    })
  }
  return { ops: [layer, { op: 'root', layer: 'image' }], missing: 'fail', writable: true }
}

/** Overlay partitions inside the image that can be read: squashfs ones, topmost first. */
function embeddedLayers(image: Image, identity: Identity, facts: HostFacts): (Op & { op: 'squashfs' })[] {
  return (image.overlays ?? [])
    .filter(({ filesystem }) => filesystem === 'squashfs')
    .map(({ file, offset, size }, index) =>
      squashfsLayer(`embedded${index}`, { file, offset, size }, identity, facts),
    )
    .reverse()
}

function overlayRoot(
  request: LaunchRequest,
  image: Image,
  identity: Identity,
  layer: Op,
  facts: HostFacts,
): Root {
  const embedded = embeddedLayers(image, identity, facts)
  const writer = request.overlays.find(({ readonly }) => !readonly)
  const lower = request.overlays.filter(({ readonly }) => readonly)
  const ops: Op[] = [
    layer,
    ...embedded,
    ...lower.map(
      ({ path }, index): Op => ({ op: 'directory', layer: `lower${index}`, from: `${path}/upper` }),
    ),
    ...(writer ? [{ op: 'directory', layer: 'upper', from: writer.path } as const] : []),
    ...(request.writableTmpfs ? [{ op: 'memory', layer: 'upper', size: 0 } as const] : []),
    {
      op: 'overlay',
      lower: [
        ...lower.map((_, index) => `lower${index}`).reverse(),
        ...embedded.map((op) => op.layer),
        'image',
      ],
      upper: writer || request.writableTmpfs ? 'upper' : undefined,
      userxattr: identity.inUserNamespace,
    },
  ]
  return { ops, missing: 'create', writable: writer !== undefined || request.writableTmpfs }
}

/** Without overlay the image is taken as it is: only places that it has can be mounted on. */
function plainRoot(request: LaunchRequest, layer: Op): Root {
  if (request.overlays.length > 0 || request.writableTmpfs) {
    throw new SingError('UNSUPPORTED', 'overlays in a user namespace need Linux 5.11 or later', {
      hint: 'Build a sandbox directory and use --writable instead',
    })
  }
  return { ops: [layer, { op: 'root', layer: 'image' }], missing: 'skip', writable: false }
}

function planRoot(
  request: LaunchRequest,
  config: Config,
  image: Image,
  identity: Identity,
  facts: HostFacts,
): Root {
  const layer = imageLayer(image, identity, facts)
  if (request.writable) return writableRoot(image, layer)
  const overlay = config.overlay && (!identity.inUserNamespace || facts.overlayInUserNamespace)
  return overlay ? overlayRoot(request, image, identity, layer, facts) : plainRoot(request, layer)
}

function devicePlan(
  request: LaunchRequest,
  config: Config,
  image: Image,
  missing: Missing,
  facts: HostFacts,
): DevicePlan {
  return planDevices(request.devices, facts.devices, {
    missing,
    ownDev: hasOwnDev(request, config),
    imageName: image.name,
    environment: facts.environment,
    groups: [facts.gid, ...facts.groups],
    isRoot: facts.isRoot,
  })
}

function planHome(request: LaunchRequest, identity: Identity): string {
  return request.home.kind === 'custom' ? request.home.target : identity.home
}

function planPrograms(
  request: LaunchRequest,
  image: Image,
  environment: Environment,
  identity: Identity,
): string[][] {
  const script = actionScript(request.verb, environment, {
    evaluate: request.evaluate,
    imageName: image.name,
    uid: identity.uid,
    gid: identity.gid,
  })
  const withShell = (...shell: string[]) => [...shell, '-c', script, 'sing', ...request.command]
  // An image without any shell still has its command, or a runscript that is a program.
  const direct: Record<LaunchRequest['verb'], string[][]> = {
    exec: [[...request.command]],
    run: [ociProgram(image.oci, request.command) ?? ['/.singularity.d/runscript', ...request.command]],
    test: [['/.singularity.d/test', ...request.command]],
    shell: request.shell ? [[request.shell, ...request.command]] : [],
  }
  return [
    // -p: what BASH_ENV of the host names belongs to scripts of the host.
    ...(image.bashEnvironment ? [withShell('/bin/bash', '-p')] : []),
    withShell('/bin/sh'),
    ...direct[request.verb],
  ]
}

const optionalMounts = new Set(['proc', 'sys', 'dev', 'devpts', 'home', 'tmp', 'hostfs', 'cwd', 'bind-paths'])

/** What was asked for, or is in the image, and has no effect. */
function withoutEffect({ noMount }: LaunchRequest, image: Image): string[] {
  const unknown = [...noMount].filter((name) => !name.startsWith('/') && !optionalMounts.has(name))
  return [
    ...unknown.map((name) => `--no-mount ${name} has no effect: nothing of that name is mounted`),
    ...(image.overlays?.some(({ filesystem }) => filesystem === 'ext3')
      ? [`${image.path} has an ext3 overlay, which cannot be used yet: its changes are missing`]
      : []),
  ]
}

function workingDirectories(request: LaunchRequest, facts: HostFacts, home: string): string[] {
  if (request.cwd !== undefined) return [request.cwd]
  return [...(request.contain || facts.cwd === undefined ? [] : [facts.cwd]), home, '/']
}

/**
 * Decide a launch. A function of its arguments: the same values give the same spec.
 * @throws SingError whatever can be known to fail before the first system call
 */
export function plan(
  request: LaunchRequest,
  config: Config,
  image: Image,
  facts: HostFacts,
  options: PlanOptions,
): LaunchPlan {
  const identity = asPayload(planIdentity(request, facts), request.security?.payload)
  const home = planHome(request, identity)
  const root = planRoot(request, config, image, identity, facts)
  const devices = devicePlan(request, config, image, root.missing, facts)
  const environment = planEnvironment(request, image, facts.environment, identity, home, devices)
  const directories = workingDirectories(request, facts, home)
  const context = {
    request,
    config,
    facts,
    identity,
    home,
    missing: root.missing,
    memorySize: config.sessionSize,
    devices: devices.ops,
  }
  const mounts = mountGroups(context)
  const wanted: Namespace[] = (['pid', 'ipc', 'uts', 'net'] as const).filter((name) => request[name])
  return {
    spec: {
      namespaces: planNamespaces(identity, wanted),
      ids: identity.ids,
      root: 'new',
      ops: [
        ...dataLayers(request).map(({ layer, window }) => squashfsLayer(layer, window, identity, facts)),
        ...root.ops,
        ...(request.security?.allowSetuid ? [{ op: 'allow-setuid', at: '/' } as const] : []),
        ...mounts.flatMap(({ ops }) => ops),
        ...(root.writable ? [] : [{ op: 'readonly', at: '/' } as const]),
      ],
      hostname: request.hostname,
      process: {
        programs: planPrograms(request, image, environment, identity),
        directories,
        directoryRequired: request.cwd !== undefined,
        environment: { ...environment.variables, PWD: directories[0] ?? '/' },
        umask: request.umask,
        init: request.init,
        dieWithParent: options.supervised,
      },
      openFiles: options.openFiles,
      security: {
        noNewPrivileges: identity.noNewPrivileges,
        capabilities: identity.capabilities,
        filter: identity.filter,
        ...request.security?.powers,
      },
      debug: options.debug,
    },
    mounts,
    directories: workdirDirectories(request),
    warnings: [
      ...(request.security?.warnings ?? []),
      ...environment.warnings,
      ...devices.warnings,
      ...withoutEffect(request, image),
    ],
  }
}
