/**
 * The networks that are there without any file: the names and addresses that users of Singularity know. A site puts a
 * file with the same name into the directory of configurations to have another one.
 */

import type { NetworkList } from './cni.ts'

/** Every plugin since 2019 speaks it, and it hands results on to the removal. */
const cniVersion = '0.4.0'

const everywhere = [{ dst: '0.0.0.0/0' }]

/** Behind the machine's address, with ports of the machine mapped into it. */
const behind = (name: string, type: string, subnet: string, more: object = {}): NetworkList => ({
  name,
  cniVersion,
  plugins: [
    { type, ipMasq: true, ipam: { type: 'host-local', subnet, routes: everywhere }, ...more },
    { type: 'firewall' },
    { type: 'portmap', capabilities: { portMappings: true }, snat: true },
  ],
})

/** Beside the machine, on the device of its default route. */
const beside = (name: string): NetworkList => ({
  name,
  cniVersion,
  plugins: [
    {
      type: name,
      ipam: {
        type: 'static',
        addresses: [{ address: '192.168.1.1/24', gateway: '192.168.1.254' }],
        routes: everywhere,
      },
    },
  ],
})

export const builtinNetworks: readonly NetworkList[] = [
  behind('bridge', 'bridge', '10.22.0.0/16', { bridge: 'sbr0', isGateway: true }),
  behind('ptp', 'ptp', '10.23.0.0/16'),
  beside('macvlan'),
  beside('ipvlan'),
]
