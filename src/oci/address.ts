/** Where the registry that a reference names is, and how far away. */

import { BlockList, isIPv4 } from 'node:net'

const hub = 'docker.io'
const hubApi = 'registry-1.docker.io'
/** What the files of Docker call its hub. */
export const hubKey = 'https://index.docker.io/v1/'
const hubNames = [hub, 'index.docker.io', hubApi, 'registry.hub.docker.com']

export const isHub = (host: string): boolean => hubNames.includes(host)

/** The host that answers for a registry. */
export const apiHost = (registry: string): string => (isHub(registry) ? hubApi : registry)

/** A host without its port, and without the brackets of an address of IPv6. */
export const withoutPort = (host: string): string =>
  host.replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^([^:]*):\d+$/, '$1')

const privateNetworks = new BlockList()
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  privateNetworks.addSubnet(network, prefix, 'ipv4')

/** An address of a private network, written as a number (RFC 1918). */
export const isPrivate = (name: string): boolean => isIPv4(name) && privateNetworks.check(name, 'ipv4')

const innerNetworks = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  innerNetworks.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  innerNetworks.addSubnet(network, prefix, 'ipv6')

/** An address, written as a number, that is another machine for everybody who asks: of private networks, of this machine. */
export const isInner = (name: string): boolean =>
  isIPv4(name)
    ? innerNetworks.check(name, 'ipv4')
    : name.includes(':')
      ? innerNetworks.check(name, 'ipv6')
      : false
