/** Limits of resources: from flags and an OCI file to values, and from values to what kernel and systemd call them. */

import { SingError, shown } from '../core/errors.ts'
import { parseSize } from '../core/units.ts'

/** Bytes or a count; -1 is "no limit". */
type Amount = number

export type DeviceNumber = { readonly major: number; readonly minor: number }
type DeviceWeight = DeviceNumber & { readonly weight: number }

export const throttleKinds = ['rbps', 'wbps', 'riops', 'wiops'] as const
type Throttle = DeviceNumber & { readonly kind: (typeof throttleKinds)[number]; readonly rate: number }

export type Limits = {
  readonly memory?: Amount
  readonly reservation?: Amount
  /** Memory and swap together. */
  readonly swap?: Amount
  readonly swappiness?: number
  /** Processes that need more memory wait instead of being killed. */
  readonly keepOnOom?: boolean
  readonly shares?: number
  /** Microseconds of processor time in each period. */
  readonly quota?: Amount
  readonly period?: number
  readonly cpus?: string
  readonly nodes?: string
  readonly processes?: Amount
  readonly weight?: number
  readonly deviceWeights?: readonly DeviceWeight[]
  readonly throttles?: readonly Throttle[]
  readonly hugepages?: readonly { readonly size: string; readonly limit: Amount }[]
  /** Files of cgroup v2 and what to write into them. */
  readonly unified?: Readonly<Record<string, string>>
}

type Flags = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>

export const defaultPeriod = 100_000

const refuse = (sentence: string, hint?: string): never => {
  throw new SingError('RESOURCES', sentence, { hint })
}

const isGiven = (value: Flags[string]): boolean =>
  value !== undefined && value !== false && value !== '' && !(Array.isArray(value) && value.length === 0)

const sizeHint = 'Write bytes or a number with a unit, such as 512M or 1.5G; -1 is no limit'

function sizeFlag(flags: Flags, name: string): Amount | undefined {
  const word = flags[name]
  if (!isGiven(word)) return undefined
  if (String(word).trim() === '-1') return -1
  const bytes = parseSize(String(word))
  return bytes === undefined || bytes === 0
    ? refuse(`--${name} ${shown(String(word))}: not a size`, sizeHint)
    : bytes
}

function numberFlag(flags: Flags, name: string, least: number, most: number): number | undefined {
  const value = flags[name]
  if (!isGiven(value) || value === 0) return undefined
  const number = Number(value)
  if (Number.isSafeInteger(number) && number >= least && number <= most) return number
  return refuse(`--${name} ${shown(String(value))}: expected a whole number from ${least} to ${most}`)
}

/** `--cpus 1.5` is 150 ms in each 100 ms. */
function quotaFlag(flags: Flags): number | undefined {
  const { cpus: word } = flags
  if (!isGiven(word)) return undefined
  const cpus = /^\d*\.?\d+$/.test(String(word)) ? Number(word) : Number.NaN
  const quota = Math.round(cpus * defaultPeriod)
  // The kernel takes no less than a millisecond (CFS bandwidth control).
  return quota >= 1000 && Number.isSafeInteger(quota)
    ? quota
    : refuse(`--cpus ${shown(String(word))}: expected a number of processors, at least 0.01`)
}

const isSet = (text: string): boolean => /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)

function setFlag(flags: Flags, name: string): string | undefined {
  const word = flags[name]
  if (!isGiven(word)) return undefined
  return isSet(String(word))
    ? String(word)
    : refuse(
        `--${name} ${shown(String(word))}: not a list of numbers`,
        'Write numbers and ranges, such as 0-3,7',
      )
}

/** Paths of the devices that --blkio-weight-device names; their numbers are for `parseLimits`. */
export function weightedDevices(flags: Flags): { readonly path: string; readonly weight: number }[] {
  const given = flags['blkio-weight-device']
  return (Array.isArray(given) ? given : []).map((word: string) => {
    const [, path = '', weight] = /^(\/.+):(\d+)$/.exec(word) ?? []
    const value = Number(weight)
    return path && value >= 10 && value <= 1000
      ? { path, weight: value }
      : refuse(
          `--blkio-weight-device ${shown(word)}: expected DEVICE:WEIGHT, a weight from 10 to 1000`,
          'As in --blkio-weight-device /dev/sda:500',
        )
  })
}

/** The largest value that the kernel takes for cpu.shares of version 1. */
const mostShares = 262_144

/**
 * Limits of the flags. `numbers` are those of the devices that `weightedDevices` names.
 * @throws SingError RESOURCES for a value that is none
 */
export function parseFlags(flags: Flags, numbers: Readonly<Record<string, DeviceNumber>>): Limits {
  const devices = weightedDevices(flags)
  return withoutHoles({
    memory: sizeFlag(flags, 'memory'),
    reservation: sizeFlag(flags, 'memory-reservation'),
    swap: sizeFlag(flags, 'memory-swap'),
    keepOnOom: flags['oom-kill-disable'] === true ? true : undefined,
    shares: numberFlag(flags, 'cpu-shares', 2, mostShares),
    quota: quotaFlag(flags),
    cpus: setFlag(flags, 'cpuset-cpus'),
    nodes: setFlag(flags, 'cpuset-mems'),
    processes: numberFlag(flags, 'pids-limit', -1, 2 ** 22),
    weight: numberFlag(flags, 'blkio-weight', 10, 1000),
    deviceWeights:
      devices.length === 0
        ? undefined
        : devices.map(({ path, weight }) => {
            const number = numbers[path]
            return number
              ? { ...number, weight }
              : refuse(`--blkio-weight-device ${shown(path)}: there is no such block device`)
          }),
  })
}

type Holes<T> = { readonly [K in keyof T]: T[K] | undefined }

function withoutHoles(limits: Holes<Limits>): Limits {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
}

/** Flags come before the file. */
export function mergeLimits(file: Limits, flags: Limits): Limits {
  return { ...file, ...flags }
}

/** Values that contradict each other, which the kernel would refuse without a word. @throws SingError RESOURCES */
export function checkLimits(limits: Limits): Limits {
  const { memory, swap, reservation } = limits
  if (swap !== undefined && swap !== -1) {
    if (memory === undefined || memory === -1)
      refuse('a limit of memory and swap together needs one of memory: add --memory')
    else if (swap < memory) refuse('--memory-swap is lower than --memory: it counts memory and swap together')
  }
  if (memory !== undefined && memory !== -1 && reservation !== undefined && reservation > memory)
    refuse('--memory-reservation is higher than --memory')
  return limits
}

/** One file of a cgroup; when the first name does not exist the next is tried, with its own value. */
export type Setting = {
  readonly controller: string
  readonly files: readonly { readonly name: string; readonly value: string }[]
}

const setting = (controller: string, name: string, value: string | number): Setting => ({
  controller,
  files: [{ name: `${controller}.${name}`, value: String(value) }],
})

const throttleFiles = {
  rbps: 'throttle.read_bps_device',
  wbps: 'throttle.write_bps_device',
  riops: 'throttle.read_iops_device',
  wiops: 'throttle.write_iops_device',
} as const

const at = ({ major, minor }: DeviceNumber): string => `${major}:${minor}`

type Given<T> = T | undefined

/** Settings for a value that is there. */
const given = <T>(value: Given<T>, settings: (value: T) => readonly Setting[]): readonly Setting[] =>
  value === undefined ? [] : settings(value)

/** What the limits are in the hierarchies of version 1, in an order that the kernel takes. */
export function settingsV1(limits: Limits): Setting[] {
  const { unified = {} } = limits
  if (Object.keys(unified).length > 0)
    refuse('[unified] of the limits needs cgroup v2, which this machine does not have for it')
  return [
    ...given(limits.memory, (value) => [setting('memory', 'limit_in_bytes', value)]),
    // Behind the limit of memory, below which it cannot be.
    ...given(limits.swap, (value) => [setting('memory', 'memsw.limit_in_bytes', value)]),
    ...given(limits.reservation, (value) => [setting('memory', 'soft_limit_in_bytes', value)]),
    ...given(limits.swappiness, (value) => [setting('memory', 'swappiness', value)]),
    ...given(limits.keepOnOom, (value) => [setting('memory', 'oom_control', value ? 1 : 0)]),
    ...given(limits.shares, (value) => [setting('cpu', 'shares', value)]),
    ...given(limits.period, (value) => [setting('cpu', 'cfs_period_us', value)]),
    ...given(limits.quota, (value) => [setting('cpu', 'cfs_quota_us', value)]),
    ...given(limits.cpus, (value) => [setting('cpuset', 'cpus', value)]),
    ...given(limits.nodes, (value) => [setting('cpuset', 'mems', value)]),
    ...given(limits.processes, (value) => [setting('pids', 'max', value < 0 ? 'max' : value)]),
    ...given(limits.weight, (value) => [
      {
        controller: 'blkio',
        files: [
          { name: 'blkio.weight', value: String(value) },
          { name: 'blkio.bfq.weight', value: String(value) },
        ],
      },
    ]),
    ...given(limits.deviceWeights, (devices) =>
      devices.map((device) => ({
        controller: 'blkio',
        files: ['blkio.weight_device', 'blkio.bfq.weight_device'].map((name) => ({
          name,
          value: `${at(device)} ${device.weight}`,
        })),
      })),
    ),
    ...given(limits.throttles, (devices) =>
      devices.map((device) => setting('blkio', throttleFiles[device.kind], `${at(device)} ${device.rate}`)),
    ),
    ...given(limits.hugepages, (pages) =>
      pages.map(({ size, limit }) => setting('hugetlb', `${size}.limit_in_bytes`, limit)),
    ),
  ]
}

const orMax = (value: Amount): string => (value < 0 ? 'max' : String(value))

/** Shares from 2 to 262144 as a weight from 1 to 10000, as runc maps them. */
export const toWeight = (shares: number): number =>
  1 + Math.floor(((Math.min(Math.max(shares, 2), mostShares) - 2) * 9999) / (mostShares - 2))

/** A weight of block input and output from 10 to 1000 as one from 1 to 10000. */
export const toIoWeight = (weight: number): number => 1 + Math.floor(((weight - 10) * 9999) / 990)

/** Swap alone, where version 1 counts memory and swap together. */
function swapAlone({ swap = -1, memory = -1 }: Limits): Amount {
  return swap < 0 ? -1 : swap - memory
}

const keepOnOomSentence =
  '--oom-kill-disable needs cgroup v1: version 2 always ends who takes more memory than there is'

function noV1Only(limits: Limits): void {
  if (limits.keepOnOom) refuse(keepOnOomSentence, 'Leave it out, and raise --memory')
  if (limits.swappiness !== undefined)
    refuse(
      'a swappiness needs cgroup v1: version 2 has one for the whole machine',
      'Limit swap: --memory-swap',
    )
}

/** What the limits are in the hierarchy of version 2. */
export function settingsV2(limits: Limits): Setting[] {
  noV1Only(limits)
  const { quota, period } = limits
  const bandwidth =
    quota === undefined && period === undefined
      ? undefined
      : `${orMax(quota ?? -1)} ${period ?? defaultPeriod}`
  return [
    ...given(limits.memory, (value) => [setting('memory', 'max', orMax(value))]),
    ...given(limits.swap, () => [setting('memory', 'swap.max', orMax(swapAlone(limits)))]),
    ...given(limits.reservation, (value) => [setting('memory', 'low', orMax(value))]),
    ...given(limits.shares, (value) => [setting('cpu', 'weight', toWeight(value))]),
    ...given(bandwidth, (value) => [setting('cpu', 'max', value)]),
    ...given(limits.cpus, (value) => [setting('cpuset', 'cpus', value)]),
    ...given(limits.nodes, (value) => [setting('cpuset', 'mems', value)]),
    ...given(limits.processes, (value) => [setting('pids', 'max', orMax(value))]),
    ...given(limits.weight, (value) => [
      {
        controller: 'io',
        files: [
          { name: 'io.bfq.weight', value: String(value) },
          { name: 'io.weight', value: `default ${toIoWeight(value)}` },
        ],
      },
    ]),
    ...given(limits.deviceWeights, (devices) =>
      devices.map((device) => ({
        controller: 'io',
        files: [
          { name: 'io.bfq.weight', value: `${at(device)} ${device.weight}` },
          { name: 'io.weight', value: `${at(device)} ${toIoWeight(device.weight)}` },
        ],
      })),
    ),
    ...given(limits.throttles, (devices) =>
      devices.map((device) => setting('io', 'max', `${at(device)} ${device.kind}=${device.rate}`)),
    ),
    ...given(limits.hugepages, (pages) =>
      pages.map(({ size, limit }) => setting('hugetlb', `${size}.max`, orMax(limit))),
    ),
    ...Object.entries(limits.unified ?? {}).map(([name, value]) => ({
      controller: name.slice(0, name.indexOf('.')),
      files: [{ name, value }],
    })),
  ]
}

const infinity = (value: Amount): string => (value < 0 ? 'infinity' : String(value))
const percent = (quota: Amount, period: number): string =>
  quota < 0 ? '' : `${Number(((quota / period) * 100).toFixed(2))}%`

/** systemd.resource-control(5) */
const throttleProperties = {
  rbps: 'IOReadBandwidthMax',
  wbps: 'IOWriteBandwidthMax',
  riops: 'IOReadIOPSMax',
  wiops: 'IOWriteIOPSMax',
} as const

/** Files of version 2 that systemd writes under other names. */
const unifiedProperties: Readonly<Record<string, string>> = {
  'memory.max': 'MemoryMax',
  'memory.high': 'MemoryHigh',
  'memory.low': 'MemoryLow',
  'memory.min': 'MemoryMin',
  'memory.swap.max': 'MemorySwapMax',
  'pids.max': 'TasksMax',
  'cpu.weight': 'CPUWeight',
  'cpuset.cpus': 'AllowedCPUs',
  'cpuset.mems': 'AllowedMemoryNodes',
}

/** What of the limits systemd cannot be asked for. */
export function beyondSystemd({ hugepages, unified = {} }: Limits): string | undefined {
  if (hugepages) return 'systemd cannot limit huge pages'
  const unknown = Object.keys(unified).find((name) => unifiedProperties[name] === undefined)
  return unknown === undefined ? undefined : `systemd has no name for ${shown(unknown)}`
}

/** What the limits are for a scope of systemd: properties with the controllers that they need. */
export function systemdProperties(
  limits: Limits,
): { readonly controller: string; readonly property: string }[] {
  noV1Only(limits)
  type Row = readonly [controller: string, property: string]
  const rows: (Row | undefined)[] = [
    limits.memory === undefined ? undefined : ['memory', `MemoryMax=${infinity(limits.memory)}`],
    limits.swap === undefined ? undefined : ['memory', `MemorySwapMax=${infinity(swapAlone(limits))}`],
    limits.reservation === undefined ? undefined : ['memory', `MemoryLow=${infinity(limits.reservation)}`],
    limits.shares === undefined ? undefined : ['cpu', `CPUWeight=${toWeight(limits.shares)}`],
    limits.quota === undefined
      ? undefined
      : ['cpu', `CPUQuota=${percent(limits.quota, limits.period ?? defaultPeriod)}`],
    limits.period === undefined ? undefined : ['cpu', `CPUQuotaPeriodSec=${limits.period}us`],
    limits.cpus === undefined ? undefined : ['cpuset', `AllowedCPUs=${limits.cpus}`],
    limits.nodes === undefined ? undefined : ['cpuset', `AllowedMemoryNodes=${limits.nodes}`],
    limits.processes === undefined ? undefined : ['pids', `TasksMax=${infinity(limits.processes)}`],
    limits.weight === undefined ? undefined : ['io', `IOWeight=${toIoWeight(limits.weight)}`],
    ...(limits.deviceWeights ?? []).map(
      (device): Row => ['io', `IODeviceWeight=/dev/block/${at(device)} ${toIoWeight(device.weight)}`],
    ),
    ...(limits.throttles ?? []).map(
      (device): Row => ['io', `${throttleProperties[device.kind]}=/dev/block/${at(device)} ${device.rate}`],
    ),
    ...Object.entries(limits.unified ?? {}).map(
      ([name, value]): Row => [
        name.slice(0, name.indexOf('.')),
        `${unifiedProperties[name]}=${value === 'max' ? 'infinity' : value}`,
      ],
    ),
  ]
  return rows.flatMap((row) => (row ? [{ controller: row[0], property: row[1] }] : []))
}
