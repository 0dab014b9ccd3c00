/** A finished root file system becomes an OCI-SIF: one layer, with the configuration that a Dockerfile gave it. */

import { attributesOf } from '../image/contents.ts'
import { imageConfig } from '../image/oci-config.ts'
import { writePackedOciSif } from '../image/oci-sif-write.ts'
import { ociConfigName } from '../image/open.ts'
import { directoryContents } from '../image/reader.ts'
import { type Assembly, examine, packTree } from './assemble.ts'
import type { BuildTools } from './request.ts'

/** Write the OCI-SIF. It appears under its name only when it is whole. */
export async function assembleOciSif(assembly: Assembly, tools: BuildTools): Promise<void> {
  const { described, attachments, architecture, mode, time } = assembly
  const config = attachments.find(({ name }) => name === ociConfigName)
  const contents = directoryContents(described)
  const about = {
    architecture,
    created: time ?? Math.floor(Date.now() / 1000),
    oci: config && (JSON.parse(config.data.toString()) as Record<string, unknown>),
    attributes: await attributesOf(contents),
    actions: (await contents.list('/.singularity.d/actions')) ?? [],
    isOpen: false,
  }
  await writePackedOciSif(tools.request.target, {
    mode,
    platform: { os: 'linux', architecture },
    pack: (slot) => packTree(slot, assembly, tools),
    configOf: (diffIds) => imageConfig(about, diffIds),
    examine: (path) => examine(path, tools),
    signal: tools.signal,
  })
}
