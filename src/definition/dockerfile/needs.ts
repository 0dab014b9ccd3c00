/** What must be built for a target: stages that it stands on or copies from, and images that it only copies from. */

import { fromOf } from './actions.ts'
import { stageNamed } from './parse.ts'
import type { Dockerfile, DockerStage, Instruction } from './types.ts'

/** A word that is no stage, so that it is an image: where it stands first, and how many stages are above. */
export type Giver = { readonly word: string; readonly line: number; readonly below: number }

export type Needs = {
  /** In the order of the file; the target is the last. */
  readonly stages: readonly number[]
  readonly images: readonly Giver[]
}

/** `baseOf` tells what stands behind FROM. @throws SingError DEFINITION for a `--from` with variables in it */
export function neededStages(
  file: Dockerfile,
  target: number,
  baseOf: (stage: DockerStage, index: number) => { readonly kind: string; readonly index?: number },
): Needs {
  const stages = new Set<number>()
  const images = new Map<string, Giver>()
  const visit = (index: number): void => {
    const stage = file.stages[index]
    if (!stage || stages.has(index)) return
    stages.add(index)
    const base = baseOf(stage, index)
    if (base.index !== undefined) visit(base.index)
    for (const { word, line } of stage.instructions.flatMap((one) => givers(one, file.name))) {
      const found = stageNamed(file.stages, word, index, true)
      if (found !== undefined) visit(found)
      else if (!images.has(word)) images.set(word, { word, line, below: index })
    }
  }
  visit(target)
  return { stages: [...stages].sort((one, other) => one - other), images: [...images.values()] }
}

/** The words behind `--from=` and `--mount=from=`. */
function givers(instruction: Instruction, name: string): Omit<Giver, 'below'>[] {
  if (instruction.kind !== 'run' && instruction.kind !== 'copy') return []
  const { flags, line } = instruction
  const mounts = flags.flatMap((flag) => (flag.name === 'mount' ? [flag.value ?? ''] : []))
  const words = mounts.map((value) => /(?:^|,)from=([^,]+)/.exec(value)?.[1])
  return [fromOf(flags, { name, line }), ...words].flatMap((word) =>
    word === undefined ? [] : { word, line },
  )
}
