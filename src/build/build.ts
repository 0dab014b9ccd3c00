/** The outline of a build: the stages, the new image, and everything temporary gone on every way out. */

import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Fetched } from '../image/fetch.ts'
import { baseReference, parseReference } from '../oci/reference.ts'
import { catchInterruption } from '../runtime/interrupt.ts'
import type { Cache } from '../store/cache.ts'
import { shownAddress } from '../store/http.ts'
import { rootfsArchitecture } from './architecture.ts'
import { type Assembly, assembleSandbox, assembleSif } from './assemble.ts'
import { assembleOciSif } from './assemble-oci.ts'
import { planCommit } from './commit/plan.ts'
import { StepCounter } from './counter.ts'
import { planDefinition } from './definition-plan.ts'
import { describeStage, fixedTime } from './describe.ts'
import { planDockerfile } from './dockerfile/plan.ts'
import { buildStages, type FrontEnd } from './engine.ts'
import { explain, requireBinds, requirePrograms } from './explain.ts'
import { warnOfOther } from './foreign.ts'
import { Resolved } from './lock/resolved.ts'
import { contentDigest } from './lock/sources.ts'
import { canMountLayers, keepsResults } from './mountable.ts'
import { requireNotes } from './notes.ts'
import type { BuildRequest, BuildTools, Obtain } from './request.ts'
import { copyMetadata, mergedTree, metadataDirectories } from './sandbox.ts'
import { openScratch, scratchParent } from './scratch.ts'
import type { BuildSpec } from './spec.ts'
import { StepResults } from './step-results.ts'
import type { FoundBase } from './steps.ts'
import { type Confirm, recoverPartials, requireTarget } from './target.ts'
import { newestTime } from './tree.ts'

export type BuildContext = {
  readonly facts: HostFacts
  readonly environment: Readonly<Record<string, string>>
  readonly gpus: BuildTools['gpus']
  readonly report: Report
  readonly debug: boolean
  readonly ownMounts: boolean
  readonly obtain: (reference: string, signal: AbortSignal) => Promise<Pick<Fetched, 'path' | 'digest'>>
  readonly examine: BuildTools['examine']
  readonly encryption: BuildTools['encryption']
  /** The cache of this command, opened for the first who asks. */
  readonly cache: () => Promise<Cache>
  readonly confirm: Confirm
}

/** What the stages or a sandbox gave: see `Assembly`. */
type Built = Pick<Assembly, 'tree' | 'described' | 'base'> & Pick<FoundBase, 'attachments' | 'time'>

function frontEnd(spec: BuildSpec, tools: BuildTools): FrontEnd {
  const { dockerfile, commit, definition } = spec
  if (commit) return () => planCommit(commit, definition.text, tools)
  return dockerfile
    ? (finished) => planDockerfile(dockerfile, '', finished, tools).plans
    : planDefinition(spec, tools)
}

async function buildAll(spec: BuildSpec, tools: BuildTools): Promise<Built> {
  const built = await buildStages(frontEnd(spec, tools), tools)
  if (!built) throw new SingError('DEFINITION', `${spec.name} has no stage`)
  const { root, base, found } = built
  return { ...found, tree: { root, exclude: [], extra: [] }, described: root, base }
}

/** A sandbox that is packed as it lies; undefined when the image is to be something else, or links stand in the way. */
async function packSandbox(spec: BuildSpec, tools: BuildTools): Promise<Built | undefined> {
  const { request } = tools
  const [stage] = spec.definition.stages
  if (!stage || spec.isDefinition || request.sandbox || request.fixPermissions) return undefined
  const sandbox = resolve(request.spec)
  if (!statSync(sandbox, { throwIfNoEntry: false })?.isDirectory()) return undefined
  const directories = metadataDirectories(sandbox)
  if (!directories) return undefined
  const described = tools.scratch.directory('metadata')
  await copyMetadata(sandbox, directories, described, tools)
  const found = { attachments: [], time: request.reproducible ? newestTime(sandbox) : undefined }
  const about = {
    root: described,
    arch: rootfsArchitecture(sandbox, request.architecture),
    time: fixedTime(found, tools),
  }
  await describeStage(stage, about, [], spec, tools)
  return { ...found, tree: mergedTree(sandbox, described), described, base: undefined }
}

async function assemble(built: Built, spec: BuildSpec, mode: number, tools: BuildTools): Promise<void> {
  const { request, report } = tools
  const { tree } = built
  if (request.update) return await tools.examine?.(request.target)
  if (request.sandbox) return assembleSandbox(tree.root, tools)
  report({ kind: 'info', text: 'Creating the SIF file' })
  const architecture = rootfsArchitecture(tree.root, request.architecture)
  warnOfOther(architecture, request, report)
  const assembly = {
    ...built,
    definitionText: spec.definition.text,
    architecture,
    mode,
    time: fixedTime(built, tools),
  }
  await (request.asOciSif ? assembleOciSif : assembleSif)(assembly, tools)
}

/** Gives images by their references, and notes which ones they were. */
function obtainer(obtain: BuildContext['obtain'], resolved: Resolved, isBuilt: boolean): Obtain {
  return async (reference, signal) => {
    const { path, digest } = await obtain(reference, signal)
    const name = /^https?:/.test(reference) ? shownAddress(reference) : reference
    await resolved.note(name, () => digest ?? contentDigest(path, 'keep', signal))
    const isImage = isBuilt && digest !== undefined && !/^(oras|https?):/.test(reference)
    return { path, image: isImage ? { name: baseReference(parseReference(reference)), digest } : undefined }
  }
}

/** Undefined where nothing is kept: because nobody wants it, or in a cache that goes with this command. */
async function openResults(
  tools: Pick<BuildTools, 'request' | 'report' | 'signal' | 'scratch' | 'definitionName'>,
  { isDefinition }: BuildSpec,
  context: BuildContext,
): Promise<StepResults | undefined> {
  if (!keepsResults(tools.request, isDefinition)) return undefined
  const cache = await context.cache()
  return cache.isPrivate ? undefined : new StepResults(cache, tools)
}

/** @throws SingError when --resume has nothing to go on with */
function requireResumable(results: StepResults | undefined): asserts results is StepResults {
  if (results) return
  throw new SingError('BUILD', '--resume: this build keeps nothing that it could go on with', {
    hint: 'Leave out --disable-cache, --no-cleanup, --fix-perms, --update and --encrypt; and images that are taken as they are have no steps',
  })
}

/**
 * Build the image that the request names from the spec. Nothing appears under the target's name before it is whole, and
 * what is there stays until then.
 * @throws SingError SECTION, DISK_FULL, EXISTS, INTERRUPTED and what sources, files and formats throw
 */
export async function build(request: BuildRequest, spec: BuildSpec, context: BuildContext): Promise<void> {
  const { facts, environment, gpus, report, debug, ownMounts, examine, encryption } = context
  requireBinds(request, facts.cwd ?? '/')
  recoverPartials(request.target, report)
  await requireTarget(request, context.confirm)
  const locking = request.lock && (await (await import('./lock/lock.ts')).openLocking(request))
  using interruption = catchInterruption('the build')
  const { signal } = interruption
  const parent = scratchParent(request.scratchParent, environment)
  if (spec.isDefinition) requirePrograms(parent)
  const scratch = openScratch(parent, { keep: request.keepScratch, report })
  // Files of an image are for everybody to read; only the new file itself follows the caller's mask.
  const mask = process.umask(0o022)
  try {
    if (spec.isDefinition) requireNotes(scratch.path, facts, report)
    const names = { definitionName: spec.name, isConversion: !spec.isDefinition }
    const known = { request, facts, environment, gpus, report, signal, debug, ownMounts }
    const given = { ...known, examine, encryption }
    const resolved = locking?.resolved ?? new Resolved()
    const obtain = obtainer(context.obtain, resolved, spec.isDefinition)
    const canMount = await canMountLayers({ ...given, scratch })
    const results = await openResults({ ...given, ...names, scratch }, spec, context)
    if (request.resume) {
      requireResumable(results)
      results.failed.require()
    }
    const steps = new StepCounter(request, report)
    const tools = { ...given, ...names, scratch, canMount, results, resolved, obtain, steps }
    const built = (await packSandbox(spec, tools)) ?? (await buildAll(spec, tools))
    results?.failed.explainUnused()
    const { root } = built.tree
    const architecture = rootfsArchitecture(root, request.architecture)
    await locking?.settle({ root, architecture }, spec, tools)
    await assemble(built, spec, 0o755 & ~mask, tools)
    locking?.finish()
    results?.failed.forget()
    report({ kind: 'info', text: `Build complete: ${shown(request.target)}` })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw explain(error, parent, dirname(request.target), facts)
  } finally {
    scratch.close()
    process.umask(mask)
    encryption?.packer.key.fill(0)
  }
}
