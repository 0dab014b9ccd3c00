/** From the words of the user to a running container, for every command that starts one. */

import { chmodSync, mkdirSync, statSync } from 'node:fs'
import type { Config } from '../config/load.ts'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { readEnvironmentFile } from '../host/envfile.ts'
import { type HostFacts, readHostFacts } from '../host/facts.ts'
import { flattened } from '../image/layers.ts'
import { type Image, openImage } from '../image/open.ts'
import { schemeOf } from '../image/scheme.ts'
import { holdVersion } from '../image/version.ts'
import { wantsDevices } from '../plan/devices.ts'
import { type Around, type LaunchPlan, plan } from '../plan/plan.ts'
import { asInstance, type LaunchRequest, toRequest, type Verb } from '../plan/request.ts'
import { planGroup } from '../plan/share.ts'
import type { LaunchSpec, Sync } from '../plan/spec.ts'
import { replace, run, scopeMark } from '../runtime/launch.ts'
import { requireAllowed } from './allowed.ts'
import type { Call, Context, Flags } from './command.ts'
import { located } from './configured.ts'
import { openWanted, warnOfWriting } from './demands.ts'
import { resourceFlags } from './options.ts'
import { withDataImages, withOverlays, withoutAbsent } from './sources.ts'
import { mustUnpack, unpack } from './unpacking.ts'

/** A mistyped --workdir must not become a directory with the results in it. */
function requireWorkdir(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  throw new SingError('BIND', `--workdir ${shown(path)}: no such directory`)
}

/** Effects that a plan asks for before the first system call of the launch. */
export function makeDirectories({ workdir }: LaunchRequest, { directories }: LaunchPlan): void {
  if (workdir && directories.length > 0) requireWorkdir(workdir)
  for (const { path, mode } of directories) {
    try {
      if (mkdirSync(path, { recursive: true }) !== undefined) chmodSync(path, mode)
    } catch (error) {
      throw new SingError('IO', `cannot make ${path}: ${reasonOf(error)}`, { cause: error })
    }
  }
}

async function runUnpacked(call: Call, { image, decide }: Prepared): Promise<number> {
  const { context } = call
  const { catchInterruption } = await import('../runtime/interrupt.ts')
  // To the end: what was unpacked has to be removed, however often somebody presses Ctrl-C.
  using interruption = catchInterruption(`unpacking ${image.name}`)
  const { image: unpacked, remove } = await unpack(call, image, interruption.signal)
  try {
    interruption.signal.throwIfAborted()
    return await supervise(decide({ image: unpacked, supervised: true }), context)
  } finally {
    await remove()
  }
}

const quietNetworks: readonly LaunchRequest['network']['kind'][] = ['host', 'none', 'join']

type Surroundings = { readonly around?: Around | undefined; readonly scope?: readonly string[] | undefined }

/** Most launches have nothing around them that the kernel does not make by itself, and look at nothing for it. */
async function decideAround(
  flags: Flags,
  { network }: LaunchRequest,
  facts: HostFacts,
  config: Config,
  isInScope: boolean,
): Promise<Surroundings> {
  const isLimited =
    !isInScope && resourceFlags.some(({ name }) => flags[name] !== undefined && flags[name] !== false)
  if (!isLimited && quietNetworks.includes(network.kind)) return {}
  const { decideLimits, decideNetwork } = await import('./around.ts')
  const limits = isLimited ? await decideLimits(flags, facts, config) : undefined
  if (limits?.kind === 'scope') return { scope: limits.command }
  const connection = decideNetwork(network, facts, config)
  return limits || connection ? { around: { network: connection, cgroups: limits } } : {}
}

/** The lowest descriptor that the caller has not handed in. */
function freeDescriptor(taken: readonly number[]): number {
  let free = 3
  while (taken.includes(free)) free += 1
  return free
}

/** Start the container and wait for its end. */
async function supervise({ spec, around }: LaunchPlan, { report, descriptors }: Context): Promise<number> {
  if (!around) return run(spec, { descriptors })
  const { runAround } = await import('../runtime/around.ts')
  return runAround(spec, around, { report, descriptors })
}

/** Most launches ask for no device, and look at none. */
async function withDevices(
  facts: HostFacts,
  { devices }: LaunchRequest,
  config: Config,
  image: Image,
): Promise<HostFacts> {
  if (!wantsDevices(devices) || isLocked(image)) return facts
  const { readDevices } = await import('./devices.ts')
  return { ...facts, devices: await readDevices(devices, facts, config, image) }
}

async function withFileSystems(facts: HostFacts, { mount }: Config): Promise<HostFacts> {
  if (mount.hostfs !== 'yes') return facts
  return { ...facts, fileSystems: (await import('../host/filesystems.ts')).readFileSystems() }
}

const securityFlags = [
  'add-caps',
  'drop-caps',
  'keep-privs',
  'no-privs',
  'allow-setuid',
  'no-setgroups',
  'security',
  'fusemount',
] as const

/** Whether any flag was given that has to be looked into further. */
const namesSecurity = (flags: Flags): boolean =>
  securityFlags.some((name) => {
    const value = flags[name]
    return (
      value !== undefined && value !== false && value !== '' && !(Array.isArray(value) && value.length === 0)
    )
  })

type Change = {
  readonly image?: Image
  readonly supervised?: boolean
  /** For who talks with the starter in another way. */
  readonly sync?: Sync
}

/** All that was looked up for a launch; `decide` plans it. */
export type Prepared = {
  readonly image: Image
  readonly facts: HostFacts
  readonly request: LaunchRequest
  readonly config: Config
  readonly around: Around | undefined
  /** The image has to be unpacked first; until then the plan is as if it were one file system. */
  readonly unpacks: boolean
  /** The beginning of a command line that runs the same command again within its limits. */
  readonly scope: readonly string[] | undefined
  readonly decide: (change?: Change) => LaunchPlan
}

async function toWanted(
  verb: Verb,
  { flags }: Call,
  command: readonly string[],
  facts: HostFacts,
  config: Config,
): Promise<LaunchRequest> {
  const files = flags['env-file']
  const assignments = (Array.isArray(files) ? files : []).flatMap((file) =>
    readEnvironmentFile(file, facts.environment).map(([name, value]) => [name, value, file] as const),
  )
  const asked = toRequest(verb, flags, command, facts, assignments)
  if (!namesSecurity(flags) && config.rootCapabilities === 'full') return asked
  return (await import('./security.ts')).withSecurity(asked, flags, facts, config)
}

/** What the user wants, from flags, files and environment. */
export async function readRequest(
  verb: Verb,
  call: Call,
  command: readonly string[],
  facts: HostFacts,
  config: Config,
): Promise<LaunchRequest> {
  try {
    return await toWanted(verb, call, command, facts, config)
  } catch (error) {
    throw located(error, call)
  }
}

/** What --oci leaves to the image. */
async function withImageWishes(
  request: LaunchRequest,
  image: Image,
  flags: Flags,
  facts: HostFacts,
  config: Config,
): Promise<LaunchRequest> {
  if (flags.oci !== true || flags['no-oci'] === true) return request
  return (await import('./oci.ts')).withImageWishes(request, image, flags, facts, config)
}

/** An instance is to come of the launch; it ends with the job, a process. */
export type Keeping = { readonly name: string; readonly job: number | undefined }

/** Whether nothing of its files can be read. */
const isLocked = ({ encryption }: Image): boolean => encryption?.open === false

/** An encrypted image with its key, unless it is another process that is to start it, or none. */
async function unlocked(image: Image, call: Call, around: () => Promise<Surroundings>): Promise<Image> {
  if (!isLocked(image) || call.flags.plan === true || (await around()).scope) return image
  const { unlockFor } = await import('./unlock.ts')
  const { path, version } = image
  if (version === undefined) return openImage(call.args[0] ?? '', { unlock: unlockFor(call) })
  using held = holdVersion(path, version)
  return { ...(await openImage(path, { unlock: unlockFor(call), descriptor: held.fd })), version }
}

/** An image of the cache: called after its reference, and in use as long as the container lives. */
function asFetched(image: Image, { name }: NonNullable<Call['fetched']>): Image {
  const { rootfs } = image
  return { ...image, name, rootfs: 'file' in rootfs ? { ...rootfs, held: true } : rootfs }
}

/**
 * Read flags, environment, configuration, image and machine of a launch. Nothing is started or made.
 * @throws SingError for whatever of them is wrong
 */
export async function prepare(verb: Verb, call: Call, keeping?: Keeping): Promise<Prepared> {
  const { flags, args, context } = call
  const [path = '', ...command] = args
  const found = await openWanted(path, call)
  const { [scopeMark]: scoped, ...environment } = context.environment
  const machine = readHostFacts(environment)
  const { config } = await context.settings()
  const wanted = await readRequest(verb, call, command, machine, config)
  await requireAllowed(found, config)
  const isScoped = scoped === '1'
  const opened = await unlocked(found, call, () => decideAround(flags, wanted, machine, config, isScoped))
  const image = call.fetched ? asFetched(opened, call.fetched) : opened
  const asked = withOverlays(await withDataImages(withoutAbsent(wanted, config, context.report)))
  const mode = await withImageWishes(asked, image, flags, machine, config)
  const request = keeping ? asInstance(mode, keeping.name) : mode
  if (request.writable) await warnOfWriting(image, context.report)
  const facts = await withFileSystems(await withDevices(machine, request, config, image), config)
  const { around, scope } = await decideAround(flags, request, facts, config, isScoped)
  const unpacks = mustUnpack(call, image, request, config, facts)
  const shownImage = unpacks ? flattened(image) : image
  const { openFiles, debug } = context
  const own = { descriptor: freeDescriptor(context.descriptors) }
  const decide: Prepared['decide'] = ({ image: chosen = shownImage, supervised = false, sync = own } = {}) =>
    plan(request, config, chosen, facts, { openFiles, debug, supervised, around, sync, job: keeping?.job })
  return { image, facts, request, config, around, unpacks, scope, decide }
}

/** Tell what the planner has to say to the person. */
export function tellPlan(
  { warnings, notes = [] }: Pick<LaunchPlan, 'warnings' | 'notes'>,
  report: Report,
): void {
  for (const text of warnings) report({ kind: 'warning', text })
  for (const text of notes) report({ kind: 'verbose', text })
}

/** The same launch in a container that several processes use, where that is wanted. */
async function shared(spec: LaunchSpec, { request, facts }: Prepared): Promise<LaunchSpec> {
  const group = planGroup(request, spec, facts.environment)
  if (!group) return spec
  const { shareContainer } = await import('../runtime/share.ts')
  return shareContainer(spec, group, facts)
}

/** @throws SingError for --json, which would have no effect without --plan */
export function requirePlan({ json, plan: asked }: Flags): void {
  if (json === true && asked !== true)
    throw new SingError('USAGE', '--json is about --plan, which is not given')
}

/** Flags behind the image are words of the container: nobody means a program whose name begins with a hyphen. */
function requireCommand(verb: Verb, [, command = '']: readonly string[]): void {
  if (verb !== 'exec' || !command.startsWith('-')) return
  throw new SingError('USAGE', `cannot run ${shown(command)}: options stand before the image`, {
    hint: `Write: sing exec ${shown(command)} ... IMAGE COMMAND`,
    status: 255,
  })
}

/** What exec, run, shell and test do: become the container, or start it and wait where something is left to do afterwards. */
export async function launch(verb: Verb, call: Call): Promise<number> {
  const { flags, args, context } = call
  requirePlan(flags)
  requireCommand(verb, args)
  if (args[0]?.startsWith('instance://')) return (await import('./join.ts')).launchInside(verb, call)
  if (schemeOf(args[0] ?? '') !== undefined)
    return (await import('./remote.ts')).withFetched(call, (local) => launch(verb, local))
  const prepared = await prepare(verb, call)
  const { request, around, unpacks, scope } = prepared
  const stays = around !== undefined || call.fetched?.isTemporary === true
  const decided = prepared.decide({ supervised: stays })
  tellPlan(decided, context.report)
  if (flags.plan === true) {
    const { printPlan } = await import('./plan.ts')
    return printPlan(call, prepared, decided, unpacks)
  }
  if (scope) return (await import('../runtime/reenter.ts')).enterScope(call, scope)
  makeDirectories(request, decided)
  if (unpacks) return runUnpacked(call, prepared)
  if (stays) return supervise(decided, context)
  return replace(await shared(decided.spec, prepared), context.descriptors)
}
