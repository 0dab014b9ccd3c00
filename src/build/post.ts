/** %post, %appinstall and %test as steps, and the labels that they collect. */

import { join } from 'node:path'
import { cutScript } from '../definition/cuts.ts'
import { parseLabels } from '../definition/labels.ts'
import { joinPieces, ownPiece } from '../definition/pieces.ts'
import { imageScriptLines, sectionCommand } from '../definition/script.ts'
import type { Section, Stage } from '../definition/types.ts'
import { surroundingsIdentity } from './binds.ts'
import { existsInside, readInside, writeInside } from './inside.ts'
import { appInstall } from './metadata.ts'
import type { BuildTools } from './request.ts'
import { runScript } from './script.ts'
import { inAllSpellings, runInside, scriptOf } from './sections.ts'
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
  const parts = cutScript(post ?? { ...ownPiece(''), arguments: [], line: first.line })
  const last = parts.at(-1) ?? first
  const pieces = [last, ...apps.flatMap((app) => [ownPiece('\n'), appInstall(app)])]
  return [...parts.slice(0, -1), { ...last, ...joinPieces(pieces) }]
}

/** @throws SingError SECTION when it fails */
async function runPost(title: string, section: Section, root: string, tools: BuildTools): Promise<void> {
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
  const options = { variables, writable: true, memoryUpper: false }
  await runScript(scriptOf(title, section, postScript, tools), tools, (streams, shell) =>
    runInside(shell ?? program, root, options, tools, streams),
  )
}

/** What decides what a section does. Not the proxies and the terminal, which it is given to reach the same things. */
function sectionIdentity(name: string, section: Section, tools: BuildTools): readonly string[] | undefined {
  const surroundings = surroundingsIdentity(tools)
  return surroundings && [name, ...sectionCommand(section), section.text, ...surroundings]
}

/** One step for each part of %post. */
export function postSteps(stage: Stage, tools: BuildTools): Step[] {
  const parts = postParts(stage)
  return parts.map((section, index) => {
    const title = parts.length > 1 ? `%post (${index + 1} of ${parts.length})` : '%post'
    return {
      title,
      line: section.line,
      identity: async () => sectionIdentity('post', section, tools),
      async run(root) {
        // What a base has under that name is not ours.
        if (index === 0 || !existsInside(root, labelFile)) writeInside(root, labelFile, '', 0o644)
        await runPost(title, section, root, tools)
      },
    }
  })
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
  const lines = imageScriptLines(section)
  const script = scriptOf('%test', { ...section, lines }, '/.singularity.d/test', tools)
  return {
    title: '%test',
    line: section.line,
    identity: async () => sectionIdentity(writableTest ? 'writable test' : 'test', section, tools),
    async run(root) {
      const options = { variables: {}, writable: false, memoryUpper: writableTest }
      await runScript(script, tools, (streams, shell) =>
        runInside(shell ?? [script.path], root, options, tools, streams),
      )
    },
  }
}
