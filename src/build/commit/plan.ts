/** A commit as a plan of one stage: the front end of images that were changed by using them. */

import { labelsFile } from '../../image/labels.ts'
import type { Image } from '../../image/open.ts'
import { writeInside } from '../inside.ts'
import { readLabels, writeLabels } from '../labels.ts'
import { prepareRootfs } from '../metadata.ts'
import type { BuildTools } from '../request.ts'
import { baseOfImage } from '../sources/image.ts'
import type { SourceBase } from '../sources/index.ts'
import type { StagePlan } from '../steps.ts'
import { type Changes, packChanges } from './layers.ts'
import { type Commit, recordedLabels } from './record.ts'

export type CommitSpec = Commit & {
  readonly image: Image
  /** What lies over it, lowest first. */
  readonly changes: readonly Changes[]
  readonly labels: readonly (readonly [string, string])[]
}

/** The changes on top of the base. They are known by nothing: nobody keeps what they make. */
async function findBase({ image, changes }: CommitSpec, tools: BuildTools): Promise<SourceBase> {
  const found = await baseOfImage(image, tools)
  const { base } = found
  if (base.kind !== 'packed') return found
  const layers = [...(await packChanges(changes, tools)), ...base.layers]
  return { ...found, base: { ...base, layers } }
}

export function planCommit(spec: CommitSpec, definition: string, tools: BuildTools): StagePlan[] {
  let found: SourceBase | undefined
  const plan: StagePlan = {
    name: undefined,
    from: spec.base,
    titles: [spec.base],
    before: async () => {},
    async base() {
      found = await findBase(spec, tools)
      return found
    },
    steps: async () => [
      {
        title: '',
        line: 0,
        identity: async () => undefined,
        async run(root) {
          found?.addition?.write(root)
          await prepareRootfs(root)
        },
      },
    ],
    async describe(root) {
      writeInside(root, '/.singularity.d/Singularity', definition, 0o644)
      const labels = readLabels(root, labelsFile, tools.report)
      writeLabels(root, labelsFile, recordedLabels(labels, spec, spec.labels))
    },
    description: [],
    test: undefined,
  }
  return [plan]
}
