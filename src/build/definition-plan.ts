/** Definitions as plans of stages: the front end of files with sections. */

import { chmodSync, statSync } from 'node:fs'
import type { Stage } from '../definition/types.ts'
import { baseLabels } from '../image/labels.ts'
import { baseDirectories, baseFiles, baseLinks } from '../image/texts.ts'
import { describeStage, fixedTime } from './describe.ts'
import { planDockerfile } from './dockerfile/plan.ts'
import { dockerfileOf, isDockerStage } from './dockerfile/spec.ts'
import type { FrontEnd } from './engine.ts'
import { copiesIdentity, copyFiles, mayReachMetadata } from './files.ts'
import { type ContentOptions, fileId } from './fingerprint.ts'
import { prepareApps, preparedParts, prepareRootfs } from './metadata.ts'
import { postSteps, takeLabels, testStep } from './post.ts'
import { type BuildTools, selectSections } from './request.ts'
import { runHostSection } from './sections.ts'
import { baseTitle, type Source, type SourceBase, sourceOf } from './sources/index.ts'
import type { BuildSpec } from './spec.ts'
import type { FinishedStages, StagePlan, Step } from './steps.ts'

const baseTexts = JSON.stringify([baseDirectories, baseFiles, baseLinks])

function contentOptions({ results, signal, scratch }: BuildTools): ContentOptions {
  return { links: 'follow', facts: results?.facts, signal, without: fileId(statSync(scratch.path)) }
}

/** Values as text, without the lines that they were read from: these change with what stands above. */
function wordsOf(...values: readonly unknown[]): string[] {
  const isPlace = (key: string): boolean => key === 'line' || key === 'lines'
  return values.map((value) => JSON.stringify(value, (key, part) => (isPlace(key) ? undefined : part)))
}

/** What every image has, and what an OCI-SIF says beside its layers. */
function preparation(title: string, { addition }: SourceBase, tools: BuildTools): Step {
  return {
    title,
    line: 0,
    identity: async () => ['prepare', baseTexts, ...(addition?.identity ?? [])],
    async run(root) {
      if (!tools.request.update) chmodSync(root, 0o755)
      await addition?.write(root)
      await prepareRootfs(root)
    },
  }
}

/** The apps, with their files. */
function appSteps(stage: Stage, tools: BuildTools): Step[] {
  const { facts, environment, definitionName: name, report } = tools
  const options = { cwd: facts.cwd ?? '/', name, environment, report }
  if (stage.apps.length === 0) return []
  return [
    {
      title: '%appfiles',
      line: stage.line,
      async identity() {
        const words = ['apps', ...wordsOf(preparedParts(stage))]
        for (const app of stage.apps) {
          const files = await copiesIdentity(app.files, { ...options, root: '/' }, contentOptions(tools))
          if (!files) return undefined
          words.push(...files)
        }
        return words
      },
      run: (root) => prepareApps(root, stage, options),
    },
  ]
}

/** One `%files`; those that copy from earlier stages come before %setup. */
function filesSteps(
  stage: Stage,
  isFromStage: boolean,
  finished: FinishedStages,
  spec: BuildSpec,
  tools: BuildTools,
): Step[] {
  const { facts, environment, definitionName: name, report, signal } = tools
  const blocks = stage.files.filter(({ from }) => (from !== undefined) === isFromStage)
  const options = { cwd: facts.cwd ?? '/', environment, name, report, signal }
  return blocks.map(({ from, copies, line }) => {
    const stageBefore = from === undefined ? undefined : finished.get(from)
    return {
      title: from === undefined ? '%files' : `%files from ${from}`,
      line,
      async identity() {
        if (!stageBefore)
          return await copiesIdentity(copies, { ...options, root: '/' }, contentOptions(tools))
        const words = copies.flatMap(({ source, destination }) => [source, destination])
        if (copies.some(({ source }) => mayReachMetadata(source))) words.push(spec.definition.text)
        return stageBefore.identity && ['from', ...stageBefore.identity, ...words]
      },
      async run(root) {
        const fromRoot = await stageBefore?.described()
        await copyFiles(copies, { ...options, root, ...(fromRoot === undefined ? {} : { fromRoot }) })
      },
    }
  })
}

function setupStep(stage: Stage, tools: BuildTools): Step[] {
  const { setup } = stage.sections
  if (!setup) return []
  const run = (root: string) => runHostSection('setup', stage, root, tools)
  return [{ title: '%setup', line: setup.line, identity: async () => undefined, run }]
}

/** What `describeStage` makes files of. */
function descriptionOf({ header, sections, apps }: Stage, { request }: BuildTools): readonly string[] {
  const { pre: _pre, setup: _setup, post: _post, ...texts } = sections
  return wordsOf(header, texts, apps, request.force)
}

const update = (path: string): SourceBase => ({
  base: { kind: 'directory', path },
  attachments: [],
  time: undefined,
})

function planStage(
  whole: Stage,
  isUpdate: boolean,
  source: Source | undefined,
  finished: FinishedStages,
  spec: BuildSpec,
  tools: BuildTools,
): StagePlan {
  const stage = selectSections(whole, tools.request.sections)
  let found: SourceBase = update(tools.request.target)
  const from = isUpdate ? '' : baseTitle(stage)
  const stepsOf = () => [
    ...appSteps(stage, tools),
    ...filesSteps(stage, true, finished, spec, tools),
    ...setupStep(stage, tools),
    ...filesSteps(stage, false, finished, spec, tools),
    ...postSteps(stage, tools),
  ]
  const test = testStep(stage, tools)
  return {
    name: stage.name,
    from,
    get titles() {
      const { pre } = stage.sections
      const steps = stepsOf().map(({ title }) => title)
      return [isUpdate ? [] : [...(pre ? ['%pre'] : []), from], steps, test ? [test.title] : []].flat()
    },
    async before(root) {
      if (isUpdate || !stage.sections.pre) return
      await tools.steps.run('%pre', () => runHostSection('pre', stage, root, tools))
    },
    async base() {
      if (!isUpdate) found = await (source ?? sourceOf(stage))(stage, tools)
      return { ...found, preparation: preparation(from, found, tools) }
    },
    steps: async () => stepsOf(),
    async describe(root, arch) {
      const time = fixedTime(found, tools)
      const about = { root, arch, time, base: found.image }
      await describeStage(stage, about, takeLabels(stage, root), spec, tools)
    },
    get description() {
      return [...descriptionOf(stage, tools), ...baseLabels(found.image).flat()]
    },
    test,
  }
}

/** A stage, and before it those of the Dockerfile that it begins with. */
function planWithBase(
  stage: Stage,
  index: number,
  isUpdate: boolean,
  finished: FinishedStages,
  spec: BuildSpec,
  tools: BuildTools,
): StagePlan[] {
  if (!isDockerStage(stage) || isUpdate) return [planStage(stage, isUpdate, undefined, finished, spec, tools)]
  const dockerfile = dockerfileOf(stage, spec.name, tools.report)
  const { plans, result } = planDockerfile(dockerfile, `dockerfile ${index}: `, finished, tools)
  return [...plans, planStage(stage, false, async () => result(), finished, spec, tools)]
}

/** The stages of a definition. With --update the last one runs in the sandbox that is there. */
export function planDefinition(spec: BuildSpec, tools: BuildTools): FrontEnd {
  const { stages } = spec.definition
  const isUpdate = (index: number) => tools.request.update && index === stages.length - 1
  return (finished) =>
    stages.flatMap((stage, index) => planWithBase(stage, index, isUpdate(index), finished, spec, tools))
}
