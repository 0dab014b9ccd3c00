/** Words about networks: what they mean for whom, and what a machine must have for it. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { HostFacts } from '../../../src/host/facts.ts'
import type { NetworkFacts } from '../../../src/host/network.ts'
import { parseNetwork, planHelper, planPlugins } from '../../../src/plan/network.ts'

const hosts = fileURLToPath(new URL('../../../fixtures/hosts/', import.meta.url))
const factsOf = (host: string): HostFacts => JSON.parse(readFileSync(`${hosts}${host}.json`, 'utf8'))
const user = factsOf('laptop')
const root = factsOf('root')
const inner = { ...root, inUserNamespace: true }

type Flags = Parameters<typeof parseNetwork>[0]

const port = (host: number, container: number, protocol = 'tcp') => ({ host, container, protocol })
const plain = (name: string) => ({ name, ports: [], ranges: [], words: [] })

describe('the network', () => {
  const cases: [what: string, flags: Flags, facts: HostFacts, meaning: object][] = [
    ['nothing', {}, user, { kind: 'host' }],
    ['--net of a user', { net: true }, user, { kind: 'none' }],
    ['--net of root', { net: true }, root, { kind: 'plugins', networks: [plain('bridge')] }],
    ['--net of root in a user namespace', { net: true }, inner, { kind: 'none' }],
    ['--network none', { network: 'none' }, root, { kind: 'none' }],
    ['--network pasta', { network: 'pasta' }, user, { kind: 'helper', program: 'pasta', ports: [] }],
    ['--network slirp', { network: 'slirp' }, user, { kind: 'helper', program: 'slirp4netns', ports: [] }],
    [
      'a port of a user',
      { net: true, 'network-args': ['portmap=8080:80/tcp'] },
      user,
      { kind: 'helper', program: undefined, ports: [port(8080, 80)] },
    ],
    [
      'ports of a user, without more words than needed',
      { 'network-args': ['portmap=8080:80;portmap=53/udp'] },
      user,
      { kind: 'helper', program: undefined, ports: [port(8080, 80), port(53, 53, 'udp')] },
    ],
    [
      'a port of root',
      { net: true, 'network-args': ['portmap=8080:80/TCP;IP=10.22.0.5', 'ipRange=10.22.1.0/24'] },
      root,
      {
        kind: 'plugins',
        networks: [
          { name: 'bridge', ports: [port(8080, 80)], ranges: ['10.22.1.0/24'], words: [['IP', '10.22.0.5']] },
        ],
      },
    ],
    [
      'several networks',
      { network: 'ptp,site', 'network-args': ['IP=10.0.0.1', 'site:IP=10.0.0.2;MAC=02:00:00:00:00:01'] },
      root,
      {
        kind: 'plugins',
        networks: [
          { ...plain('ptp'), words: [['IP', '10.0.0.1']] },
          {
            ...plain('site'),
            words: [
              ['IP', '10.0.0.2'],
              ['MAC', '02:00:00:00:00:01'],
            ],
          },
        ],
      },
    ],
    ['--netns-path', { 'netns-path': '/run/netns/x' }, root, { kind: 'join', path: '/run/netns/x' }],
  ]
  it.each(cases)('%s', (_, flags, facts, meaning) => {
    expect(parseNetwork(flags, facts)).toEqual(meaning)
  })

  const refused: [what: string, flags: Flags, facts: HostFacts, sentence: RegExp][] = [
    [
      'a bridge of a user',
      { network: 'bridge' },
      user,
      /--network bridge: only root can use network plugins/,
    ],
    [
      'an address of a user',
      { 'network-args': ['IP=10.0.0.1'] },
      user,
      /IP=10\.0\.0\.1 needs network plugins/,
    ],
    ['a network to join of a user', { 'netns-path': '/x' }, user, /--netns-path \/x: only root can join/],
    ['a network to join, and another', { 'netns-path': '/x', network: 'none' }, root, /exclude each other/],
    ['a network to join without a place', { 'netns-path': 'x' }, root, /not absolute/],
    ['none and another', { network: 'none,bridge' }, root, /none goes with no other network/],
    [
      'none with ports',
      { network: 'none', 'network-args': ['portmap=1:1'] },
      user,
      /takes no --network-args/,
    ],
    ['a network twice', { network: 'a,a' }, root, /--network a: named twice/],
    ['pasta of root', { network: 'pasta' }, root, /--network pasta is for users/],
    ['an odd name', { network: '../x' }, root, /not the name of a network/],
    [
      'arguments of another network',
      { network: 'a', 'network-args': ['b:IP=1'] },
      root,
      /b: no network of that name/,
    ],
    ['a port that is none', { 'network-args': ['portmap=80:x/tcp'] }, user, /portmap=80:x\/tcp: no ports/],
    ['a port beyond all', { 'network-args': ['portmap=65536:80/tcp'] }, user, /no ports/],
    ['a port 0', { 'network-args': ['portmap=0:80/tcp'] }, user, /no ports/],
    ['another protocol', { 'network-args': ['portmap=80:80/icmp'] }, user, /no ports/],
    ['an argument without value', { 'network-args': ['portmap'] }, user, /expected NAME=VALUE/],
    ['an argument without name', { 'network-args': ['=x'] }, user, /expected NAME=VALUE/],
  ]
  it.each(refused)('is refused for %s', (_, flags, facts, sentence) => {
    expect(() => parseNetwork(flags, facts)).toThrow(sentence)
  })
})

const machine: NetworkFacts = {
  pasta: '/usr/bin/pasta',
  slirp4netns: '/usr/bin/slirp4netns',
  tun: true,
  defaultRoute: true,
  lowestPort: 1024,
  resolvConf: 'nameserver 127.0.0.53\noptions edns0\nsearch example.org\n',
}
const any = { kind: 'helper', program: undefined, ports: [port(8080, 80)] } as Parameters<
  typeof planHelper
>[0]

const pasta = { ...any, program: 'pasta' } as const

describe('a network of a user', () => {
  it('is connected by pasta, whose resolver reaches that of the host', () => {
    expect(planHelper(pasta, machine)).toEqual({
      kind: 'helper',
      program: 'pasta',
      path: '/usr/bin/pasta',
      ports: [port(8080, 80)],
      resolver: 'nameserver 169.254.1.1\noptions edns0\nsearch example.org\n',
    })
  })

  it('keeps the resolvers of a host that has only those of IPv6', () => {
    const resolvConf = 'nameserver 2001:db8::53\n'
    expect(planHelper(pasta, { ...machine, resolvConf }).resolver).toBe(resolvConf)
  })

  it('is connected by slirp4netns, or by pasta where that is missing', () => {
    const { program, resolver } = planHelper(any, machine)
    expect(program).toBe('slirp4netns')
    expect(resolver).toMatch(/^nameserver 10\.0\.2\.3\n/)
    expect(planHelper(any, { ...machine, slirp4netns: undefined }).program).toBe('pasta')
  })

  const lacking: [
    what: string,
    request: object,
    change: Partial<NetworkFacts>,
    sentence: RegExp,
    hint: RegExp,
  ][] = [
    [
      'both',
      {},
      { pasta: undefined, slirp4netns: undefined },
      /needs slirp4netns or pasta/,
      /slirp4netns or passt/,
    ],
    [
      'pasta',
      { program: 'pasta' },
      { pasta: undefined },
      /--network pasta: it is not installed/,
      /package passt/,
    ],
    [
      'slirp4netns',
      { program: 'slirp4netns' },
      { slirp4netns: undefined },
      /is not installed/,
      /slirp4netns/,
    ],
    ['a route', { program: 'pasta' }, { defaultRoute: false }, /no default route/, /slirp4netns/],
    [
      'a route, alone',
      {},
      { defaultRoute: false, slirp4netns: undefined },
      /no default route/,
      /slirp4netns/,
    ],
    ['/dev/net/tun', {}, { tun: false }, /\/dev\/net\/tun cannot be used/, /modprobe tun/],
    ['rights', { ports: [port(80, 80)] }, {}, /ports of the host below 1024/, /portmap=8080:80\/tcp/],
  ]
  it.each(lacking)('is refused on a machine that lacks %s', (_, request, change, sentence, hint) => {
    const ask = () => planHelper({ ...any, ...request }, { ...machine, ...change })
    expect(ask).toThrow(expect.objectContaining({ message: expect.stringMatching(sentence) }))
    expect(ask).toThrow(expect.objectContaining({ hint: expect.stringMatching(hint) }))
  })
})

describe('networks of plugins', () => {
  const request = { kind: 'plugins', networks: [plain('bridge')] } as const

  it('are looked up at the usual places', () => {
    expect(planPlugins(request, { configurations: [], programs: [] }, machine)).toMatchObject({
      configurations: ['/etc/sing/network', '/etc/cni/net.d'],
      programs: ['/usr/lib/cni', '/usr/libexec/cni', '/opt/cni/bin'],
      resolver: machine.resolvConf,
    })
  })

  it('are looked up where the site says', () => {
    const places = { configurations: ['/site'], programs: ['/plugins'] }
    expect(planPlugins(request, places, machine)).toMatchObject(places)
  })
})
