/** Where the limits of a container are kept: in cgroups of our own, or in a scope that systemd makes. */

import { SingError } from '../core/errors.ts'
import type { CgroupFacts, UnifiedPlace } from '../host/cgroups.ts'
import {
  beyondSystemd,
  type Limits,
  type Setting,
  settingsV1,
  settingsV2,
  systemdProperties,
} from './limits.ts'

/** A cgroup to make: a directory below one that is there. */
export type CgroupGroup = {
  readonly parent: string
  readonly settings: readonly Setting[]
  /** Controllers to turn on in the parent (version 2). */
  readonly enable: readonly string[]
  /** Files whose value is taken from the parent: without them a cpuset of version 1 takes no process. */
  readonly inherit: readonly string[]
}

export type CgroupPlan =
  | { readonly kind: 'groups'; readonly groups: readonly CgroupGroup[] }
  /** The beginning of a command line that runs the rest of it in a scope. */
  | { readonly kind: 'scope'; readonly command: readonly string[] }

const refuse = (sentence: string, hint?: string): never => {
  throw new SingError('RESOURCES', sentence, { hint })
}

/** What version 2 calls the controllers whose names have changed. */
const newName = (controller: string): string => (controller === 'blkio' ? 'io' : controller)

const unique = (words: readonly string[]): string[] => [...new Set(words)]

const isV1 = ({ v1 }: CgroupFacts, controller: string): boolean => v1[controller] !== undefined

/** What only version 1 knows stays with its memory controller. */
function withoutOld({ keepOnOom: _, swappiness: __, ...rest }: Limits): Limits {
  return rest
}

/** Settings of the hierarchies that have their controllers; a machine with both versions splits them. */
function chooseSettings(limits: Limits, facts: CgroupFacts): { old: Setting[]; unified: Setting[] } {
  const { unified = {}, ...plain } = limits
  const wanted = settingsV1(plain)
  const old = wanted.filter(({ controller }) => isV1(facts, controller))
  const names = wanted.filter((one) => !old.includes(one)).map(({ controller }) => newName(controller))
  if (names.length === 0) return { old, unified: settingsV2({ unified }) }
  const others = settingsV2(isV1(facts, 'memory') ? withoutOld(plain) : plain)
  return {
    old,
    unified: [...others.filter(({ controller }) => names.includes(controller)), ...settingsV2({ unified })],
  }
}

function planOld(settings: readonly Setting[], facts: CgroupFacts): CgroupGroup[] {
  const places = unique(settings.map(({ controller }) => facts.v1[controller]?.directory ?? ''))
  return places.map((parent) => {
    const own = settings.filter(({ controller }) => facts.v1[controller]?.directory === parent)
    const names = own.flatMap(({ files }) => files.map(({ name }) => name))
    const inherit = own.some(({ controller }) => controller === 'cpuset')
      ? ['cpuset.cpus', 'cpuset.mems'].filter((name) => !names.includes(name))
      : []
    return { parent, settings: own, enable: [], inherit }
  })
}

/** Where the controllers are on for children, or can be turned on. */
function canHold({ writable, controllers, enabled, root }: UnifiedPlace, wanted: readonly string[]): boolean {
  if (!writable || !wanted.every((name) => controllers.includes(name))) return false
  return root || wanted.every((name) => enabled.includes(name))
}

function planUnified(settings: readonly Setting[], facts: CgroupFacts): CgroupGroup | undefined {
  const wanted = unique(settings.map(({ controller }) => controller))
  const place = facts.v2.find((candidate) => canHold(candidate, wanted))
  if (!place) return undefined
  const enable = wanted.filter((name) => !place.enabled.includes(name))
  return { parent: place.directory, settings, enable, inherit: [] }
}

/** Cgroups of our own, or why there can be none. */
function planGroups(limits: Limits, facts: CgroupFacts): CgroupPlan | { readonly missing: string } {
  const { old, unified } = chooseSettings(limits, facts)
  const closed = old.find(({ controller }) => facts.v1[controller]?.writable !== true)
  if (closed) {
    const directory = facts.v1[closed.controller]?.directory
    return { missing: `the cgroup ${directory} is not yours to change` }
  }
  const groups = planOld(old, facts)
  if (unified.length === 0) return { kind: 'groups', groups }
  const group = planUnified(unified, facts)
  if (group) return { kind: 'groups', groups: [...groups, group] }
  const [own] = facts.v2
  const wanted = unique(unified.map(({ controller }) => controller))
  const unknown = wanted.filter((name) => !facts.v2.some(({ controllers }) => controllers.includes(name)))
  if (!own || unknown.length > 0)
    return { missing: `there is no cgroup controller ${unknown.join(', ') || wanted.join(', ')} here` }
  return { missing: `the cgroup ${own.directory} is not yours to divide` }
}

function planScope(limits: Limits, facts: CgroupFacts): CgroupPlan | { readonly missing: string } {
  const { systemd } = facts
  if (!systemd) return { missing: 'there is no systemd to ask' }
  const beyond = beyondSystemd(limits)
  if (beyond) return { missing: beyond }
  const rows = systemdProperties(limits)
  const absent = unique(rows.map(({ controller }) => controller)).filter(
    (name) => !systemd.controllers.includes(name),
  )
  if (absent.length > 0) {
    const delegated = systemd.controllers.join(' ') || 'none'
    return { missing: `systemd hands out the controllers ${delegated}, and not ${absent.join(' ')}` }
  }
  const { runtime } = systemd
  return {
    kind: 'scope',
    command: [
      // For systemd-run alone: the container has the environment of the caller.
      ...(runtime ? ['/usr/bin/env', `XDG_RUNTIME_DIR=${runtime}`] : []),
      systemd.program,
      ...(systemd.session ? ['--user'] : []),
      '--scope',
      '--quiet',
      '--collect',
      // Else systemd moves no process into it later, as commands that enter an instance need it.
      ...['-p', 'Delegate=yes'],
      ...rows.flatMap(({ property }) => ['-p', property]),
      '--',
      ...(runtime ? ['/usr/bin/env', '-u', 'XDG_RUNTIME_DIR'] : []),
    ],
  }
}

const delegation =
  'Users need cgroup v2 and a systemd session that hands out the controllers (systemctl edit user@.service: Delegate=cpu cpuset io memory pids), or a cgroup directory of their own to start in'

/**
 * Decide where the limits go. Root asks systemd where that rules the cgroups, unless the site says no; a user divides the
 * cgroup that it was given, or asks the systemd of its session.
 * @throws SingError RESOURCES saying what is missing
 */
export function planCgroup(
  limits: Limits,
  facts: CgroupFacts,
  options: { readonly isRoot: boolean; readonly systemd: boolean },
): CgroupPlan | undefined {
  if (Object.keys(limits).length === 0) return undefined
  const ways = [planGroups, ...(options.systemd ? [planScope] : [])]
  if (options.isRoot && facts.systemd) ways.reverse()
  const missing: string[] = []
  for (const way of ways) {
    const found = way(limits, facts)
    if ('kind' in found) return found
    missing.push(found.missing)
  }
  return refuse(
    `resources cannot be limited: ${missing.join(', and ')}`,
    options.isRoot ? undefined : delegation,
  )
}
