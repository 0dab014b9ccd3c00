/** The outline of every launch: request, configuration, image and machine in; the launch spec out. */

import type { Config } from '../config/schema.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Image } from '../image/open.ts'
import { actionScript } from './action.ts'
import type { CgroupPlan } from './cgroup.ts'
import { type DeviceEnvironment, type DevicePlan, environmentOf, planDevices } from './devices.ts'
import { type Environment, planEnvironment } from './environment.ts'
import { asPayload, type Identity, planIdentity, planNamespaces } from './identity.ts'
import { volumeLayer } from './layers.ts'
import { dataLayers, hasOwnDev, type MountGroup, mountGroups, workdirDirectories } from './mounts.ts'
import type { NetworkPlan } from './network.ts'
import { isConfigured, ociProgram } from './oci.ts'
import { requirePermitted, withinPolicy } from './policy.ts'
import type { LaunchRequest } from './request.ts'
import { planRoot } from './root.ts'
import type { LaunchSpec, Missing, Namespace, Op, Sync } from './spec.ts'

/** Who the payload is, its home directory, and what devices have brought in. */
export type Inside = {
  readonly identity: Identity
  readonly home: string
  readonly devices: DeviceEnvironment
}

export type LaunchPlan = {
  readonly spec: LaunchSpec
  /** What a later command in the same container has to know of it. */
  readonly inside: Inside
  /** The mounts of the spec by the reason they are there for. */
  readonly mounts: readonly MountGroup[]
  readonly environment: Environment
  /** Directories of the host to make before the launch. */
  readonly directories: readonly { readonly path: string; readonly mode: number }[]
  /** What has to be set up from outside between the namespaces and the payload, and taken away afterwards. */
  readonly around: Around | undefined
  /** Sentences for the person: what was asked for and has no effect. */
  readonly warnings: readonly string[]
  /** What a curious person may want to know: what is done in another way than usual, and why. */
  readonly notes?: readonly string[]
}

export type Around = {
  readonly network?: NetworkPlan | undefined
  readonly cgroups?: (CgroupPlan & { readonly kind: 'groups' }) | undefined
}

export type PlanOptions = {
  readonly openFiles: number | undefined
  readonly debug: boolean
  /** Somebody waits for the end, to clean up. */
  readonly supervised: boolean
  readonly around?: Around | undefined
  /** The descriptor for the talk with who sets up what is around. */
  readonly sync?: Sync | undefined
  /** The process that an instance ends with. */
  readonly job?: number | undefined
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
  if (request.home.kind === 'custom') return request.home.target
  return request.imageUser?.home ?? identity.home
}

/** What of an image its programs depend on. */
export type ProgramsImage = Pick<Image, 'name' | 'bashEnvironment' | 'oci'> & {
  readonly kind?: Image['kind'] | undefined
}

/** Command lines to try: the action script for each shell that may be there, then what needs no shell. */
type Programs = { readonly scripts: readonly string[][]; readonly direct: readonly string[][] }

/** What the script does: where the configuration alone names the program of `run`, it executes that. */
function scripted(request: LaunchRequest, image: ProgramsImage): Pick<LaunchRequest, 'verb' | 'command'> {
  const { verb, command, app } = request
  const program = verb === 'run' && !app && isConfigured(image) ? ociProgram(image.oci, command) : undefined
  return program ? { verb: 'exec', command: program } : { verb, command }
}

export function planPrograms(
  request: LaunchRequest,
  image: ProgramsImage,
  environment: Environment,
  identity: Identity,
): Programs {
  if (request.boot) return { scripts: [], direct: [['/sbin/init', ...request.command]] }
  const { verb, command } = scripted(request, image)
  const script = actionScript(verb, environment, {
    evaluate: request.evaluate,
    imageName: image.name,
    uid: identity.uid,
    gid: identity.gid,
    kept: request.kept,
  })
  const withShell = (...shell: string[]) => [...shell, '-c', script, 'sing', ...command]
  // An image without any shell still has its command, or a runscript that is a program.
  const direct: Record<LaunchRequest['verb'], string[][]> = {
    exec: [[...request.command]],
    run: [ociProgram(image.oci, request.command) ?? ['/.singularity.d/runscript', ...request.command]],
    test: [['/.singularity.d/test', ...request.command]],
    shell: request.shell ? [[request.shell, ...request.command]] : [],
    start: [['/.singularity.d/startscript', ...request.command]],
  }
  return {
    scripts: [
      // -p: what BASH_ENV of the host names belongs to scripts of the host.
      ...(image.bashEnvironment ? [withShell('/bin/bash', '-p')] : []),
      withShell('/bin/sh'),
    ],
    direct: direct[request.verb],
  }
}

const optionalMounts = new Set(['proc', 'sys', 'dev', 'devpts', 'home', 'tmp', 'hostfs', 'cwd', 'bind-paths'])

/** What was asked for and has no effect. */
function withoutEffect({ noMount, overlays }: LaunchRequest): string[] {
  const unknown = [...noMount].filter((name) => !name.startsWith('/') && !optionalMounts.has(name))
  const empty = overlays.filter(({ layers }) => layers?.length === 0)
  return [
    ...empty.map(({ path }) => `--overlay ${path}:ro has no effect: there is no upper/ with changes in it`),
    ...unknown.map((name) => `--no-mount ${name} has no effect: nothing of that name is mounted`),
  ]
}

export function workingDirectories(request: LaunchRequest, facts: HostFacts, home: string): string[] {
  if (request.cwd !== undefined) return [request.cwd]
  const { workingDirectory } = request
  if (workingDirectory !== undefined) return [workingDirectory, home, '/']
  return [...(request.contain || facts.cwd === undefined ? [] : [facts.cwd]), home, '/']
}

/**
 * Decide a launch. A function of its arguments: the same values give the same spec.
 * @throws SingError whatever can be known to fail before the first system call
 */
export function plan(
  asked: LaunchRequest,
  config: Config,
  image: Image,
  facts: HostFacts,
  options: PlanOptions,
): LaunchPlan {
  const { request, warnings } = withinPolicy(asked, config)
  const identity = asPayload(planIdentity(request, facts), request.security?.payload)
  requirePermitted(identity, config)
  const home = planHome(request, identity)
  const machine = { identity, facts }
  const root = planRoot(request, config, image, machine)
  const devices = devicePlan(request, config, image, root.missing, facts)
  const environment = planEnvironment(request, image, facts.environment, identity, home, devices)
  const directories = workingDirectories(request, facts, home)
  const { scripts, direct } = planPrograms(request, image, environment, identity)
  const context = {
    request,
    config,
    facts,
    identity,
    home,
    missing: root.missing,
    keepsChanges: root.keepsChanges,
    memorySize: config.sessionSize,
    devices: devices.ops,
  }
  const mounts = mountGroups(context)
  const ops: Op[] = [
    ...dataLayers(request).map(({ bind, layer, window }) =>
      volumeLayer(layer, window, bind.readonly ? 'read' : 'write', machine),
    ),
    ...root.ops,
    ...(request.security?.allowSetuid ? [{ op: 'allow-setuid', at: '/' } as const] : []),
    ...mounts.flatMap((group) => group.ops),
    ...(root.writable ? [] : [{ op: 'readonly', at: '/' } as const]),
  ]
  const wanted: Namespace[] = (['pid', 'ipc', 'uts', 'net'] as const).filter((name) =>
    name === 'net' ? request.net && request.network.kind !== 'join' : request[name],
  )
  return {
    spec: {
      namespaces: planNamespaces(identity, wanted),
      ...(request.network.kind === 'join' ? { joinNetwork: request.network.path } : {}),
      ids: identity.ids,
      root: 'new',
      ...(config.mount.slave === 'no' ? { privateMounts: true } : {}),
      ...(image.version === undefined ? {} : { verified: { file: image.path, version: image.version } }),
      ops,
      hostname: request.hostname,
      process: {
        programs: [...scripts, ...direct],
        directories,
        directoryRequired: request.cwd !== undefined,
        environment: { ...environment.variables, PWD: directories[0] ?? '/' },
        umask: request.umask,
        init: request.init,
        dieWithParent: options.supervised,
        // Nobody waits for an instance; the lock tells the next container when all is written.
        stay: (!request.kept && ops.some((op) => op.op === 'ext3' && op.access === 'write')) || undefined,
      },
      ...(options.around ? { sync: options.sync } : {}),
      instance: request.kept ? { job: options.job ?? 0, confirming: scripts.length } : undefined,
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
    inside: { identity, home, devices: environmentOf(devices) },
    environment,
    directories: workdirDirectories(request),
    warnings: [
      ...warnings,
      ...(request.security?.warnings ?? []),
      ...environment.warnings,
      ...root.warnings,
      ...devices.warnings,
      ...withoutEffect(request),
    ],
    ...(root.notes.length > 0 ? { notes: root.notes } : {}),
    around: options.around,
  }
}
