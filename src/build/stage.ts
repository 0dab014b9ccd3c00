/** One stage of a definition: from an empty directory to a finished root file system, in the order that the format promises. */

import { chmodSync } from 'node:fs'
import type { FileCopy, Stage } from '../definition/types.ts'
import { rootfsArchitecture } from './architecture.ts'
import { copyFiles } from './files.ts'
import { prepareApps, prepareRootfs } from './metadata.ts'
import type { BuildTools, SectionName } from './request.ts'
import { runHostSection, runPost, runTest } from './sections.ts'
import { type Base, sourceOf } from './sources/index.ts'
import { grantOwner } from './tree.ts'

/** The trees of the stages before, by name: what `%files from` copies out of. */
export type FinishedStages = ReadonlyMap<string, string>

export type StageOptions = {
  readonly stages: FinishedStages
  /** The tree is an older image that is being updated: it is its own base. */
  readonly isUpdate: boolean
  /** Write help, labels and so on into the tree, once the base and the labels that %post wrote are known. */
  readonly describe: (
    stage: Stage,
    root: string,
    base: Base,
    labels: [string, string][],
    architecture: string,
  ) => Promise<void>
}

/** The stage with only the parts that `--section` chose. */
export function selectSections(stage: Stage, chosen: ReadonlySet<SectionName>): Stage {
  const sections = Object.fromEntries(
    Object.entries(stage.sections).filter(([name]) => chosen.has(name as SectionName)),
  )
  return {
    ...stage,
    sections,
    files: chosen.has('files') ? stage.files : [],
    apps: chosen.has('apps') ? stage.apps : [],
  }
}

async function fetchBase(stage: Stage, root: string, tools: BuildTools): Promise<Base> {
  const base = await sourceOf(stage)(stage, root, tools)
  tools.signal.throwIfAborted()
  chmodSync(root, 0o755)
  if (tools.request.fixPermissions) grantOwner(root)
  return base
}

async function copyHere(
  copies: readonly FileCopy[],
  root: string,
  fromRoot: string | undefined,
  tools: BuildTools,
): Promise<void> {
  const { facts, environment, definitionName: name, report, signal } = tools
  const from = fromRoot === undefined ? {} : { fromRoot }
  await copyFiles(copies, { root, cwd: facts.cwd ?? '/', environment, name, report, signal, ...from })
  signal.throwIfAborted()
}

async function copyFromStages(
  stage: Stage,
  root: string,
  stages: FinishedStages,
  tools: BuildTools,
): Promise<void> {
  for (const { from, copies } of stage.files) {
    if (from !== undefined) await copyHere(copies, root, stages.get(from), tools)
  }
}

async function copyFromHost(stage: Stage, root: string, tools: BuildTools): Promise<void> {
  for (const { from, copies } of stage.files) {
    if (from === undefined) await copyHere(copies, root, undefined, tools)
  }
}

/** Build a stage in `root`. Resolves with what the source told about its base. */
export async function buildStage(
  whole: Stage,
  root: string,
  options: StageOptions,
  tools: BuildTools,
): Promise<Base> {
  const stage = selectSections(whole, tools.request.sections)
  const { stages, isUpdate } = options
  if (!isUpdate) await runHostSection('pre', stage, root, tools)
  const base = isUpdate ? { attachments: [], time: undefined } : await fetchBase(stage, root, tools)
  await prepareRootfs(root)
  const { facts, environment, definitionName: name, report } = tools
  await prepareApps(root, stage, { cwd: facts.cwd ?? '/', name, environment, report })
  await copyFromStages(stage, root, stages, tools)
  await runHostSection('setup', stage, root, tools)
  await copyFromHost(stage, root, tools)
  const labels = await runPost(stage, root, tools)
  await options.describe(stage, root, base, labels, rootfsArchitecture(root))
  await runTest(stage, root, tools)
  return base
}
