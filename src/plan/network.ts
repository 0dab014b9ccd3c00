/** Which network a container gets: from the words of the user to what has to be set up, and what a machine lacks for it. */

import { SingError, shown } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { NetworkFacts } from '../host/network.ts'

export type Port = {
  readonly host: number
  readonly container: number
  readonly protocol: 'tcp' | 'udp'
}

/** A network of the CNI plugins, with what --network-args say of it. */
export type PluginNetwork = {
  readonly name: string
  readonly ports: readonly Port[]
  /** Subnets to take the address from. */
  readonly ranges: readonly string[]
  /** Words for CNI_ARGS. */
  readonly words: readonly (readonly [name: string, value: string])[]
}

export type HelperName = 'pasta' | 'slirp4netns'

export type NetworkRequest =
  /** The network of the host, shared. */
  | { readonly kind: 'host' }
  /** A network with the loopback device only. */
  | { readonly kind: 'none' }
  /** The network behind this path. */
  | { readonly kind: 'join'; readonly path: string }
  /** A network that a program of the user connects. */
  | { readonly kind: 'helper'; readonly program: HelperName | undefined; readonly ports: readonly Port[] }
  | { readonly kind: 'plugins'; readonly networks: readonly PluginNetwork[] }

/** What has to be set up between the namespaces and the payload. */
export type NetworkPlan =
  | {
      readonly kind: 'helper'
      readonly program: HelperName
      readonly path: string
      readonly ports: readonly Port[]
      /** The text of the container's resolv.conf. */
      readonly resolver: string
    }
  | {
      readonly kind: 'plugins'
      readonly networks: readonly PluginNetwork[]
      /** Directories of network configurations and of plugins. */
      readonly configurations: readonly string[]
      readonly programs: readonly string[]
      /** The text of resolv.conf where no plugin has one. */
      readonly resolver: string
    }

type Flags = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>

const words = (value: Flags[string]): string[] =>
  (Array.isArray(value) ? value : typeof value === 'string' ? [value] : [])
    .flatMap((entry: string) => entry.split(','))
    .map((entry) => entry.trim())
    .filter(Boolean)

const refuse = (sentence: string, hint?: string): never => {
  throw new SingError('NETWORK', sentence, { hint })
}

const portHint = 'Write portmap=HOST:CONTAINER/tcp or portmap=PORT/udp, with ports from 1 to 65535'

/** `8080:80/tcp`, `80/udp`. */
function parsePort(value: string): Port {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/i.exec(value)
  const container = Number(match?.[2])
  const host = Number(match?.[1] ?? match?.[2])
  if (!match || [host, container].some((port) => port < 1 || port > 65535))
    return refuse(`--network-args portmap=${shown(value)}: no ports`, portHint)
  return { host, container, protocol: match[3]?.toLowerCase() === 'udp' ? 'udp' : 'tcp' }
}

type Argument = { readonly network: string | undefined; readonly name: string; readonly value: string }

/** `[NETWORK:]NAME=VALUE[;NAME=VALUE...]` */
function parseArguments(word: string): Argument[] {
  const [, network, rest = ''] = /^(?:([^:=]+):(?=[^=]*=))?(.*)$/s.exec(word) ?? []
  return rest.split(';').flatMap((pair): Argument[] => {
    const [, name = '', value = ''] = /^\s*([^=\s]+)=(.*?)\s*$/s.exec(pair) ?? []
    if (!pair.trim()) return []
    if (!name || !value || /[\s;]/.test(value))
      return refuse(`--network-args ${shown(word)}: expected NAME=VALUE`, portHint)
    return [{ network, name, value }]
  })
}

const valuesOf = (given: readonly Argument[], name: string): string[] =>
  given.filter((argument) => argument.name === name).map(({ value }) => value)

function pluginNetworks(names: readonly string[], given: readonly Argument[]): PluginNetwork[] {
  const stranger = given.find(({ network }) => network !== undefined && !names.includes(network))
  if (stranger)
    refuse(`--network-args ${shown(stranger.network ?? '')}: no network of that name in --network ${names}`)
  return names.map((name, index) => {
    // Without a name an argument belongs to the first network.
    const own = given.filter(({ network }) => (network ?? names[0]) === name)
    if (!/^[A-Za-z0-9][\w.-]*$/.test(name) || names.indexOf(name) !== index)
      refuse(
        `--network ${shown(name)}: ${names.indexOf(name) === index ? 'not the name of a network' : 'named twice'}`,
      )
    return {
      name,
      ports: valuesOf(own, 'portmap').map(parsePort),
      ranges: valuesOf(own, 'ipRange'),
      words: own
        .filter((argument) => argument.name !== 'portmap' && argument.name !== 'ipRange')
        .map((argument) => [argument.name, argument.value] as const),
    }
  })
}

const helpers: Readonly<Record<string, HelperName>> = {
  pasta: 'pasta',
  slirp: 'slirp4netns',
  slirp4netns: 'slirp4netns',
}

function helperNetwork(program: HelperName | undefined, given: readonly Argument[]): NetworkRequest {
  const other = given.find(({ name, network }) => name !== 'portmap' || network !== undefined)
  if (other)
    refuse(
      `--network-args ${shown(other.name)}=${shown(other.value)} needs network plugins, which only root can use`,
      'A network of your own takes portmap=HOST:CONTAINER/tcp',
    )
  return { kind: 'helper', program, ports: valuesOf(given, 'portmap').map(parsePort) }
}

function joinNetwork(path: string, others: boolean, facts: HostFacts): NetworkRequest {
  if (others) refuse('--netns-path and --network exclude each other')
  if (!path.startsWith('/')) refuse(`--netns-path ${shown(path)}: the path is not absolute`)
  if (!facts.isRoot)
    refuse(
      `--netns-path ${shown(path)}: only root can join a network that others made`,
      'Leave it out to share the network of the host, or use --network pasta for one of your own',
    )
  return { kind: 'join', path }
}

/**
 * The network that the flags ask for.
 * @throws SingError NETWORK for words that mean nothing, and for what only root can have
 */
export function parseNetwork(flags: Flags, facts: HostFacts): NetworkRequest {
  const names = words(flags.network)
  const given = words(flags['network-args']).flatMap(parseArguments)
  const path = flags['netns-path']
  if (typeof path === 'string' && path !== '')
    return joinNetwork(path, names.length + given.length > 0, facts)
  if (flags.net !== true && names.length + given.length === 0) return { kind: 'host' }
  const [first, second] = names
  if (first === undefined) {
    if (facts.isRoot && !facts.inUserNamespace)
      return { kind: 'plugins', networks: pluginNetworks(['bridge'], given) }
    return given.length > 0 ? helperNetwork(undefined, given) : { kind: 'none' }
  }
  const special = names.find((name) => name === 'none' || helpers[name])
  if (special !== undefined && second !== undefined)
    refuse(`--network ${names}: ${special} goes with no other network`)
  if (first === 'none') {
    if (given.length > 0) refuse('--network none takes no --network-args: there is only the loopback device')
    return { kind: 'none' }
  }
  if (helpers[first] === 'pasta' && facts.isRoot && !facts.inUserNamespace)
    refuse(
      '--network pasta is for users: it gives up the rights of root, and cannot reach the container then',
      'Use --network slirp4netns or --network bridge',
    )
  if (helpers[first]) return helperNetwork(helpers[first], given)
  if (!facts.isRoot)
    refuse(
      `--network ${shown(first)}: only root can use network plugins`,
      'Use --network pasta, or --network-args portmap=HOST:CONTAINER/tcp, for a network of your own, or --network none',
    )
  return { kind: 'plugins', networks: pluginNetworks(names, given) }
}

const isLine = (name: string) => (line: string) => line.split(/\s/)[0] === name

/** The host's resolv.conf with other servers: domains to search and options stay. */
function withServer(text: string, server: string): string {
  const kept = text
    .split('\n')
    .filter((line) => ['search', 'domain', 'options'].some((name) => isLine(name)(line)))
  return [`nameserver ${server}`, ...kept, ''].join('\n')
}

/** What pasta hands on to the first server of the host, also where that listens on loopback only. */
export const pastaResolver = '169.254.1.1'
const slirpResolver = '10.0.2.3'

function resolverOf(program: HelperName, { resolvConf }: NetworkFacts): string {
  if (program === 'slirp4netns') return withServer(resolvConf, slirpResolver)
  const hasOld = resolvConf.split('\n').some((line) => /^nameserver\s+\d+\.\d+\.\d+\.\d+/.test(line))
  return hasOld ? withServer(resolvConf, pastaResolver) : resolvConf
}

/** The package that has the program. */
const packageOf = { pasta: 'passt', slirp4netns: 'slirp4netns' } as const

/**
 * slirp4netns works anywhere; pasta takes address and routes from the host, which therefore must have some, and its
 * releases of 2023, which distributions still have, repeat what a server sends last.
 */
function chooseHelper(wanted: HelperName | undefined, facts: NetworkFacts): HelperName {
  const program = wanted ?? (facts.slirp4netns ? 'slirp4netns' : 'pasta')
  if (!facts[program] && wanted)
    refuse(`--network ${wanted}: it is not installed`, `Install the package ${packageOf[wanted]}`)
  if (!facts[program])
    refuse(
      'a network of your own needs slirp4netns or pasta, and neither is installed',
      'Install the package slirp4netns or passt (pasta)',
    )
  if (program === 'pasta' && !facts.defaultRoute)
    refuse(
      'pasta cannot connect the container: this machine has no default route to take an address from',
      'Install the package slirp4netns, and use --network slirp4netns, which needs none',
    )
  return program
}

/**
 * A network that a program of the user connects, on this machine.
 * @throws SingError NETWORK naming what is missing
 */
export function planHelper(
  request: NetworkRequest & { readonly kind: 'helper' },
  facts: NetworkFacts,
): NetworkPlan & { readonly kind: 'helper' } {
  const program = chooseHelper(request.program, facts)
  if (!facts.tun)
    refuse(
      `${program} cannot connect the container: /dev/net/tun cannot be used`,
      'Ask the administrator for: modprobe tun, and chmod 666 /dev/net/tun',
    )
  const low = request.ports.find(({ host }) => host < facts.lowestPort)
  if (low)
    refuse(
      `--network-args portmap=${low.host}:${low.container}/${low.protocol}: you may not open ports of the host below ${facts.lowestPort}`,
      `Use a higher port, as in portmap=${low.host + 8000}:${low.container}/${low.protocol}, or ask the administrator for: sysctl net.ipv4.ip_unprivileged_port_start=${low.host}`,
    )
  return {
    kind: 'helper',
    program,
    path: facts[program] ?? '',
    ports: request.ports,
    resolver: resolverOf(program, facts),
  }
}

/** Where the plugins and their configurations are, when the site's configuration does not say. */
export const defaultConfigurations = ['/etc/sing/network', '/etc/cni/net.d'] as const
export const defaultPlugins = ['/usr/lib/cni', '/usr/libexec/cni', '/opt/cni/bin'] as const

/** Networks of CNI plugins, with the directories that the site's configuration names. */
export function planPlugins(
  request: NetworkRequest & { readonly kind: 'plugins' },
  directories: { readonly configurations: readonly string[]; readonly programs: readonly string[] },
  facts: NetworkFacts,
): NetworkPlan & { readonly kind: 'plugins' } {
  const { configurations, programs } = directories
  return {
    kind: 'plugins',
    networks: request.networks,
    configurations: configurations.length > 0 ? configurations : defaultConfigurations,
    programs: programs.length > 0 ? programs : defaultPlugins,
    resolver: facts.resolvConf,
  }
}
