/** What an image that a Dockerfile made says about itself: the same as one that was fetched with this configuration. */

import { singularityVersion } from '../../core/version.ts'
import type { OciConfig, State } from '../../definition/dockerfile/state.ts'
import { runners } from '../../image/additions.ts'
import { type BaseImage, labelsFile } from '../../image/labels.ts'
import {
  ociConfigText,
  ociEnvironmentFile,
  ociEnvironmentScript,
  ociLabels,
  ociMark,
  ociRunscript,
} from '../../image/oci-scripts.ts'
import { ociConfigName } from '../../image/open.ts'
import { readInside, writeInside } from '../inside.ts'
import { readLabels, writeLabels } from '../labels.ts'
import { keepHistory } from '../metadata.ts'
import type { BuildTools } from '../request.ts'
import type { Attachment } from '../sources/index.ts'

const folder = '/.singularity.d'
const runscript = `${folder}/runscript`
const largest = 16 * 1024 * 1024

export type Described = {
  readonly config: OciConfig
  /** The Dockerfile. */
  readonly text: string
  /** The image of OCI that the stage began with. */
  readonly image: BaseImage | undefined
  /** What the keys of a definition would be. */
  readonly header: Readonly<Record<string, string>>
  readonly time: Date
  readonly arch: string
}

/** The base is an image with a runscript of its own, and nothing says that something else is to be run. */
function keepsRunscript(root: string, { Entrypoint = [], Cmd = [] }: OciConfig): boolean {
  const text = readInside(root, runscript, largest)
  const [program] = [...Entrypoint, ...Cmd]
  return text !== undefined && !text.includes(ociMark) && (program === undefined || runners.includes(program))
}

/** Write it into the tree. What every image has must be there, or come afterwards. */
export function describeDocker(root: string, about: Described, tools: BuildTools): void {
  const { config, text, header, image, time, arch } = about
  const command = { entrypoint: config.Entrypoint ?? [], command: config.Cmd ?? [] }
  if (!keepsRunscript(root, config)) writeInside(root, runscript, ociRunscript(command), 0o755)
  keepHistory(root, 'docker', text)
  writeInside(root, `${folder}/Singularity`, text, 0o644)
  writeInside(root, ociEnvironmentFile, ociEnvironmentScript({ environment: config.Env ?? [] }), 0o755)
  const base = readLabels(root, labelsFile, tools.report)
  const making = { version: singularityVersion, time, arch }
  writeLabels(root, labelsFile, ociLabels(base, { labels: config.Labels ?? {} }, making, header, image))
}

/** The configuration as an object of the SIF, with the author and what was done. */
export function configAttachment({ config, author, history }: State): Attachment {
  const text = ociConfigText(config, { author, history: history.length > 0 ? history : undefined })
  return { name: ociConfigName, data: Buffer.from(text) }
}
