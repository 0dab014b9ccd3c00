/** What a stage of a definition says about its image, and the time that all of it has. */

import { SingError } from '../core/errors.ts'
import { singularityVersion } from '../core/version.ts'
import type { Stage } from '../definition/types.ts'
import type { BaseImage } from '../image/labels.ts'
import { writeMetadata } from './metadata.ts'
import type { BuildTools } from './request.ts'
import type { BuildSpec } from './spec.ts'

/** The one time of everything in a reproducible image; undefined when times are to be real. */
export function fixedTime(
  base: { readonly time: number | undefined },
  tools: BuildTools,
): number | undefined {
  const { reproducible, time } = tools.request
  if (time !== undefined) return time
  if (!reproducible) return undefined
  if (base.time !== undefined) return base.time
  throw new SingError('BUILD', '--reproducible: the base has no time of its own that the image could take', {
    hint: 'Set SOURCE_DATE_EPOCH to seconds since 1970, for example: SOURCE_DATE_EPOCH=$(date -d 2026-01-01 +%s)',
  })
}

type Described = {
  readonly root: string
  readonly arch: string
  readonly time: number | undefined
  /** The image of OCI that the stage began with. */
  readonly base?: BaseImage | undefined
}

/** Write into a tree what the stage says about the image. */
export async function describeStage(
  stage: Stage,
  { root, arch, time, base }: Described,
  extraLabels: [string, string][],
  spec: BuildSpec,
  tools: BuildTools,
): Promise<void> {
  await writeMetadata(root, stage, {
    definitionText: spec.definition.text,
    force: tools.request.force,
    builder: { version: singularityVersion },
    time: time === undefined ? new Date() : new Date(time * 1000),
    arch,
    base,
    extraLabels,
    report: tools.report,
  })
}
