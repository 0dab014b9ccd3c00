/** The cgroups that this process may make others below. Read only when resources are to be limited. */

import { constants, existsSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import type { DeviceNumber } from '../plan/limits.ts'
import { findProgram, isUsable, readIfThere } from './look.ts'

/** A cgroup of version 2 where ours can lie. */
export type UnifiedPlace = {
  readonly directory: string
  /** Cgroups can be made in it, and processes moved into them. */
  readonly writable: boolean
  /** Controllers that it has, and those that its children get. */
  readonly controllers: readonly string[]
  readonly enabled: readonly string[]
  /** The root of the hierarchy, where processes and enabled controllers go together. */
  readonly root: boolean
}

export type CgroupFacts = {
  /** Our cgroup in the hierarchies of version 1, by controller. */
  readonly v1: Readonly<Record<string, { readonly directory: string; readonly writable: boolean }>>
  /** Our cgroup of version 2, and the one above it. */
  readonly v2: readonly UnifiedPlace[]
  /** A systemd that starts scopes: the system's for root, the session's for a user, with what it hands out. */
  readonly systemd:
    | {
        readonly program: string
        readonly session: boolean
        readonly controllers: readonly string[]
        /** Where the session's bus is, when the caller's environment does not say. */
        readonly runtime?: string | undefined
      }
    | undefined
}

type Environment = Readonly<Record<string, string>>

const isWritable = (path: string): boolean => isUsable(path, constants.W_OK)

const wordsOf = (path: string): string[] => readIfThere(path).split(/\s+/).filter(Boolean)

type Mount = { readonly root: string; readonly at: string; readonly type: string; readonly options: string[] }

/** Blanks and their like are octal in it. proc_pid_mountinfo(5) */
const unescaped = (word: string): string =>
  word.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line): Mount[] => {
    const [front = '', back = ''] = line.split(' - ')
    const [, , , root = '', at = ''] = front.split(' ')
    const [type = '', , options = ''] = back.split(' ')
    return type === 'cgroup' || type === 'cgroup2'
      ? [{ root: unescaped(root), at: unescaped(at), type, options: options.split(',') }]
      : []
  })
}

/** Our cgroup by controller, as /proc/self/cgroup has it; version 2 under the empty name. */
export function parseOwn(text: string): Map<string, string> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
      return path === undefined ? [] : (names ?? '').split(',').map((name): [string, string] => [name, path])
    }),
  )
}

/** Where our cgroup is below a mount that may show only a part of the hierarchy; undefined when it shows another one. */
export function placeBelow({ root, at }: Pick<Mount, 'root' | 'at'>, own: string): string | undefined {
  const below =
    root === '/' ? own : own === root || own.startsWith(`${root}/`) ? own.slice(root.length) : undefined
  return below === undefined ? undefined : posix.join(at, below).replace(/\/$/, '')
}

function readV1(mounts: readonly Mount[], own: ReadonlyMap<string, string>): CgroupFacts['v1'] {
  const found = mounts
    .filter(({ type }) => type === 'cgroup')
    .flatMap((mount) =>
      mount.options.flatMap((controller) => {
        const path = own.get(controller)
        const directory = path === undefined ? undefined : placeBelow(mount, path)
        return directory === undefined || !existsSync(directory)
          ? []
          : [[controller, { directory, writable: isWritable(directory) }] as const]
      }),
    )
  return Object.fromEntries(found)
}

function readPlace(directory: string): UnifiedPlace {
  return {
    directory,
    // Processes move between cgroups for who may write into the one above both (cgroups(7), delegation).
    writable: isWritable(directory) && isWritable(`${directory}/cgroup.procs`),
    controllers: wordsOf(`${directory}/cgroup.controllers`),
    enabled: wordsOf(`${directory}/cgroup.subtree_control`),
    root: !existsSync(`${directory}/cgroup.type`),
  }
}

function readV2(mounts: readonly Mount[], own: ReadonlyMap<string, string>): UnifiedPlace[] {
  const mount = mounts.find(({ type }) => type === 'cgroup2')
  const path = own.get('')
  const directory = mount && path !== undefined ? placeBelow(mount, path) : undefined
  if (!mount || directory === undefined || !existsSync(directory)) return []
  return directory === mount.at
    ? [readPlace(directory)]
    : [readPlace(directory), readPlace(posix.dirname(directory))]
}

/** The system's manager answers root; a user has one in a session with a bus. */
function readSystemd(
  environment: Environment,
  uid: number,
  isRoot: boolean,
  mounts: readonly Mount[],
): CgroupFacts['systemd'] {
  const program = findProgram('systemd-run', environment.PATH ?? '')
  const mount = mounts.find(({ type, at }) => type === 'cgroup2' && at === '/sys/fs/cgroup')
  if (!program || !mount || !existsSync('/run/systemd/system')) return undefined
  if (isRoot) return { program, session: false, controllers: wordsOf(`${mount.at}/cgroup.controllers`) }
  const runtime = environment.XDG_RUNTIME_DIR || `/run/user/${uid}`
  if (!existsSync(`${runtime}/bus`)) return undefined
  const manager = `${mount.at}/user.slice/user-${uid}.slice/user@${uid}.service`
  const isTold = environment.XDG_RUNTIME_DIR || environment.DBUS_SESSION_BUS_ADDRESS
  return {
    program,
    session: true,
    controllers: wordsOf(`${manager}/cgroup.controllers`),
    runtime: isTold ? undefined : runtime,
  }
}

/** Look for them. `environment` is what the caller had. */
export function readCgroupFacts(environment: Environment, uid: number, isRoot: boolean): CgroupFacts {
  const mounts = parseMounts(readIfThere('/proc/self/mountinfo'))
  const own = parseOwn(readIfThere('/proc/self/cgroup'))
  return {
    v1: readV1(mounts, own),
    v2: readV2(mounts, own),
    systemd: readSystemd(environment, uid, isRoot, mounts),
  }
}

/** A scope of systemd: the cgroup of processes that somebody else started. */
export type Scope = { readonly directory: string; readonly unit: string; readonly session: boolean }

/** The scope of a cgroup of version 2; undefined for any other cgroup. `session`: the systemd of a user made it. */
export function scopeOf(directory: string): Scope | undefined {
  const unit = posix.basename(directory)
  return unit.endsWith('.scope')
    ? { directory, unit, session: /\/user@\d+\.service\//.test(directory) }
    : undefined
}

/** The scope that this process is in. */
export function readOwnScope(): Scope | undefined {
  const [own] = readV2(
    parseMounts(readIfThere('/proc/self/mountinfo')),
    parseOwn(readIfThere('/proc/self/cgroup')),
  )
  return own && scopeOf(own.directory)
}

const S_IFMT = 0o170000
const S_IFBLK = 0o060000

/** The number of a block device; undefined when there is none of this name. */
export function readDeviceNumber(path: string): DeviceNumber | undefined {
  const status = statSync(path, { throwIfNoEntry: false })
  if (!status || (status.mode & S_IFMT) !== S_IFBLK) return undefined
  // makedev(3) of glibc: the numbers share their bits.
  const number = BigInt(status.rdev)
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n)
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n)
  return { major: Number(major), minor: Number(minor) }
}
