/**
 * A client of CNI plugins (Container Network Interface, specification 1.0): finds the list of a network, runs its plugins
 * one after the other, each with the result of the one before, and in reverse to take the network away. A plugin is a
 * program: its request is JSON on stdin and variables, its answer JSON on stdout.
 */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import type { PluginNetwork } from '../plan/network.ts'
import { builtinNetworks } from './networks.ts'

type Json = Readonly<Record<string, unknown>>

/** A list of plugins, as a file has it. */
export type NetworkList = {
  readonly name: string
  readonly cniVersion: string
  readonly plugins: readonly (Json & { readonly type: string })[]
}

/** One network of one container; plain, so that it can be kept until it is taken away. */
export type Attachment = {
  readonly list: NetworkList
  readonly container: string
  readonly interface: string
  /** CNI_ARGS. */
  readonly words: string
  /** Values for plugins that have the capability. */
  readonly capabilities: Json
  readonly result?: Json | undefined
}

const refuse = (sentence: string, details: { hint?: string | undefined; cause?: unknown } = {}): never => {
  throw new SingError('NETWORK', sentence, details)
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A configuration is a page; an answer of a plugin is less. */
const largest = 256 * 1024

function readJson(path: string): Json {
  try {
    if (statSync(path).size > largest)
      refuse(`${path} is no network configuration: it is larger than 256 KiB`)
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (isObject(value)) return value
  } catch (error) {
    if (error instanceof SingError) throw error
    const reason = error instanceof SyntaxError ? 'it is no JSON' : reasonOf(error)
    return refuse(`cannot read the network configuration ${path}: ${reason}`, { cause: error })
  }
  return refuse(`cannot read the network configuration ${path}: it is no JSON object`)
}

const isPluginName = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z0-9][\w.-]*$/.test(value)

/** A list of plugins; a file may also hold one plugin alone. */
function toList(path: string, value: Json): NetworkList {
  const { name, cniVersion = '0.2.0', plugins = [value] } = value
  const wrong = (what: string) => refuse(`${path} is no network configuration: ${what}`)
  if (typeof name !== 'string') return wrong('it has no name')
  if (typeof cniVersion !== 'string' || !/^[\d.]+$/.test(cniVersion))
    return wrong('its cniVersion is no version')
  if (!Array.isArray(plugins) || plugins.length === 0 || plugins.length > 32)
    return wrong('it lists no plugins')
  for (const plugin of plugins) {
    if (!isObject(plugin) || !isPluginName(plugin.type)) return wrong('a plugin of it has no type')
  }
  return { name, cniVersion, plugins: plugins as NetworkList['plugins'] }
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(conflist|conf|json)$/.test(name))
      .sort()
      .map((name) => join(directory, name))
  } catch (error) {
    // Tools of root make closed ones, which say nothing to others: what is built in is there all the same.
    if (['ENOENT', 'EACCES'].includes(errnoOf(error) ?? '')) return []
    return refuse(`cannot read the network configurations in ${directory}: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

/**
 * The list of a network: the first file that has the name, or one of ours.
 * @throws SingError NETWORK when there is none, and for files that are no configurations
 */
export function findNetwork(name: string, directories: readonly string[]): NetworkList {
  const known: string[] = []
  for (const path of directories.flatMap(filesIn)) {
    const value = readJson(path)
    if (value.name === name) return toList(path, value)
    if (typeof value.name === 'string') known.push(value.name)
  }
  const builtin = builtinNetworks.find((list) => list.name === name)
  if (builtin) return builtin
  const names = [...new Set([...known, ...builtinNetworks.map((list) => list.name)])]
  return refuse(`--network ${shown(name)}: there is no network of that name`, {
    hint: `There are ${names.map(shown).join(', ')}; others are described by files in ${directories.join(', ')}`,
  })
}

/** What a network becomes for one container. */
export function toAttachment(
  network: PluginNetwork,
  list: NetworkList,
  container: string,
  index: number,
): Attachment {
  const { ports, ranges, words } = network
  const needs = [...(ports.length > 0 ? ['portMappings'] : []), ...(ranges.length > 0 ? ['ipRanges'] : [])]
  const has = (name: string) =>
    list.plugins.some(({ capabilities }) => isObject(capabilities) && capabilities[name] === true)
  const lacking = needs.find((name) => !has(name))
  if (lacking)
    refuse(`the network ${list.name} has no plugin for ${lacking === 'portMappings' ? 'portmap' : 'ipRange'}`)
  return {
    list,
    container,
    interface: `eth${index}`,
    // Plugins refuse words that they do not know, and each knows only its own.
    words: [['IgnoreUnknown', '1'], ...words].map(([name, value]) => `${name}=${value}`).join(';'),
    capabilities: {
      portMappings: ports.map(({ host, container: inside, protocol }) => ({
        hostPort: host,
        containerPort: inside,
        protocol,
      })),
      ipRanges: ranges.map((subnet) => [{ subnet }]),
    },
  }
}

function findPlugin(type: string, directories: readonly string[]): string {
  const path = directories
    .map((directory) => join(directory, type))
    .find((candidate) => existsSync(candidate))
  return (
    path ??
    refuse(`the network plugin ${shown(type)} is not installed: it is not in ${directories.join(', ')}`, {
      hint: 'Install the package containernetworking-plugins, or name the directory: "cni plugin path" in the configuration',
    })
  )
}

/** The configuration that a plugin reads: its own part, and what belongs to the network and to this container. */
function toInput(attachment: Attachment, plugin: Json, result: Json | undefined): string {
  const { list, capabilities: values } = attachment
  const { capabilities, ...own } = plugin
  const runtimeConfig = Object.fromEntries(
    Object.entries(isObject(capabilities) ? capabilities : {})
      .filter(
        ([name, isWanted]) => isWanted === true && Array.isArray(values[name]) && values[name].length > 0,
      )
      .map(([name]) => [name, values[name]]),
  )
  return JSON.stringify({
    ...own,
    name: list.name,
    cniVersion: list.cniVersion,
    ...(Object.keys(runtimeConfig).length > 0 ? { runtimeConfig } : {}),
    ...(result ? { prevResult: result } : {}),
  })
}

/** Plugins run iptables and the like. */
const programs = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin'

/** Milliseconds that a plugin may take: DHCP has its time. */
const usualPatience = 30_000

type Command = 'ADD' | 'DEL'

/** Where the plugins are, and the network namespace that they change. */
export type PluginPlace = {
  readonly namespace: string
  readonly directories: readonly string[]
  /** Milliseconds for each of them. */
  readonly patience?: number
}

function parseAnswer(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

async function runPlugin(
  command: Command,
  attachment: Attachment,
  plugin: NetworkList['plugins'][number],
  place: PluginPlace,
  previous: Json | undefined,
): Promise<Json | undefined> {
  const { patience = usualPatience } = place
  const path = findPlugin(plugin.type, place.directories)
  const { execa } = await import('execa')
  const { exitCode, timedOut, stdout, stderr, shortMessage } = await execa(path, [], {
    input: toInput(attachment, plugin, previous),
    extendEnv: false,
    env: {
      PATH: programs,
      CNI_COMMAND: command,
      CNI_CONTAINERID: attachment.container,
      CNI_NETNS: place.namespace,
      CNI_IFNAME: attachment.interface,
      CNI_ARGS: attachment.words,
      CNI_PATH: place.directories.join(':'),
    },
    timeout: patience,
    maxBuffer: largest,
    reject: false,
    // Keys of the terminal are for the container.
    detached: true,
  })
  const what = `the network plugin ${plugin.type} of ${attachment.list.name}`
  if (timedOut) return refuse(`${what} did not answer in ${patience / 1000} seconds`)
  const answer = parseAnswer(stdout)
  if (exitCode === 0) return answer
  const said = [answer?.msg, answer?.details]
    .filter((text) => typeof text === 'string' && text !== '')
    .join(': ')
  return refuse(
    `${what} failed: ${shown(said || stderr.trim().split('\n')[0] || shortMessage || 'without a word')}`,
  )
}

/**
 * Connect a container to a network.
 * @throws SingError NETWORK with what the plugin said; `removeNetwork` is to be called all the same
 */
export async function addNetwork(attachment: Attachment, place: PluginPlace): Promise<Attachment> {
  let result: Json | undefined
  for (const plugin of attachment.list.plugins) {
    result = await runPlugin('ADD', attachment, plugin, place, result)
    if (!result) return refuse(`the network plugin ${plugin.type} of ${attachment.list.name} gave no result`)
  }
  return { ...attachment, result }
}

/** Take a network away. What a plugin cannot undo hinders no other; resolves with what they said. */
export async function removeNetwork(attachment: Attachment, place: PluginPlace): Promise<string[]> {
  const complaints: string[] = []
  for (const plugin of [...attachment.list.plugins].reverse()) {
    try {
      await runPlugin('DEL', attachment, plugin, place, attachment.result)
    } catch (error) {
      complaints.push((error as Error).message)
    }
  }
  return complaints
}

/** The addresses of a result, without their prefix lengths. */
export function addressesOf({ result }: Attachment): string[] {
  const ips = Array.isArray(result?.ips) ? result.ips : []
  return ips.flatMap((ip: unknown) =>
    isObject(ip) && typeof ip.address === 'string' && /^[0-9a-f.:]+\/\d+$/i.test(ip.address)
      ? [ip.address.replace(/\/\d+$/, '')]
      : [],
  )
}

const lineOf = (value: unknown): string[] =>
  Array.isArray(value)
    ? value.filter((word): word is string => typeof word === 'string' && /^[^\s]+$/.test(word))
    : []

/** A resolv.conf of what the plugins say about names; undefined when they name no server. */
export function resolverOf(attachments: readonly Attachment[]): string | undefined {
  const answers = attachments.map(({ result }) => result?.dns).filter(isObject)
  const servers = answers.flatMap(({ nameservers }) => lineOf(nameservers))
  if (servers.length === 0) return undefined
  const domain = answers.flatMap((dns) => lineOf([dns.domain]))[0]
  const search = answers.flatMap((dns) => lineOf(dns.search))
  const options = answers.flatMap((dns) => lineOf(dns.options))
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(domain ? [`domain ${domain}`] : []),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n')
}
