/** One look at the machine: who we are and what the kernel lets us do. Read-only; nothing is decided here. */

import { spawnSync } from 'node:child_process'
import { constants, statSync } from 'node:fs'
import { SingError } from '../core/errors.ts'
import type { DeviceFacts } from '../plan/devices.ts'
import { findProgram, findPrograms, isUsable, readIfThere } from './look.ts'

export type SubIdRange = { readonly start: number; readonly count: number }

export type HostFacts = {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups. */
  readonly groups: readonly number[]
  readonly user: {
    readonly name: string
    readonly gecos: string
    readonly home: string
    readonly shell: string
  }
  /** Names of the primary and supplementary groups, as far as the group file knows them. */
  readonly groupNames: readonly { readonly gid: number; readonly name: string }[]
  /** The working directory with links resolved; undefined when it was deleted or cannot be reached. */
  readonly cwd: string | undefined
  /** Uid 0 with CAP_SYS_ADMIN: mounts need no new user namespace. */
  readonly isRoot: boolean
  readonly inUserNamespace: boolean
  /** How many user ids exist in this namespace; 1 in a namespace with just one's own id. */
  readonly idsMapped: number
  readonly userNamespaces: { readonly allowed: boolean; readonly reason?: string; readonly hint?: string }
  /** Overlay may be mounted in a user namespace (kernel 5.11, or a distribution's older kernel that has it). */
  readonly overlayInUserNamespace: boolean
  readonly fuse: boolean
  /** Loop devices can be asked for; containers seldom have them. */
  readonly loop: boolean
  /** Programs that mount what the kernel mounts for root alone; undefined when they are missing. */
  readonly fuse2fs?: string | undefined
  readonly fuseOverlayfs?: string | undefined
  /** Ranges of subordinate ids and the programs that may map them; undefined when one of them is missing or of no use. */
  readonly subids:
    | {
        readonly uids: SubIdRange
        readonly gids: SubIdRange
        readonly newuidmap: string
        readonly newgidmap: string
      }
    | undefined
  readonly environment: Readonly<Record<string, string>>
  /** Looked up only for those who ask for devices. */
  readonly devices?: DeviceFacts
  /** Where file systems are mounted; looked up for `mount hostfs` alone. */
  readonly fileSystems?: readonly string[]
}

const CAP_SYS_ADMIN = 21n

function statusField(status: string, name: string): string[] {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/).filter(Boolean) ?? []
}

/** The entry of a passwd- or group-like file whose third field is `id`; asks the name service when the file lacks it. */
function databaseEntry(database: 'passwd' | 'group', id: number): string[] | undefined {
  const line = (text: string) => text.split('\n').find((entry) => entry.split(':')[2] === String(id))
  const local = line(readIfThere(`/etc/${database}`))
  if (local) return local.split(':')
  const answer = spawnSync('getent', [database, String(id)], { encoding: 'utf8', timeout: 10_000 })
  return line(answer.stdout ?? '')?.split(':')
}

/** Who has no entry is believed what it says of itself, as far as that can be a name and a place. */
function readUser(uid: number, environment: Readonly<Record<string, string>>): HostFacts['user'] {
  const entry = databaseEntry('passwd', uid)
  const { USER = '', HOME = '' } = environment
  return {
    name: entry?.[0] || (/^[^:,\s]+$/.test(USER) ? USER : String(uid)),
    gecos: entry?.[4] ?? '',
    home: [entry?.[5], HOME].find((path) => path?.startsWith('/')) ?? '/',
    shell: entry?.[6] || '/bin/sh',
  }
}

function readGroupNames(gids: readonly number[]): HostFacts['groupNames'] {
  const known = new Map(
    readIfThere('/etc/group')
      .split('\n')
      .map((line) => [line.split(':')[2], line.split(':')[0]]),
  )
  return gids.flatMap((gid, index) => {
    // Only the primary group is worth asking a slow name service for.
    const name = known.get(String(gid)) ?? (index === 0 ? databaseEntry('group', gid)?.[0] : undefined)
    return name ? [{ gid, name }] : []
  })
}

function mappedIds(map: string): number {
  return map
    .split('\n')
    .map((line) => Number(line.trim().split(/\s+/)[2] ?? 0))
    .reduce((sum, count) => sum + (Number.isFinite(count) ? count : 0), 0)
}

function currentDirectory(): string | undefined {
  try {
    const path = process.cwd()
    statSync(path)
    return path
  } catch {
    return undefined
  }
}

/** What the kernel's own switches say; AppArmor and seccomp show only when it is tried. */
function readUserNamespaces(): HostFacts['userNamespaces'] {
  if (readIfThere('/proc/sys/user/max_user_namespaces').trim() === '0') {
    return {
      allowed: false,
      reason: '/proc/sys/user/max_user_namespaces is 0',
      hint: 'Ask the administrator for: sysctl -w user.max_user_namespaces=15000',
    }
  }
  if (readIfThere('/proc/sys/kernel/unprivileged_userns_clone').trim() === '0') {
    return {
      allowed: false,
      reason: '/proc/sys/kernel/unprivileged_userns_clone is 0',
      hint: 'Ask the administrator for: sysctl -w kernel.unprivileged_userns_clone=1',
    }
  }
  return { allowed: true }
}

function overlayInUserNamespace(): boolean {
  const release = readIfThere('/proc/sys/kernel/osrelease').trim()
  const [major = 0, minor = 0] = release.split('.').map(Number)
  if (major > 5 || (major === 5 && minor >= 11)) return true
  // Red Hat's 4.18 has had it since 8.5 (build 348).
  const build = /^4\.18\.0-(\d+)\..*el8/.exec(release)?.[1]
  return build !== undefined && Number(build) >= 348
}

function subIdRange(file: string, user: string, uid: number): SubIdRange | undefined {
  for (const line of readIfThere(file).split('\n')) {
    const [owner, start, count] = line.split(':')
    if (owner !== user && owner !== String(uid)) continue
    const range = { start: Number(start), count: Math.min(Number(count), 65536) }
    if (Number.isSafeInteger(range.start) && range.count > 0) return range
  }
  return undefined
}

const S_ISUID = 0o4000

/** newuidmap or newgidmap; a setuid one before others, which may have their power as file capabilities, or none. */
function findMapper(name: string, path: string): string | undefined {
  const candidates = findPrograms(name, path)
  return candidates.find((candidate) => (statSync(candidate).mode & S_ISUID) !== 0) ?? candidates[0]
}

/** The ids exist where we are: in a container a range of its /etc/subuid may lie outside of what it was given. */
function isMapped({ start, count }: SubIdRange, map: string): boolean {
  return map.split('\n').some((line) => {
    const [inside = 0, , size = 0] = line.trim().split(/\s+/).map(Number)
    return inside <= start && start + count <= inside + size
  })
}

function readSubids(user: string, uid: number, path: string): HostFacts['subids'] {
  const uids = subIdRange('/etc/subuid', user, uid)
  const gids = subIdRange('/etc/subgid', user, uid)
  if (!uids || !gids) return undefined
  if (
    !isMapped(uids, readIfThere('/proc/self/uid_map')) ||
    !isMapped(gids, readIfThere('/proc/self/gid_map'))
  )
    return undefined
  const newuidmap = findMapper('newuidmap', path)
  const newgidmap = findMapper('newgidmap', path)
  return newuidmap && newgidmap ? { uids, gids, newuidmap, newgidmap } : undefined
}

/** Look at the machine once. `environment` is what the caller had. */
export function readHostFacts(environment: Readonly<Record<string, string>>): HostFacts {
  const status = readIfThere('/proc/self/status')
  if (!status) {
    throw new SingError('IO', 'cannot read /proc/self/status: /proc is not mounted', {
      hint: 'Mount it: mount -t proc proc /proc',
    })
  }
  const uid = Number(statusField(status, 'Uid')[1])
  const gid = Number(statusField(status, 'Gid')[1])
  const groups = statusField(status, 'Groups')
    .map(Number)
    .filter((group) => group !== gid)
  const capabilities = BigInt(`0x${statusField(status, 'CapEff')[0] ?? '0'}`)
  const user = readUser(uid, environment)
  const path = environment.PATH ?? ''
  const idsMapped = mappedIds(readIfThere('/proc/self/uid_map'))
  // Nothing that we start can get the power to map ids.
  const noNewPrivileges = statusField(status, 'NoNewPrivs')[0] === '1'
  const isRoot = uid === 0 && ((capabilities >> CAP_SYS_ADMIN) & 1n) === 1n
  return {
    uid,
    gid,
    groups,
    user,
    groupNames: readGroupNames([gid, ...groups]),
    cwd: currentDirectory(),
    isRoot,
    inUserNamespace: idsMapped < 4294967295,
    idsMapped,
    userNamespaces: isRoot ? { allowed: true } : readUserNamespaces(),
    overlayInUserNamespace: overlayInUserNamespace(),
    fuse: isUsable('/dev/fuse', constants.R_OK | constants.W_OK),
    loop: isUsable('/dev/loop-control', constants.R_OK | constants.W_OK),
    fuse2fs: findProgram('fuse2fs', path),
    fuseOverlayfs: findProgram('fuse-overlayfs', path),
    subids: uid === 0 || noNewPrivileges ? undefined : readSubids(user.name, uid, path),
    environment,
  }
}
