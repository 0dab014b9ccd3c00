/** The files of an ext3 as the base: a copy of what fuse2fs shows of it. */

import { basename } from 'node:path'
import { shown } from '../../core/errors.ts'
import type { Window } from '../../image/open.ts'
import { openExt3 } from '../../runtime/ext3.ts'
import { copyTree } from '../copy.ts'
import { windowDigest } from '../digest.ts'
import type { BuildTools } from '../request.ts'
import type { Step } from '../steps.ts'

/** What fills an empty directory with the files of an ext3. */
export function copyingExt3(image: Window, tools: BuildTools): Step {
  return {
    title: `localimage ${shown(basename(image.file))}`,
    line: 0,
    identity: async () => [
      'ext3',
      await windowDigest(image, { facts: tools.results?.facts, signal: tools.signal }),
    ],
    run: (root) => copyExt3(image, root, tools),
  }
}

/** @throws SingError HOST_TOOL, OVERLAY */
async function copyExt3(image: Window, root: string, tools: BuildTools): Promise<void> {
  const { facts, report, signal, scratch } = tools
  await using ext3 = await openExt3(image, scratch.directory('ext3'), facts)
  // With a single id there are no other owners.
  const ownership = facts.idsMapped !== 1
  await copyTree(ext3.root, root, { scratch: scratch.path, ownership, report, signal })
}
