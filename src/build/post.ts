/** %post, %appinstall and %test as steps, and the labels that they collect. */

import { join } from 'node:path'
import { cutScript } from '../definition/cuts.ts'
import { parseLabels } from '../definition/labels.ts'
import { sectionCommand } from '../definition/script.ts'
import type { Section, Stage } from '../definition/types.ts'
import { existsInside, readInside, writeInside } from './inside.ts'
import { appInstallText } from './metadata.ts'
import type { BuildTools } from './request.ts'
import { failed, inAllSpellings, runInside } from './sections.ts'
import type { Step } from './steps.ts'
import { removeTree } from './tree.ts'

/** The file behind SINGULARITY_LABELS: one `key value` a line. It stays until the image is described. */
const labelFile = '/.build.labels'
const labelLimit = 1024 * 1024
/** The file behind SINGULARITY_ENVIRONMENT, read whenever a container starts. */
const environmentFile = '/.singularity.d/env/91-environment.sh'
const postScript = '/.post.script'
const aptSettings = '/.apt.conf'

/** A file at the top of the root file system for as long as a script runs. */
function temporaryFile(root: string, path: string, text: string, mode: number): Disposable {
  writeInside(root, path, text, mode)
  return { [Symbol.dispose]: () => removeTree(join(root, path)) }
}

/** The parts of %post, with what the apps install behind the last one. */
function postParts(stage: Stage): readonly Section[] {
  const { post } = stage.sections
  const apps = stage.apps.filter(({ install }) => install)
  const first: Section | undefined = post ?? apps[0]?.install
  if (!first) return []
  const parts = cutScript(post ?? { text: '', arguments: [], line: first.line })
  const last = parts.at(-1) ?? first
  const text = [last.text, ...apps.map(appInstallText)].join('\n')
  return [...parts.slice(0, -1), { ...last, text }]
}

/** @throws SingError SECTION when it fails */
async function runPost(section: Section, root: string, tools: BuildTools): Promise<void> {
  tools.report({ kind: 'info', text: 'Running %post' })
  using _script = temporaryFile(root, postScript, section.text, 0o755)
  // With a single id apt cannot become its unprivileged user.
  const isSingleId = tools.facts.idsMapped === 1
  using _settings = isSingleId
    ? temporaryFile(root, aptSettings, 'APT::Sandbox::User "root";\n', 0o644)
    : { [Symbol.dispose]() {} }
  const variables = {
    ...inAllSpellings('ENVIRONMENT', environmentFile),
    ...inAllSpellings('LABELS', labelFile),
    ...(isSingleId ? { APT_CONFIG: aptSettings } : {}),
  }
  const program = [...sectionCommand(section), postScript]
  const status = await runInside(program, root, { variables, writable: true, memoryUpper: false }, tools)
  if (status !== 0) throw failed('post', status, section, tools)
}

/** One step for each part of %post. */
export function postSteps(stage: Stage, tools: BuildTools): Step[] {
  const parts = postParts(stage)
  return parts.map((section, index) => ({
    title: parts.length > 1 ? `%post ${index + 1}/${parts.length}` : '%post',
    line: section.line,
    identity: async () => undefined,
    async run(root) {
      // What a base has under that name is not ours.
      if (index === 0 || !existsInside(root, labelFile)) writeInside(root, labelFile, '', 0o644)
      await runPost(section, root, tools)
    },
  }))
}

/** The labels that %post wrote to $SINGULARITY_LABELS, whose file goes. */
export function takeLabels(stage: Stage, root: string): [string, string][] {
  if (postParts(stage).length === 0) return []
  const labels = parseLabels(readInside(root, labelFile, labelLimit) ?? '')
  removeTree(join(root, labelFile))
  return labels
}

/** The %test of this definition; it fails with SECTION. */
export function testStep(stage: Stage, tools: BuildTools): Step | undefined {
  const section = stage.sections.test
  if (!section) return undefined
  const { writableTest } = tools.request
  return {
    title: '%test',
    line: section.line,
    identity: async () => undefined,
    async run(root) {
      tools.report({ kind: 'info', text: 'Running %test' })
      const options = { variables: {}, writable: false, memoryUpper: writableTest }
      const status = await runInside(['/.singularity.d/test'], root, options, tools)
      if (status !== 0) throw failed('test', status, section, tools)
    },
  }
}
