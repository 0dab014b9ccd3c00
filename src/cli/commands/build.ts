/** `sing build`: a definition, an image or a reference becomes a SIF file or a sandbox. */

import { statSync } from 'node:fs'
import { isatty } from 'node:tty'
import { build } from '../../build/build.ts'
import { parsePacking } from '../../build/compression.ts'
import { buildReference, isReferenceBuild } from '../../build/reference.ts'
import { type BuildRequest, parseEpoch, parseSections, parseTarget } from '../../build/request.ts'
import { refuseSbom } from '../../build/sbom.ts'
import { type BuildSpec, isReadOnce, openSpec } from '../../build/spec.ts'
import type { Config } from '../../config/load.ts'
import { SingError, shown } from '../../core/errors.ts'
import type { Event, Report } from '../../core/events.ts'
import { type HostFacts, readHostFacts } from '../../host/facts.ts'
import { type GpuFacts, readGpu } from '../../host/gpu.ts'
import { hostArchitecture } from '../../image/architecture.ts'
import { requestedPlatform } from '../../oci/platform.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import { isReentered, reenterAsRoot, reenterWithOwnMounts } from '../../runtime/reenter.ts'
import { confirm } from '../../ui/prompt.ts'
import { createStepReport } from '../../ui/steps.ts'
import { examinerOf } from '../checking.ts'
import type { Call, Command, Flags } from '../command.ts'
import { encryptionOf, encrypts, unlockBase, warnOfPlain } from '../encrypting.ts'
import { Fetcher, fetchingOptions } from '../fetching.ts'
import { formOf } from '../names.ts'
import { sbomOf } from '../sbom.ts'
import { wordOf } from '../words.ts'
import { buildFlags } from './build-flags.ts'

function words(value: Flags[string]): readonly string[] {
  return Array.isArray(value) ? value : []
}

function architectureOf(flags: Flags): string | undefined {
  const host = { os: 'linux', architecture: hostArchitecture() }
  const asked = { arch: wordOf(flags, 'arch'), archVariant: wordOf(flags, 'arch-variant') }
  return requestedPlatform({ ...asked, platform: wordOf(flags, 'platform') }, host)?.architecture
}

function parseOnError(choice = 'stop'): BuildRequest['onError'] {
  const refuse = (sentence: string, hint: string): never => {
    throw new SingError('USAGE', `--on-error ${shown(choice)}: ${sentence}`, { hint, status: 255 })
  }
  if (choice === 'stop') return choice
  if (choice !== 'shell') return refuse('unknown choice', 'Choices: stop, shell')
  if (![0, 1, 2].every((descriptor) => isatty(descriptor)))
    return refuse('there is no terminal for a shell', 'Start the build on a terminal, or leave it out')
  return choice
}

function lockOf(flags: Flags): BuildRequest['lock'] {
  if (flags.lock === true && flags.locked === true)
    throw new SingError('USAGE', '--lock and --locked cannot be given together', { status: 255 })
  if (flags.lock === true) return 'write'
  return flags.locked === true ? 'check' : undefined
}

/** Only what a definition asks for can change between two builds. */
function refuseLock({ lock, spec }: BuildRequest): void {
  if (lock === undefined) return
  throw new SingError('USAGE', `--lock and --locked are for definitions, and ${shown(spec)} is none`, {
    status: 255,
  })
}

export function requestOf(call: Call, config: Config, report: Report): BuildRequest {
  const { flags, args, context } = call
  const [target = '', spec = ''] = args
  const sections = new Set(parseSections(words(flags.section)))
  if (flags.notest === true) sections.delete('test')
  if (flags.update === true && flags.sandbox !== true) {
    throw new SingError('USAGE', '--update changes a sandbox: give --sandbox too', { status: 255 })
  }
  const { processors } = config.build
  const packing = parsePacking(wordOf(flags, 'compress'), wordOf(flags, 'mksquashfs-args'), report)
  const time = parseEpoch(context.environment.SOURCE_DATE_EPOCH)
  return {
    target: parseTarget(target),
    spec,
    sandbox: flags.sandbox === true,
    asOciSif: formOf(call) !== 'sif',
    update: flags.update === true,
    force: flags.force === true,
    json: flags.json === true,
    sections,
    fakeroot: flags.fakeroot === true || flags.userns === true,
    ignoreSubids: flags['ignore-subuid'] === true,
    keepGroups: flags['no-setgroups'] === true,
    ignoreUserNamespaces: flags['ignore-userns'] === true,
    binds: words(flags.bind),
    mounts: words(flags.mount),
    writableTest: flags['writable-tmpfs'] === true,
    fixPermissions: flags['fix-perms'] === true,
    buildArguments: words(flags['build-arg']),
    buildArgumentFile: wordOf(flags, 'build-arg-file'),
    stage: wordOf(flags, 'target'),
    warnUnusedArguments: flags['warn-unused-build-args'] === true,
    encrypts: encrypts(call),
    packing: { ...(processors > 0 && { workers: processors }), ...packing },
    scratchParent: wordOf(flags, 'tmpdir'),
    keepScratch: flags['no-cleanup'] === true,
    onError: parseOnError(wordOf(flags, 'on-error')),
    resume: flags.resume === true,
    useCache: flags['disable-cache'] !== true,
    architecture: architectureOf(flags),
    lock: lockOf(flags),
    takeKnown: flags['no-cache'] !== true,
    fromStep: wordOf(flags, 'from-step'),
    sbom: sbomOf(flags),
    reproducible: flags.reproducible === true || time !== undefined,
    time,
    unlock: unlockBase(call),
  }
}

/** Scripts run as root, of the machine or of a user namespace, and with mounts of their own: this command starts anew. */
export function becomeRoot(call: Call, facts: HostFacts, request: BuildRequest): void {
  if (isReentered(call.context)) return
  if (facts.isRoot) reenterWithOwnMounts(call, facts)
  if (request.ignoreUserNamespaces) {
    throw new SingError('USER_NAMESPACE', 'a definition cannot be built without root or user namespaces', {
      hint: 'Leave --ignore-userns out',
    })
  }
  reenterAsRoot(call, facts, request)
}

/** What is made of a definition is root's. And what is mounted is encrypted without being unpacked to the disk first. */
function needsRoot(spec: BuildSpec, request: BuildRequest, facts: HostFacts): boolean {
  if (spec.isDefinition || spec.isMounted || request.fakeroot) return true
  const canBeRoot = facts.isRoot || (facts.userNamespaces.allowed && !request.ignoreUserNamespaces)
  return request.encrypts && canBeRoot && !isDirectory(request.spec)
}

function warnOfChance({ encrypts, reproducible }: BuildRequest, report: Report): void {
  const text =
    'An encrypted image is never the same twice: its keys are random. What is in it is reproducible'
  if (encrypts && reproducible) report({ kind: 'warning', text })
}

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Nothing that looks encrypted and is not. */
export function refuseEncrypted(request: BuildRequest, isData: boolean): void {
  if (!request.encrypts) return
  const refuse = (sentence: string): never => {
    throw new SingError('UNSUPPORTED', `--encrypt: ${sentence}`, {
      hint: 'Build a SIF file, or leave it out',
    })
  }
  if (isData) refuse('an image that holds only data is read by whoever binds it')
  if (request.sandbox) refuse('a sandbox is a directory of files, which cannot be encrypted')
  if (request.asOciSif) refuse('an OCI-SIF has layers for everybody, which cannot be encrypted')
}

async function readGpus({ flags, context }: Call): Promise<GpuFacts[]> {
  const vendors = (['nv', 'rocm'] as const).filter((vendor) => flags[vendor] === true)
  if (vendors.length === 0) return []
  const { config } = await context.settings()
  const { environment } = context
  const ldconfig = config.ldconfigPath || undefined
  return vendors.map((vendor) => readGpu(vendor, { root: '', environment, ldconfig }))
}

/** What a definition builds, or is an image already, was never an image of OCI. */
function requireUsualForm(call: Call, { dockerfile }: BuildSpec): void {
  const form = formOf(call)
  if (form === 'sif' || (dockerfile && form === 'oci-sif')) return
  if (dockerfile)
    throw new SingError('UNSUPPORTED', '--keep-layers: what a Dockerfile makes is one layer', {
      hint: 'Leave it out; --oci alone makes an OCI-SIF',
    })
  throw new SingError('UNSUPPORTED', `--oci: ${shown(call.args[1] ?? '')} is no image of OCI`, {
    hint: 'From docker://, oci: and other OCI sources, and from a Dockerfile, it makes an OCI-SIF; otherwise leave it out',
  })
}

/** The image itself, for any architecture. */
async function fromReference(call: Call, request: BuildRequest): Promise<number> {
  using interruption = catchInterruption('the build')
  const options = { ...(await fetchingOptions(call, interruption.signal)), form: formOf(call) }
  using _cache = options.cache
  const examine = examinerOf(call, interruption.signal)
  await buildReference(request, options, isatty(0) ? confirm : undefined, examine)
  return 0
}

/** No definition and no scripts: data alone. */
async function fromData(call: Call, request: BuildRequest): Promise<number> {
  const { buildData } = await import('../../build/data.ts')
  if (examinerOf(call))
    throw new SingError('USAGE', '--check: there is nothing to check in an image that holds only data', {
      status: 255,
    })
  const facts = readHostFacts(call.context.environment)
  if (request.fakeroot) becomeRoot(call, facts, request)
  const { report } = call.context
  await buildData(request, { facts, report, confirm: isatty(0) ? confirm : undefined })
  return 0
}

async function run(given: Call): Promise<number> {
  const report = createStepReport(given.context.verbosity)
  const call = { ...given, context: { ...given.context, report } }
  const { debug } = call.context
  // Of the two lives of this command only the last one tells.
  const heard: Event[] = []
  const hear: Report = (event) => heard.push(event)
  const { config } = await call.context.settings()
  const request = requestOf(call, config, hear)
  const isData = call.flags.data === true
  refuseSbom(request, isData)
  refuseEncrypted(request, isData)
  if (isData || isReferenceBuild(request)) {
    refuseLock(request)
    for (const event of heard) report(event)
    warnOfPlain(call)
    return await (isData ? fromData : fromReference)(call, request)
  }
  const facts = readHostFacts(call.context.environment)
  if (isReadOnce(request)) becomeRoot(call, facts, request)
  const spec = await openSpec(request, hear)
  requireUsualForm(call, spec)
  if (!spec.isDefinition) refuseLock(request)
  const examine = examinerOf(call)
  if (needsRoot(spec, request, facts)) becomeRoot(call, facts, request)
  for (const event of heard) report(event)
  const { SING_REENTERED: _, ...environment } = call.context.environment
  warnOfPlain(call)
  warnOfChance(request, report)
  const encryption = await encryptionOf(call)
  const gpus = await readGpus(call)
  using fetcher = new Fetcher(call)
  await build(request, spec, {
    facts,
    environment,
    gpus,
    report,
    debug,
    ownMounts: isReentered(call.context),
    obtain: fetcher.obtain,
    examine,
    encryption,
    cache: fetcher.cache,
    confirm: isatty(0) ? confirm : undefined,
  })
  return 0
}

export const command: Command = {
  usage: 'build [options] <new image> <definition | Dockerfile | image | reference>',
  summary: 'Make an image from a definition file, a Dockerfile or another image',
  description:
    'The new image is a SIF file, or a directory with --sandbox. It appears under its name only when it is whole. ' +
    'A definition is built as root: of the machine, or of a user namespace (--fakeroot is implied).',
  examples: [
    'sing build fortune.sif fortune.def',
    'sing build app.sif Dockerfile',
    'sing build --sandbox tree/ fortune.sif',
    'sing build --compress zstd:15 debian.sif docker://debian:trixie',
    'sing build --force fortune.sif tree/',
    'sing build --build-arg RELEASE=bookworm debian.sif debian.def',
  ],
  flags: buildFlags,
  args: [2, 2],
  run,
}
