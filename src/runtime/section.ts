/** Run what a build runs: scripts inside the root file system, programs of the host. */

import type { Report } from '../core/events.ts'
import type { HostFacts } from '../host/facts.ts'
import {
  type HostProgramRequest,
  planHostProgram,
  planSection,
  type SectionRequest,
} from '../plan/section.ts'
import type { LaunchSpec } from '../plan/spec.ts'
import { type RunOptions, run } from './launch.ts'
import { type Hear, openOutput } from './output.ts'

export type SectionContext = {
  readonly facts: HostFacts
  readonly report: Report
  readonly debug: boolean
  /** Gets the output as it comes; it goes where ours goes otherwise. */
  readonly hear?: Hear | undefined
} & Omit<RunOptions, 'output'>

function perform(spec: LaunchSpec, { hear, ...options }: SectionContext): Promise<number> {
  return run(spec, { stdin: 'ignore', ...options, output: hear && openOutput(hear) })
}

/** Run a script inside a root file system. Resolves with its exit status, 128 + n for signal n. */
export function runSection(request: SectionRequest, context: SectionContext): Promise<number> {
  return perform(planSection(request, context.facts, context.debug), context)
}

/** Run a program of the host on the host's tree, as root of our namespace. Resolves with its exit status. */
export function runOnHost(request: HostProgramRequest, context: SectionContext): Promise<number> {
  return perform(planHostProgram(request, context.facts, context.debug), context)
}
