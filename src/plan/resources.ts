/** Limits out of a file with the resources of an OCI runtime specification, as Apptainer's --apply-cgroups takes it. */

import { SingError, shown } from '../core/errors.ts'
import type { DeviceNumber, Limits } from './limits.ts'

type Table = Readonly<Record<string, unknown>>

/** What a key means: its whole name for messages, and its value. */
type Row = (key: string, value: unknown) => Limits
type Rows = Readonly<Record<string, Row>>

/** `disableOOMKiller` and `disable_oom_killer` are one key. */
const plain = (key: string): string => key.replace(/[_-]/g, '').toLowerCase()

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** Later values replace earlier ones; throttles of several keys are one list. */
function merge(parts: readonly Limits[]): Limits {
  const throttles = parts.flatMap((part) => part.throttles ?? [])
  return Object.assign({}, ...parts, throttles.length > 0 ? { throttles } : {})
}

type Reader = ReturnType<typeof reader>

/** Reads the values of one file; every message names it and the key. */
function reader(file: string) {
  const refuse = (key: string, reason: string, hint?: string): never => {
    throw new SingError('RESOURCES', `${shown(file)}: ${shown(key)}: ${reason}`, { hint })
  }
  const table = (key: string, value: unknown): Table =>
    isTable(value) ? value : refuse(key, 'expected a table')
  const tables = (key: string, value: unknown): readonly Table[] =>
    Array.isArray(value) ? value.map((entry) => table(key, entry)) : refuse(key, 'expected a list of tables')
  function number(key: string, value: unknown, least: number, most = Number.POSITIVE_INFINITY): number {
    const isWhole = typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))
    const found = isWhole ? Number(value) : Number.NaN
    if (found >= least && found <= most) return found
    const range = most === Number.POSITIVE_INFINITY ? `from ${least}` : `from ${least} to ${most}`
    return refuse(key, `expected a whole number ${range}`)
  }
  /** More than any machine has is no limit. */
  function amount(key: string, value: unknown): number {
    const found = number(key, value, -1)
    return Number.isSafeInteger(found) ? found : -1
  }
  const text = (key: string, value: unknown, pattern: RegExp, expected: string): string =>
    typeof value === 'string' && pattern.test(value) ? value : refuse(key, `expected ${expected}`)
  const truth = (key: string, value: unknown): boolean =>
    typeof value === 'boolean' ? value : refuse(key, 'expected true or false')
  const device = (key: string, { major, minor }: Table): DeviceNumber => ({
    major: number(`${key}.major`, major, 0),
    minor: number(`${key}.minor`, minor, 0),
  })
  /** Every key of a table with the row that knows it. */
  function rows(known: Rows): Row {
    return (prefix, value) => {
      const parts = Object.entries(table(prefix, value)).map(([name, entry]) => {
        const key = prefix ? `${prefix}.${name}` : name
        const row = Object.hasOwn(known, plain(name)) ? known[plain(name)] : undefined
        return row
          ? row(key, entry)
          : refuse(key, `no limit has this name; there are ${Object.keys(known).join(', ')}`)
      })
      return merge(parts)
    }
  }
  /** A zero says that there is no limit: files list all keys. */
  const limit =
    (limits: (value: number) => Limits): Row =>
    (key, value) => {
      const found = amount(key, value)
      return found === 0 ? {} : limits(found)
    }
  const never =
    (reason: string, hint?: string): Row =>
    (key, value) => {
      const says = isTable(value) ? Object.keys(value).length > 0 : Boolean(value)
      return says ? refuse(key, reason, hint) : {}
    }
  return { refuse, table, tables, number, amount, text, truth, device, rows, limit, never }
}

const numberList = /^\d+(-\d+)?(,\d+(-\d+)?)*$/
const listText = 'numbers and ranges, such as "0-3,7"'

function memoryRows({ number, truth, limit, never }: Reader): Rows {
  const noKernelMemory = never('kernels have no limit of their own memory any more')
  return {
    limit: limit((memory) => ({ memory })),
    reservation: limit((reservation) => ({ reservation })),
    swap: limit((swap) => ({ swap })),
    swappiness: (key, value) => ({ swappiness: number(key, value, 0, 100) }),
    disableoomkiller: (key, value) => (truth(key, value) ? { keepOnOom: true } : {}),
    kernel: noKernelMemory,
    kerneltcp: noKernelMemory,
  }
}

function cpuRows({ text, limit, never }: Reader): Rows {
  const noRealTime = never('real-time scheduling cannot be handed out')
  return {
    shares: limit((shares) => ({ shares })),
    quota: limit((quota) => ({ quota })),
    // What the example file of the peers calls it.
    quotas: limit((quota) => ({ quota })),
    period: limit((period) => ({ period })),
    cpus: (key, value) => ({ cpus: text(key, value, numberList, listText) }),
    mems: (key, value) => ({ nodes: text(key, value, numberList, listText) }),
    realtimeruntime: noRealTime,
    realtimeperiod: noRealTime,
  }
}

function ioRows({ tables, number, device, limit, never }: Reader): Rows {
  const throttle =
    (kind: 'rbps' | 'wbps' | 'riops' | 'wiops'): Row =>
    (key, value) => ({
      throttles: tables(key, value).map((row) => ({
        ...device(key, row),
        kind,
        rate: number(`${key}.rate`, row.rate, 1),
      })),
    })
  return {
    weight: limit((weight) => ({ weight })),
    leafweight: never('kernels have no leaf weights any more'),
    weightdevice: (key, value) => ({
      deviceWeights: tables(key, value).map((row) => ({
        ...device(key, row),
        weight: number(`${key}.weight`, row.weight, 10, 1000),
      })),
    }),
    throttlereadbpsdevice: throttle('rbps'),
    throttlewritebpsdevice: throttle('wbps'),
    throttlereadiopsdevice: throttle('riops'),
    throttlewriteiopsdevice: throttle('wiops'),
  }
}

function hugepageRow({ tables, text, amount }: Reader): Row {
  return (key, value) => ({
    hugepages: tables(key, value).map((row) => ({
      size: text(`${key}.pageSize`, row.pageSize ?? row.page_size, /^\d+[KMG]B$/, 'a size such as "2MB"'),
      limit: amount(`${key}.limit`, row.limit),
    })),
  })
}

/** Files that move or freeze processes are no limits. */
const unifiedName = /^(?!cgroup\.)[a-z0-9]+(\.[A-Za-z0-9_]+)+$/

function unifiedRow({ table, text }: Reader): Row {
  return (key, value) => ({
    unified: Object.fromEntries(
      Object.entries(table(key, value)).map(([name, line]) => [
        text(`${key}.${name}`, name, unifiedName, 'the name of a limit, such as memory.high'),
        text(`${key}.${name}`, line, /^[^\n]{1,4096}$/, 'a line of text'),
      ]),
    ),
  })
}

function devicesRow({ tables, refuse }: Reader): Row {
  return (key, value) =>
    tables(key, value).every(({ allow }) => allow === true)
      ? {}
      : refuse(
          key,
          'devices cannot be taken away by a cgroup',
          'Use --contain for a /dev with the harmless ones only',
        )
}

/**
 * The limits that a file asks for; `value` is the whole of it, already read as TOML.
 * @throws SingError RESOURCES naming file and key for what is no limit, or none that can be had
 */
export function readResources(file: string, value: unknown): Limits {
  const read = reader(file)
  const { rows, limit, never } = read
  return rows({
    memory: rows(memoryRows(read)),
    cpu: rows(cpuRows(read)),
    pids: rows({ limit: limit((processes) => ({ processes })) }),
    blockio: rows(ioRows(read)),
    hugepagelimits: hugepageRow(read),
    unified: unifiedRow(read),
    devices: devicesRow(read),
    network: never('classes and priorities of networks cannot be set'),
    rdma: never('it has no key of its own here', 'Write rdma.max below [unified]'),
  })('', value)
}
