/**
 * What is set up around a container from outside, between its namespaces and its payload, and taken away after its end:
 * network and cgroups.
 */

import { closeSync, openSync } from 'node:fs'
import type { Stream } from 'node:stream'
import type { Report } from '../core/events.ts'
import type { Scope } from '../host/cgroups.ts'
import type { LaunchPlan } from '../plan/plan.ts'
import type { LaunchSpec } from '../plan/spec.ts'
import { type CgroupRecord, enterCgroups, removeCgroups } from './cgroup.ts'
import { run } from './launch.ts'
import { type NetworkRecord, namespaceOf, setUpNetwork, undoNetwork } from './network.ts'

export type Around = NonNullable<LaunchPlan['around']>

/** What `undo` needs; plain, so that it can be kept in a file. */
export type AroundRecord = {
  readonly network?: NetworkRecord | undefined
  readonly cgroups?: CgroupRecord | ScopeRecord | undefined
}

/** A scope of systemd that the container runs in, which ends with its last process. */
export type ScopeRecord = Omit<Scope, 'directory'> & {
  readonly kind: 'scope'
  readonly directories: readonly string[]
}

export type Surroundings = Disposable & {
  readonly record: AroundRecord
  readonly addresses: readonly string[]
  /** What the starter waits for. */
  readonly answer: string
}

export type AroundOptions = {
  readonly report: Report
  /** Its end is the container's, for what must not outlive that; without it the end of this process counts. */
  readonly life?: Stream | undefined
}

/**
 * Set up what the plan says around the process `pid`, which waits in its namespaces.
 * @throws SingError NETWORK, RESOURCES; nothing is left behind then
 */
export async function setUp(around: Around, pid: number, options: AroundOptions): Promise<Surroundings> {
  // The helper of a network is no part of the container: it starts outside of its cgroups.
  const network = around.network ? await setUpNetwork(around.network, pid, options) : undefined
  try {
    const cgroups = around.cgroups ? await enterCgroups(around.cgroups, pid) : undefined
    return {
      record: { network: network?.record, cgroups },
      addresses: network?.addresses ?? [],
      answer: network?.resolver ?? '',
      [Symbol.dispose]: () => network?.[Symbol.dispose](),
    }
  } catch (error) {
    if (network) await undoNetwork(network.record, options.report)
    network?.[Symbol.dispose]()
    throw error
  }
}

/** A network namespace that stays, so that plugins can clean up in it, until disposed; one that is gone is nothing to hold. */
export function holdNetwork(pid: number): Disposable & { readonly path: string } {
  let fd: number
  try {
    fd = openSync(namespaceOf(pid), 'r')
  } catch {
    return { path: namespaceOf(pid), [Symbol.dispose]: () => {} }
  }
  return { path: `/proc/${process.pid}/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) }
}

/** Take away what `setUp` made, after the container's end. `namespace` is the path of a held network. */
export async function undo(record: AroundRecord, report: Report, namespace?: string): Promise<void> {
  if (record.network) await undoNetwork(record.network, report, namespace)
  if (record.cgroups?.kind === 'cgroups') await removeCgroups(record.cgroups)
}

/** Run a container with what has to be around it. Resolves with its exit status, as if it had replaced this process. */
export async function runAround(
  spec: LaunchSpec,
  around: Around,
  options: { readonly report: Report; readonly descriptors: readonly number[] },
): Promise<number> {
  const { report, descriptors } = options
  let held: ReturnType<typeof holdNetwork> | undefined
  let surroundings: Surroundings | undefined
  const between = async (pid: number): Promise<string> => {
    if (around.network?.kind === 'plugins') held = holdNetwork(pid)
    surroundings = await setUp(around, pid, { report })
    return surroundings.answer
  }
  try {
    return await run(spec, { descriptors, between })
  } finally {
    if (surroundings) await undo(surroundings.record, report, held?.path)
    surroundings?.[Symbol.dispose]()
    held?.[Symbol.dispose]()
  }
}
