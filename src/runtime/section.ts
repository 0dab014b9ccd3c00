/** Run what a build runs: scripts inside the root file system, programs of the host. */

import type { Report } from '../core/events.ts'
import type { HostFacts } from '../host/facts.ts'
import {
  type HostProgramRequest,
  planHostProgram,
  planSection,
  type SectionRequest,
} from '../plan/section.ts'
import { type RunOptions, run } from './launch.ts'

export type SectionContext = {
  readonly facts: HostFacts
  readonly report: Report
  readonly debug: boolean
} & RunOptions

/** Run a script inside a root file system. Resolves with its exit status, 128 + n for signal n. */
export function runSection(request: SectionRequest, context: SectionContext): Promise<number> {
  const { facts, debug, ...options } = context
  return run(planSection(request, facts, debug), { stdin: 'ignore', ...options })
}

/** Run a program of the host on the host's tree, as root of our namespace. Resolves with its exit status. */
export function runOnHost(request: HostProgramRequest, context: SectionContext): Promise<number> {
  const { facts, debug, ...options } = context
  return run(planHostProgram(request, facts, debug), { stdin: 'ignore', ...options })
}
