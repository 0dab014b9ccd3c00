/** Decides what is set up around a container: network and limits. Loaded only when there is something of the kind. */

import { readFileSync } from 'node:fs'
import type { Config } from '../config/load.ts'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { readCgroupFacts, readDeviceNumber } from '../host/cgroups.ts'
import type { HostFacts } from '../host/facts.ts'
import { readNetworkFacts } from '../host/network.ts'
import { type CgroupPlan, planCgroup } from '../plan/cgroup.ts'
import { checkLimits, type Limits, mergeLimits, parseFlags, weightedDevices } from '../plan/limits.ts'
import { type NetworkPlan, type NetworkRequest, planHelper, planPlugins } from '../plan/network.ts'
import type { Flags } from './command.ts'

/** A file of limits is a page. */
const largest = 64 * 1024

async function readLimits(path: string): Promise<Limits> {
  const { readResources } = await import('../plan/resources.ts')
  const { parse } = await import('smol-toml')
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new SingError('RESOURCES', `--apply-cgroups ${shown(path)}: ${reasonOf(error)}`, { cause: error })
  }
  if (text.length > largest)
    throw new SingError('RESOURCES', `--apply-cgroups ${shown(path)}: it is larger than 64 KiB`)
  let value: unknown
  try {
    value = parse(text, { integersAsBigInt: true })
  } catch (error) {
    const [reason = '', ...rest] = (error as Error).message.split('\n')
    const { line } = error as { line?: number }
    throw new SingError('RESOURCES', `${shown(path)}${line ? `:${line}` : ''}: ${reason}`, {
      hint: rest.join('\n').trim() || undefined,
      cause: error,
    })
  }
  return readResources(path, value)
}

/** The limits that flags and file ask for, and where they go on this machine. @throws SingError RESOURCES */
export async function decideLimits(
  flags: Flags,
  facts: HostFacts,
  config: Config,
): Promise<CgroupPlan | undefined> {
  const path = flags['apply-cgroups']
  const numbers = weightedDevices(flags).flatMap((device) => {
    const number = readDeviceNumber(device.path)
    return number ? [[device.path, number] as const] : []
  })
  const given = parseFlags(flags, Object.fromEntries(numbers))
  const file = typeof path === 'string' && path !== '' ? await readLimits(path) : {}
  const limits = checkLimits(mergeLimits(file, given))
  const isRoot = facts.isRoot && !facts.inUserNamespace
  const places = readCgroupFacts(facts.environment, facts.uid, isRoot)
  return planCgroup(limits, places, { isRoot, systemd: config.systemdCgroups })
}

/** What is to be set up for a network; nothing for one that the kernel makes by itself. @throws SingError NETWORK */
export function decideNetwork(
  request: NetworkRequest,
  facts: HostFacts,
  { cni }: Config,
): NetworkPlan | undefined {
  switch (request.kind) {
    case 'host':
    case 'none':
    case 'join':
      return undefined
    case 'helper':
      return planHelper(request, readNetworkFacts(facts.environment, facts.isRoot))
    case 'plugins':
      return planPlugins(
        request,
        {
          configurations: cni.configurationPath ? [cni.configurationPath] : [],
          programs: cni.pluginPath ? cni.pluginPath.split(':') : [],
        },
        readNetworkFacts(facts.environment, facts.isRoot),
      )
  }
}
