/** An OCI-SIF as the base: what its configuration says becomes the files that say it in other images. */

import { labelsFile, labelsText, parseLabelsFile } from '../../image/labels.ts'
import {
  ociConfigJson,
  ociEnvironmentFile,
  ociEnvironmentScript,
  ociRunscript,
} from '../../image/oci-scripts.ts'
import { openOciSif } from '../../image/oci-sif.ts'
import { ociConfigName } from '../../image/open.ts'
import type { ImageConfig } from '../../oci/types.ts'
import { existsInside, readInside, writeInside } from '../inside.ts'
import type { SourceBase } from './index.ts'

const runscript = '/.singularity.d/runscript'
const labelsLimit = 16 * 1024 * 1024

function writeConfigured(root: string, config: ImageConfig): void {
  const labels = parseLabelsFile(readInside(root, labelsFile, labelsLimit) ?? '') ?? new Map()
  for (const [key, label] of Object.entries(config.labels)) labels.set(key, label)
  if (labels.size > 0) writeInside(root, labelsFile, labelsText(labels), 0o644)
  writeInside(root, ociEnvironmentFile, ociEnvironmentScript(config), 0o755)
  const namesProgram = config.entrypoint.length + config.command.length > 0
  if (namesProgram || !existsInside(root, runscript))
    writeInside(root, runscript, ociRunscript(config), 0o755)
}

/** What the configuration of an OCI-SIF adds to the tree that its layers show, and what is known of it as a base. */
export async function describeOciSif(path: string): Promise<Omit<SourceBase, 'base'>> {
  const { config } = await openOciSif(path)
  const text = ociConfigJson(config)
  return {
    attachments: [{ name: ociConfigName, data: Buffer.from(text) }],
    time: config.created,
    addition: { identity: [text], write: (root) => writeConfigured(root, config) },
  }
}
