/** Images that are elsewhere as the base: in registries, layouts, archives, with a daemon, on the web (`Bootstrap: docker` ...). */

import { SingError, shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { requireSource } from '../../image/refused.ts'
import { parseReference } from '../../oci/reference.ts'
import type { BuildTools } from '../request.ts'
import { baseOfImage, runsPrograms } from './image.ts'
import type { SourceBase } from './index.ts'
import { openBase } from './signed.ts'

/** Agents whose `From:` follows two slashes. */
const withSlashes: readonly string[] = ['docker', 'oras', 'http', 'https']
export const references: readonly string[] = [
  ...withSlashes,
  ...['oci', 'oci-archive', 'docker-archive', 'docker-daemon'],
  // To say what is wrong with them.
  ...['library', 'shub', 'ipfs'],
]

/** The reference that a header means: `docker://REGISTRY/NAMESPACE/FROM`, `oci-archive:FROM`. */
export function referenceOf({ header }: Stage): string {
  const { bootstrap: agent = '', from = '', registry = '', namespace = '' } = header
  if (!withSlashes.includes(agent)) return `${agent}:${from}`
  const before = agent === 'docker' ? [registry, namespace] : []
  const parts = [...before, from].map((part) => part.replace(/^\/+|\/+$/g, ''))
  return `${agent}://${parts.filter(Boolean).join('/')}`
}

/** The agent says already what kind of reference it is. */
function refuseScheme({ header: { bootstrap = '', from = '' } }: Stage): void {
  const [, scheme, name = ''] = /^(docker|oras|https?):\/\/(.*)$/s.exec(from) ?? []
  if (scheme === undefined || !['docker', 'oras'].includes(bootstrap)) return
  throw new SingError('REFERENCE', `From: ${shown(from)}: what kind it is stands in Bootstrap alone`, {
    hint: `Write: Bootstrap: ${scheme}, and From: ${shown(name)}`,
  })
}

/** @throws SingError UNSUPPORTED or REFERENCE for a header that can name no image */
export function checkReference(stage: Stage): void {
  const reference = referenceOf(stage)
  requireSource(reference)
  refuseScheme(stage)
  if (!/^https?:/.test(reference)) parseReference(reference)
}

/** The image, which the cache has or gets. */
export async function findReference(stage: Stage, tools: BuildTools): Promise<SourceBase> {
  const { path, image } = await tools.obtain(referenceOf(stage), tools.signal)
  const options = { anyArchitecture: !runsPrograms(stage), unlock: tools.request.unlock }
  const opened = await openBase(path, stage, options, tools)
  return { ...(await baseOfImage(opened, tools, 'cached')), image }
}
