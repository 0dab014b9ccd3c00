/** Drivers of the host for %post and %test (--nv, --rocm). Nothing of them stays in the image. */

import { readImageLibraries } from '../image/libraries.ts'
import { noDevices, planDevices } from '../plan/devices.ts'
import type { Op } from '../plan/spec.ts'
import type { BuildTools } from './request.ts'

/** What brings the drivers into a section that runs in `root`. */
export async function sectionDevices(root: string, tools: BuildTools): Promise<readonly Op[]> {
  const { gpus, facts, environment, definitionName, report } = tools
  if (gpus.length === 0) return []
  const names = gpus.flatMap(({ libraries }) => libraries.map(({ name }) => name))
  const image = await readImageLibraries({ rootfs: { directory: root } }, names)
  const { ops, warnings } = planDevices(
    noDevices,
    { gpus, libraries: [], ...(image ? { image } : {}) },
    {
      // A mount point that is made in the tree would be in the image.
      missing: 'skip',
      ownDev: false,
      imageName: `the image of ${definitionName}`,
      environment,
      groups: [facts.gid, ...facts.groups],
      isRoot: facts.isRoot,
    },
  )
  for (const text of warnings) report({ kind: 'warning', text })
  return ops
}
