/** %post, %appinstall and %test as steps, and the labels that they collect. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cutScript, endsInCut } from '../definition/cuts.ts'
import { parseLabels } from '../definition/labels.ts'
import { joinPieces, ownPiece } from '../definition/pieces.ts'
import { imageScriptLines, sectionCommand } from '../definition/script.ts'
import type { Section, Stage } from '../definition/types.ts'
import { surroundingsIdentity } from './binds.ts'
import { existsInside, readInside, resolveInside, writeInside } from './inside.ts'
import { appInstall } from './metadata.ts'
import type { BuildTools } from './request.ts'
import { runScript } from './script.ts'
import { inAllSpellings, runInside, scriptOf } from './sections.ts'
import type { Step } from './steps.ts'
import { temporaryFile } from './temporary-file.ts'
import { removeTree } from './tree.ts'

/** The file behind SINGULARITY_LABELS: one `key value` a line. It stays until the image is described. */
const labelFile = '/.build.labels'
const labelLimit = 1024 * 1024
/** The file behind SINGULARITY_ENVIRONMENT, read whenever a container starts. */
const environmentFile = '/.singularity.d/env/91-environment.sh'
const postScript = '/.post.script'
const aptSettings = '/.apt.conf'

type Part = { readonly title: string; readonly section: Section }

/** The parts of %post. */
function cutPost({ post }: Stage['sections']): readonly Part[] {
  const sections = post ? cutScript(post) : []
  const number = (index: number): string =>
    sections.length > 1 ? ` (${index + 1} of ${sections.length})` : ''
  return sections.map((section, index) => ({ title: `%post${number(index)}`, section }))
}

/** The parts of %post, and what the apps install: in the last part, or in one of its own when a cut is between. */
function postParts({ sections, apps }: Stage): readonly Part[] {
  const parts = cutPost(sections)
  const installed = apps.flatMap((app) => (app.install ? [ownPiece('\n'), appInstall(app)] : []))
  const first = apps.find(({ install }) => install)?.install
  if (!first) return parts
  const last = sections.post && !endsInCut(sections.post) ? parts.at(-1) : undefined
  if (!last) {
    const section = { arguments: sections.post?.arguments ?? [], line: first.line, ...joinPieces(installed) }
    return [...parts, { title: '%appinstall', section }]
  }
  const section = { ...last.section, ...joinPieces([last.section, ...installed]) }
  return [...parts.slice(0, -1), { ...last, section }]
}

const resolver = '/etc/resolv.conf'

/** Some images have a link there to what only runs on a machine that was booted. */
function warnOfResolver(root: string, { report }: BuildTools): void {
  if (!existsSync(resolver) || existsSync(resolveInside(root, resolver))) return
  const text = `${resolver} of the image leads to a file that is not there: %post can look up no names of machines`
  report({ kind: 'warning', text })
}

/** @throws SingError SECTION when it fails */
async function runPost(title: string, section: Section, root: string, tools: BuildTools): Promise<void> {
  warnOfResolver(root, tools)
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
  return postParts(stage).map(({ title, section }, index) => {
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
