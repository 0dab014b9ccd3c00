/** What the commands of instances do: they start and end containers that nobody waits for. */

import { writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type HostFacts, readHostFacts } from '../host/facts.ts'
import { findJob } from '../host/job.ts'
import { passMark } from '../host/mark.ts'
import { findUser } from '../host/users.ts'
import { schemeOf } from '../image/scheme.ts'
import type { LaunchPlan } from '../plan/plan.ts'
import { planGroup } from '../plan/share.ts'
import type { AroundRecord } from '../runtime/around.ts'
import { instanceSync, startInstance } from '../runtime/instance-start.ts'
import { parseSignal, stopInstance } from '../runtime/instance-stop.ts'
import {
  claimName,
  dropClaim,
  findInstances,
  forgetEnded,
  type Instance,
  keepInstance,
  logsOf,
  type Place,
  placeOf,
  requireInstance,
  requireName,
} from '../runtime/instances.ts'
import { catchInterruption } from '../runtime/interrupt.ts'
import { scopeMark } from '../runtime/launch.ts'
import type { Unpacked } from '../runtime/unpacked.ts'
import type { Call, Context, Flags } from './command.ts'
import { makeDirectories, type Prepared, prepare, requirePlan, tellPlan } from './launch.ts'
import { encryptionFlags, registryFlags } from './options.ts'
import { unpack } from './unpacking.ts'

/** The place of the caller's instances. */
export function ownPlace({ environment }: Context, facts = readHostFacts(environment)): Place {
  return placeOf(environment, { ...facts.user, uid: facts.uid })
}

/** The variables that move everybody's files; the others are about the caller alone. */
export const everybodys = (environment: Context['environment']) =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => name.endsWith('_CONFIGDIR')))

function requireRoot(flag: string): void {
  if (process.geteuid?.() === 0) return
  throw new SingError('UNSUPPORTED', `${flag} is for root: instances of other users are not yours`)
}

/** The place that --user names, or the caller's own. */
export function placeFor({ flags, context }: Call): Place {
  if (typeof flags.user !== 'string' || !flags.user) return ownPlace(context)
  requireRoot('--user')
  const user = findUser(flags.user)
  if (!user) throw new SingError('USAGE', `there is no user ${shown(flags.user)}`, { status: 255 })
  return placeOf(everybodys(context.environment), user)
}

/** Everything about credentials stays out of the file. */
const unkept = new Set([...registryFlags, ...encryptionFlags, { name: 'pid-file' }].map(({ name }) => name))
const keptFlags = (flags: Flags): Flags =>
  Object.fromEntries(Object.entries(flags).filter(([name]) => !unkept.has(name)))

/** Where the halt of an init like systemd's is asked for (systemd(1), SIGRTMIN+3). */
const SIGRTMIN_3 = 37

/** What is noted of an instance, but for who it is. */
function describe(
  name: string,
  verb: Kind,
  call: Call,
  { image, request, facts }: Prepared,
  place: Place,
  unpacked: Unpacked | undefined,
  { inside }: LaunchPlan,
): Omit<Instance, 'mark' | 'ip' | 'around'> {
  const { path, name: imageName, kind, bashEnvironment, oci } = image
  return {
    kind: 'instance',
    name,
    user: place.user,
    verb,
    image: { path, name: imageName, kind, bashEnvironment, ...(oci === undefined ? {} : { oci }) },
    command: request.command,
    flags: keptFlags(call.flags),
    cwd: facts.cwd ?? '/',
    since: new Date().toISOString(),
    logs: logsOf(place, name),
    directories: unpacked ? [unpacked.directory] : [],
    stopSignal: request.boot ? SIGRTMIN_3 : constants.signals.SIGINT,
    boot: request.boot,
    ...inside,
    contain: request.contain,
    binds: request.binds,
  }
}

function checkBoot({ flags }: Call, facts: HostFacts): void {
  if (flags.boot === true && !facts.isRoot) {
    throw new SingError('UNSUPPORTED', '--boot is for root: the init of a system wants to own the machine', {
      hint: 'Start the services you need from the %startscript of the image',
    })
  }
}

function writePidFile(flags: Flags, pid: number): void {
  const path = flags['pid-file']
  if (typeof path !== 'string' || !path) return
  try {
    writeFileSync(path, `${pid}\n`)
  } catch (cause) {
    throw new SingError('IO', `cannot write ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/** Where the limits of the instance are when systemd keeps them: this process was started again in a scope for them. */
async function ownScope({ environment }: Context): Promise<Pick<AroundRecord, 'cgroups'>> {
  if (environment[scopeMark] !== '1') return {}
  const { readOwnScope } = await import('../host/cgroups.ts')
  const { toRecord } = await import('../runtime/scope.ts')
  const scope = readOwnScope()
  return scope ? { cgroups: toRecord(scope) } : {}
}

type Start = { readonly name: string; readonly place: Place; readonly append: boolean }

async function startClaimed(verb: Kind, call: Call, prepared: Prepared, start: Start): Promise<void> {
  const { name, place, append } = start
  const { context, flags } = call
  using interruption = catchInterruption('the start')
  const unpacked = prepared.unpacks ? await unpack(call, prepared.image, interruption.signal) : undefined
  try {
    const decided = prepared.decide({ ...(unpacked ? { image: unpacked.image } : {}), sync: instanceSync })
    planGroup(prepared.request, decided.spec, context.environment)
    tellPlan(decided, context.report)
    makeDirectories(prepared.request, decided)
    const instance = describe(name, verb, call, prepared, place, unpacked, decided)
    const { spec, around } = decided
    const { logs } = instance
    const started = await startInstance(name, {
      spec,
      around,
      logs,
      append,
      report: context.report,
      signal: interruption.signal,
    })
    try {
      interruption.signal.throwIfAborted()
      if (unpacked) passMark(unpacked.directory, started.mark)
      const { mark, addresses } = started
      const around = { ...started.around, ...(await ownScope(context)) }
      await keepInstance(place, { ...instance, mark, around, ip: addresses[0] ?? '' })
      writePidFile(flags, started.mark.pid)
    } catch (error) {
      await started.abandon()
      throw error
    }
    await started.confirm()
  } catch (error) {
    await unpacked?.remove()
    throw error
  }
}

type Kind = 'start' | 'run'

/** Look up everything about an instance; nothing is started or made. */
async function prepareStart(verb: Kind, call: Call): Promise<{ name: string; prepared: Prepared }> {
  const [path = '', name = '', ...command] = call.args
  requireName(name)
  const keeping = { name, job: findJob(call.context.environment) }
  const prepared = await prepare(verb, { ...call, args: [path, ...command] }, keeping)
  checkBoot(call, prepared.facts)
  return { name, prepared }
}

async function startPrepared(verb: Kind, call: Call, prepared: Prepared, start: Start): Promise<number> {
  const { name, place } = start
  await claimName(place, name)
  try {
    await startClaimed(verb, call, prepared, start)
  } catch (error) {
    dropClaim(place, name)
    throw error
  }
  call.context.report({ kind: 'info', text: 'instance started successfully' })
  return 0
}

/** Start an instance of an image: `instance start` and `instance run`. */
export async function start(verb: Kind, call: Call): Promise<number> {
  requirePlan(call.flags)
  if (schemeOf(call.args[0] ?? '') !== undefined)
    return (await import('./remote.ts')).withFetched(call, (local) => start(verb, local))
  const { name, prepared } = await prepareStart(verb, call)
  if (call.flags.plan === true) {
    const { printPlan } = await import('./plan.ts')
    return printPlan(call, prepared, prepared.decide({ sync: instanceSync }), prepared.unpacks)
  }
  if (prepared.scope) return (await import('../runtime/reenter.ts')).enterScope(call, prepared.scope)
  const place = ownPlace(call.context, prepared.facts)
  return startPrepared(verb, call, prepared, { name, place, append: false })
}

function goTo(cwd: string, name: string): void {
  try {
    process.chdir(cwd)
  } catch (cause) {
    throw new SingError('IO', `cannot go to ${shown(cwd)}, where ${name} was started: ${reasonOf(cause)}`, {
      cause,
    })
  }
}

/** What opens an encrypted image is not kept with the instance: it is given anew, from where the caller is. */
function keysFrom({ flags: { passphrase, 'pem-path': path } }: Call): Flags {
  return { passphrase, 'pem-path': typeof path === 'string' && path ? resolve(path) : undefined }
}

/** Stop an instance and start it again as it was started; it goes on running when that can be known to fail. */
export async function restart(call: Call): Promise<number> {
  const place = ownPlace(call.context)
  const instance = requireInstance(place, call.args[0] ?? '')
  const { verb, image, name, command, cwd } = instance
  const flags = { ...instance.flags, ...keysFrom(call) }
  goTo(cwd, name)
  const again = { ...call, flags, args: [image.path, name, ...command] }
  const { prepared } = await prepareStart(verb, again)
  if (prepared.scope) return (await import('../runtime/reenter.ts')).enterScope(call, prepared.scope)
  await stopInstance(instance, stopOptions(call))
  await forgetEnded(place)
  return startPrepared(verb, again, prepared, { name, place, append: true })
}

function stopOptions({ flags, context }: Call) {
  return {
    report: context.report,
    signal: typeof flags.signal === 'string' ? parseSignal(flags.signal) : undefined,
    timeout: typeof flags.timeout === 'number' ? flags.timeout : 10,
    force: flags.force === true,
  }
}

const noneFound = (what: string): SingError =>
  new SingError('INSTANCE', what, { hint: 'sing instance list shows those that run', status: 1 })

async function chosen({ flags, args }: Call, place: Place): Promise<Instance[]> {
  if (flags.all === true && args.length > 0)
    throw new SingError('USAGE', '--all and names exclude each other')
  if (flags.all !== true && args.length === 0)
    throw new SingError('USAGE', 'needs the name of an instance, or --all')
  const patterns = flags.all === true ? ['*'] : args
  const found = await Promise.all(patterns.map((pattern) => findInstances(place, pattern)))
  found.forEach((instances, index) => {
    if (instances.length > 0) return
    throw noneFound(
      flags.all === true ? 'no instance found' : `no instance found: ${shown(patterns[index] ?? '')}`,
    )
  })
  return [...new Map(found.flat().map((instance) => [instance.name, instance])).values()]
}

/** End instances: `instance stop`. */
export async function stop(call: Call): Promise<number> {
  const options = stopOptions(call)
  const place = placeFor(call)
  const instances = await chosen(call, place)
  await Promise.all(
    instances.map((instance) => {
      const { name, image, mark } = instance
      call.context.report({
        kind: 'info',
        text: `Stopping ${name} instance of ${image.path} (PID=${mark.pid})`,
      })
      return stopInstance(instance, options)
    }),
  )
  await forgetEnded(place)
  return 0
}
