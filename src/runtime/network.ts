/** Connect the network of a container by its pid, and take the connection away again. */

import { existsSync } from 'node:fs'
import type { Stream } from 'node:stream'
import { type Report, silent } from '../core/events.ts'
import { startTime } from '../host/process.ts'
import type { NetworkPlan } from '../plan/network.ts'
import {
  type Attachment,
  addNetwork,
  addressesOf,
  findNetwork,
  removeNetwork,
  resolverOf,
  toAttachment,
} from './cni.ts'
import { type HelperRecord, startHelper, stopHelper } from './helper.ts'

/** What `undoNetwork` needs; plain, so that it can be kept in a file. */
export type NetworkRecord =
  | HelperRecord
  | {
      readonly kind: 'plugins'
      /** Path of the network namespace; what is behind it may be gone. */
      readonly namespace: string
      readonly directories: readonly string[]
      readonly attachments: readonly Attachment[]
    }

export type Network = Disposable & {
  readonly addresses: readonly string[]
  /** The text of the container's resolv.conf. */
  readonly resolver: string
  readonly record: NetworkRecord
}

/** The addresses that slirp4netns gives; pasta takes those of the host. */
const helperAddresses = { pasta: [], slirp4netns: ['10.0.2.100'] } as const

export const namespaceOf = (pid: number): string => `/proc/${pid}/ns/net`

async function setUpPlugins(plan: NetworkPlan & { readonly kind: 'plugins' }, pid: number): Promise<Network> {
  const container = `sing-${pid}-${startTime(pid)}`
  const wanted = plan.networks.map((network, index) =>
    toAttachment(network, findNetwork(network.name, plan.configurations), container, index),
  )
  const place = { namespace: namespaceOf(pid), directories: plan.programs }
  const record = (attachments: readonly Attachment[]) => ({ kind: 'plugins', ...place, attachments }) as const
  const added: Attachment[] = []
  try {
    for (const attachment of wanted) added.push(await addNetwork(attachment, place))
  } catch (error) {
    // Also the one that failed half-way, whose plugins may complain a second time.
    await undoNetwork(record(wanted.slice(0, added.length + 1)), silent)
    throw error
  }
  return {
    addresses: added.flatMap(addressesOf),
    resolver: resolverOf(added) ?? plan.resolver,
    record: record(added),
    [Symbol.dispose]: () => {},
  }
}

/**
 * Connect the network of the process `pid`. With `life` a helper program ends when that stream does; without it when this
 * process ends, or the result is disposed.
 * @throws SingError NETWORK; nothing is left behind then
 */
export async function setUpNetwork(
  plan: NetworkPlan,
  pid: number,
  options: { readonly life?: Stream | undefined } = {},
): Promise<Network> {
  if (plan.kind === 'plugins') return setUpPlugins(plan, pid)
  const helper = await startHelper(plan, pid, options.life)
  return {
    addresses: helperAddresses[plan.program],
    resolver: plan.resolver,
    record: helper.record,
    [Symbol.dispose]: () => helper[Symbol.dispose](),
  }
}

/**
 * Take a connection away. Plugins remove all that they made only while the namespace is there: `namespace` is a path to it
 * for who has kept it open.
 */
export async function undoNetwork(record: NetworkRecord, report: Report, namespace?: string): Promise<void> {
  if (record.kind === 'helper') return stopHelper(record)
  const path = namespace ?? record.namespace
  const place = { namespace: existsSync(path) ? path : '', directories: record.directories }
  for (const attachment of [...record.attachments].reverse()) {
    for (const text of await removeNetwork(attachment, place)) report({ kind: 'warning', text })
  }
}
