/** The outline of a build: the stages in their order, the new image, and everything temporary gone on every way out. */

import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { singularityVersion } from '../core/version.ts'
import type { Stage } from '../definition/types.ts'
import type { HostFacts } from '../host/facts.ts'
import { catchInterruption } from '../runtime/interrupt.ts'
import { rootfsArchitecture } from './architecture.ts'
import { assembleSandbox, assembleSif } from './assemble.ts'
import { explain, requireBinds, requirePrograms } from './explain.ts'
import { writeMetadata } from './metadata.ts'
import type { BuildRequest, BuildTools } from './request.ts'
import { copyMetadata, mergedTree, metadataDirectories, type Tree } from './sandbox.ts'
import { openScratch, scratchParent } from './scratch.ts'
import type { Base } from './sources/index.ts'
import type { BuildSpec } from './spec.ts'
import { buildStage } from './stage.ts'
import { type Confirm, recoverPartials, requireTarget } from './target.ts'
import { newestTime } from './tree.ts'

export type BuildContext = {
  readonly facts: HostFacts
  readonly environment: Readonly<Record<string, string>>
  readonly gpus: BuildTools['gpus']
  readonly report: Report
  readonly debug: boolean
  readonly ownMounts: boolean
  readonly obtain: BuildTools['obtain']
  readonly confirm: Confirm
}

/** What the stages or a sandbox gave: see `Assembly`. */
type Built = { readonly tree: Tree; readonly described: string; readonly base: Base }

/** The one time of everything in a reproducible image; undefined when times are to be real. */
function fixedTime(base: Base, { reproducible, time }: BuildRequest): number | undefined {
  if (time !== undefined) return time
  if (!reproducible) return undefined
  if (base.time !== undefined) return base.time
  throw new SingError('BUILD', '--reproducible: the base has no time of its own that the image could take', {
    hint: 'Set SOURCE_DATE_EPOCH to seconds since 1970, for example: SOURCE_DATE_EPOCH=$(date -d 2026-01-01 +%s)',
  })
}

function describer(spec: BuildSpec, tools: BuildTools) {
  return async (
    stage: Stage,
    root: string,
    base: Base,
    extraLabels: [string, string][],
    arch: string,
  ): Promise<void> => {
    const time = fixedTime(base, tools.request)
    await writeMetadata(root, stage, {
      definitionText: spec.definition.text,
      force: tools.request.force,
      builder: { version: singularityVersion },
      time: time === undefined ? new Date() : new Date(time * 1000),
      arch,
      extraLabels,
      report: tools.report,
    })
  }
}

async function buildStages(spec: BuildSpec, tools: BuildTools): Promise<Built> {
  const { definition } = spec
  const stages = new Map<string, string>()
  const describe = describer(spec, tools)
  let built: Built | undefined
  for (const [index, stage] of definition.stages.entries()) {
    const isUpdate = tools.request.update && index === definition.stages.length - 1
    const root = isUpdate ? tools.request.target : tools.scratch.directory(`rootfs-${index + 1}`)
    const base = await buildStage(stage, root, { stages, isUpdate, describe }, tools)
    if (stage.name !== undefined) stages.set(stage.name, root)
    built = { tree: { root, exclude: [], extra: [] }, described: root, base }
  }
  if (!built) throw new SingError('DEFINITION', `${spec.name} has no stage`)
  return built
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
  const base = { attachments: [], time: request.reproducible ? newestTime(sandbox) : undefined }
  await describer(spec, tools)(stage, described, base, [], rootfsArchitecture(sandbox))
  return { tree: mergedTree(sandbox, described), described, base }
}

async function assemble(built: Built, spec: BuildSpec, mode: number, tools: BuildTools): Promise<void> {
  const { request, report } = tools
  const { tree, described, base } = built
  if (request.update) return
  if (request.sandbox) return assembleSandbox(tree.root, tools)
  report({ kind: 'info', text: 'Creating the SIF file' })
  const assembly = {
    tree,
    described,
    definitionText: spec.definition.text,
    architecture: rootfsArchitecture(tree.root),
    attachments: base.attachments,
    below: base.below,
    mode,
    time: fixedTime(base, request),
  }
  await assembleSif(assembly, tools)
}

/**
 * Build the image that the request names from the spec. Nothing appears under the target's name before it is whole, and
 * what is there stays until then.
 * @throws SingError SECTION, DISK_FULL, EXISTS, INTERRUPTED and what sources, files and formats throw
 */
export async function build(request: BuildRequest, spec: BuildSpec, context: BuildContext): Promise<void> {
  const { facts, environment, gpus, report, debug, ownMounts, obtain } = context
  requireBinds(request, facts.cwd ?? '/')
  recoverPartials(request.target, report)
  await requireTarget(request, context.confirm)
  using interruption = catchInterruption('the build')
  const { signal } = interruption
  const parent = scratchParent(request.scratchParent, environment)
  if (spec.isDefinition) requirePrograms(parent)
  const scratch = openScratch(parent, { keep: request.keepScratch, report })
  // Files of an image are for everybody to read; only the new file itself follows the caller's mask.
  const mask = process.umask(0o022)
  try {
    const names = { definitionName: spec.name, isConversion: !spec.isDefinition }
    const given = { request, facts, environment, gpus, report, signal, debug, ownMounts, obtain }
    const tools = { ...given, scratch, ...names }
    const built = (await packSandbox(spec, tools)) ?? (await buildStages(spec, tools))
    await assemble(built, spec, 0o755 & ~mask, tools)
    report({ kind: 'info', text: `Build complete: ${shown(request.target)}` })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw explain(error, parent, dirname(request.target), facts)
  } finally {
    scratch.close()
    process.umask(mask)
  }
}
