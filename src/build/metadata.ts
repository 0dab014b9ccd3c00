/** What makes a tree an image: /.singularity.d with scripts, environment, labels and history, and the links to it. */

import { readdirSync, symlinkSync } from 'node:fs'
import type { Report } from '../core/events.ts'
import { imageScript } from '../definition/script.ts'
import type { Stage } from '../definition/types.ts'
import type { BaseImage } from '../image/labels.ts'
import { baseDirectories, baseFiles, baseLinks, environmentHeader } from '../image/texts.ts'
import { describeApps } from './apps.ts'
import {
  existsInside,
  failure,
  look,
  makeDirectoryInside,
  readBytesInside,
  resolveInside,
  toBytes,
  writeInside,
} from './inside.ts'
import { writeImageLabels } from './labels.ts'

export { appInstall, prepareApps, preparedParts } from './apps.ts'

const folder = '/.singularity.d'
const environmentFile = `${folder}/env/90-environment.sh`
/** Bytes of a script of the base that are read. */
const largest = 16 * 1024 * 1024

export type MetadataOptions = {
  readonly definitionText: string
  /** Labels of the definition replace those of the base. */
  readonly force: boolean
  readonly builder: { readonly version: string }
  readonly time: Date
  readonly arch: string
  /** The image of OCI that the stage began with. */
  readonly base?: BaseImage | undefined
  /** What %post wrote into $SINGULARITY_LABELS. */
  readonly extraLabels: readonly (readonly [string, string])[]
  readonly report: Report
}

/** Give a tree the directories, links and files that runtimes rely on. What exists stays as it is, links too. */
export async function prepareRootfs(root: string): Promise<void> {
  for (const [path, mode] of baseDirectories) {
    // A link that leads nowhere gets the directory that it names.
    if (!look(toBytes(resolveInside(root, path)))) makeDirectoryInside(root, path, mode)
  }
  for (const [path, text, mode] of baseFiles) {
    if (!existsInside(root, path)) writeInside(root, path, text, mode)
  }
  for (const [path, target] of baseLinks) {
    if (!existsInside(root, path)) makeLink(root, path, target)
  }
}

function makeLink(root: string, path: string, target: string): void {
  try {
    symlinkSync(target, resolveInside(root, path, 'keep'))
  } catch (error) {
    throw failure(`cannot make the link ${path} in the image`, error)
  }
}

/** Write what the stage says into its tree, once %post is done. Parts that the stage does not mention stay. */
export async function writeMetadata(root: string, stage: Stage, options: MetadataOptions): Promise<void> {
  const { help, runscript, startscript, test, environment } = stage.sections
  if (help) writeInside(root, `${folder}/runscript.help`, help.text, 0o644)
  keepHistory(root, stage.header.bootstrap ?? '', options.definitionText)
  writeInside(root, `${folder}/Singularity`, options.definitionText, 0o644)
  if (environment) addEnvironment(root, environment.text)
  for (const [name, section] of Object.entries({ startscript, runscript, test })) {
    if (section) writeInside(root, `${folder}/${name}`, imageScript(section), 0o755)
  }
  describeApps(root, stage, options.report)
  const { force, builder, time, arch, base, extraLabels: extra, report } = options
  writeImageLabels(root, stage, { force, version: builder.version, time, arch, image: base, extra, report })
}

const ociAgents = ['docker', 'oci', 'oci-archive', 'docker-archive', 'docker-daemon']

/** What a conversion of layers says about itself is no generation of its own: the header of the stage says the same. */
function isConversion(definition: Buffer, agent: string): boolean {
  return ociAgents.includes(agent) && /^bootstrap: .*\nfrom: .*\n\s*$/.test(definition.toString())
}

/** The definition of the base, which `agent` fetched, becomes the newest file of the history, unless it is the same. */
export function keepHistory(root: string, agent: string, definitionText: string): void {
  const previous = readBytesInside(root, `${folder}/Singularity`, largest)
  if (previous === undefined || previous.equals(Buffer.from(definitionText))) return
  if (isConversion(previous, agent)) return
  const history = `${folder}/bootstrap_history`
  let number = 0
  try {
    number = readdirSync(makeDirectoryInside(root, history)).length
  } catch (error) {
    throw failure(`cannot read ${history} in the image`, error)
  }
  while (existsInside(root, `${history}/Singularity${number}`)) number += 1
  writeInside(root, `${history}/Singularity${number}`, previous, 0o644)
}

/** Add to the environment of the base; the same text is not added twice when a sandbox is updated. */
function addEnvironment(root: string, text: string): void {
  const previous = readBytesInside(root, environmentFile, largest) ?? Buffer.from(environmentHeader)
  const added = Buffer.from(`\n${text}`)
  if (previous.subarray(-added.length).equals(added)) return
  const end = previous.length > 0 && previous.at(-1) !== 10 ? '\n' : ''
  writeInside(root, environmentFile, Buffer.concat([previous, Buffer.from(end), added]), 0o755)
}
