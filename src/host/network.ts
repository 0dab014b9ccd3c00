/** What this machine has for networks of containers. Read only when a container is to have one. */

import { constants } from 'node:fs'
import { findProgram, isUsable, readIfThere } from './look.ts'

export type NetworkFacts = {
  /** Programs that connect the network of a user, where they are installed. */
  readonly pasta: string | undefined
  readonly slirp4netns: string | undefined
  /** /dev/net/tun may be opened. */
  readonly tun: boolean
  /** There is a way to elsewhere. */
  readonly defaultRoute: boolean
  /** The lowest port that the caller may open. */
  readonly lowestPort: number
  /** The text of /etc/resolv.conf. */
  readonly resolvConf: string
}

/** A resolv.conf is a few lines, and has to fit into the answer to the starter. */
const longestResolvConf = 32 * 1024

/** A route to everywhere: of IPv4 (destination and mask 0), or of IPv6 over a device other than loopback. */
function hasDefaultRoute(): boolean {
  const old = readIfThere('/proc/net/route').split('\n').slice(1)
  if (old.some((line) => /^\S+\t00000000\t\S+\t\S+\t\S+\t\S+\t\S+\t00000000\t/.test(line))) return true
  return readIfThere('/proc/net/ipv6_route')
    .split('\n')
    .some((line) => /^0{32} 00 /.test(line) && !/\slo$/.test(line))
}

/** Look for them. `environment` is what the caller had. */
export function readNetworkFacts(
  environment: Readonly<Record<string, string>>,
  isRoot: boolean,
): NetworkFacts {
  const path = environment.PATH ?? ''
  const lowest = Number(readIfThere('/proc/sys/net/ipv4/ip_unprivileged_port_start').trim() || 1024)
  return {
    pasta: findProgram('pasta', path),
    slirp4netns: findProgram('slirp4netns', path),
    tun: isUsable('/dev/net/tun', constants.R_OK | constants.W_OK),
    defaultRoute: hasDefaultRoute(),
    lowestPort: isRoot || !Number.isInteger(lowest) ? 0 : lowest,
    resolvConf: readIfThere('/etc/resolv.conf').slice(0, longestResolvConf),
  }
}
