/** Who puts layers over each other: the kernel where it can, else fuse-overlayfs, else binds. */

import { SingError } from '../core/errors.ts'
import type { HostFacts } from '../host/facts.ts'
import type { Directory, Image, Window } from '../image/open.ts'
import type { OverlayLayer } from '../image/overlay.ts'
import { kernelMounts, type Machine } from './layers.ts'

/** File systems that an overlay of the kernel fails on, by number (statfs(2)): as the place of changes, or even below it. */
const unfit: ReadonlyMap<number, { readonly name: string; readonly below: boolean }> = new Map([
  [0x6969, { name: 'NFS', below: false }],
  [0x0bd00bd0, { name: 'Lustre', below: false }],
  [0x47504653, { name: 'GPFS', below: false }],
  [0xaad7aaea, { name: 'PanFS', below: false }],
  [0x19830326, { name: 'BeeGFS', below: false }],
  [0x5346414f, { name: 'AFS', below: false }],
  [0x6b414653, { name: 'AFS', below: false }],
  [0x65735546, { name: 'FUSE', below: true }],
  [0x794c7630, { name: 'another overlay', below: true }],
  [0x61756673, { name: 'aufs', below: true }],
  [0x00c36400, { name: 'Ceph', below: true }],
  [0x01021997, { name: '9p', below: true }],
  [0xff534d42, { name: 'CIFS', below: true }],
  [0xfe534d42, { name: 'SMB', below: true }],
])

const isDirectory = (layer: Window | Directory): layer is Directory => 'directory' in layer

/** Why the kernel cannot have a directory in an overlay; undefined when it can. */
function unfitness({ directory, type }: Directory, holdsChanges: boolean): string | undefined {
  // Large numbers are negative where statfs gives them as 32 bits.
  const found = type === undefined ? undefined : unfit.get(type >>> 0)
  if (!found || (found.below && !holdsChanges)) return undefined
  return `${directory} lies on ${found.name}`
}

export type Stack = {
  readonly image: Image
  /** Only read, lowest first. */
  readonly lower: readonly OverlayLayer[]
  /** What takes changes that stay. */
  readonly writer: OverlayLayer | undefined
  /** Something takes changes. */
  readonly writable: boolean
}

export type Driver =
  | { readonly kind: 'kernel'; readonly warning?: string | undefined }
  | { readonly kind: 'fuse'; readonly program: string; readonly reason: string }
  | { readonly kind: 'underlay'; readonly reason: string }
  | { readonly kind: 'none' }

/** Why the kernel cannot do it at all. */
function obstacle(stack: Stack, machine: Machine): string | undefined {
  const { identity, facts } = machine
  const { image, lower, writer } = stack
  if (identity.inUserNamespace && !facts.overlayInUserNamespace)
    return 'this kernel has overlays for root alone (for users since Linux 5.11)'
  if (writer && !isDirectory(writer) && !kernelMounts(machine))
    return `changes go to the ext3 in ${writer.file}`
  const below = [image.rootfs, ...lower].filter(isDirectory).map((layer) => unfitness(layer, false))
  return [...(writer && isDirectory(writer) ? [unfitness(writer, true)] : []), ...below].find(Boolean)
}

/** What the kernel would do wrong: it does not know the marks of fuse-overlayfs for what was removed. */
function misreading({ lower, writer }: Stack): string | undefined {
  for (const layer of writer ? [writer, ...lower] : lower) {
    if (isDirectory(layer) ? layer.marked : layer.filesystem === 'ext3')
      return `changes in ${isDirectory(layer) ? layer.directory : layer.file} may be marked for fuse-overlayfs`
  }
  return undefined
}

/** Whether layers that are only read can be put over each other at all; else they have to be one before. */
export function canStack(
  request: { readonly underlay: boolean; readonly userns: boolean },
  config: { readonly overlay: boolean },
  facts: HostFacts,
): boolean {
  if (request.underlay || !config.overlay) return false
  if (facts.isRoot && !facts.inUserNamespace && !request.userns) return true
  return facts.overlayInUserNamespace || (facts.fuse && facts.fuseOverlayfs !== undefined)
}

function underlay(stack: Stack, reason: string, allowed: boolean): Driver {
  if (!stack.writable && stack.lower.length === 0)
    return allowed ? { kind: 'underlay', reason } : { kind: 'none' }
  const what = stack.writable ? 'keep changes' : 'use an overlay'
  throw new SingError('OVERLAY', `cannot ${what}: ${reason}`, {
    hint: 'Install fuse-overlayfs (with access to /dev/fuse), use a directory on a local disk, or build a sandbox for --writable',
  })
}

export type DriverOptions = {
  /** Binds are asked for. */
  readonly underlay: boolean
  /** What the site's configuration says. */
  readonly overlayAllowed: boolean
  readonly underlayAllowed: boolean
}

/** An ext3 that the kernel could mount lies below fuse-overlayfs only through fuse2fs: it tells when all is written. */
function canUseFuse({ lower, writer }: Stack, machine: Machine): boolean {
  const { fuse, fuse2fs } = machine.facts
  const hasExt3 = [...lower, ...(writer ? [writer] : [])].some(
    (layer) => !isDirectory(layer) && layer.filesystem === 'ext3',
  )
  return fuse && (fuse2fs !== undefined || !hasExt3 || !kernelMounts(machine))
}

/** @throws SingError OVERLAY when changes could not be kept, or layers not be shown */
export function chooseDriver(stack: Stack, options: DriverOptions, machine: Machine): Driver {
  const { facts } = machine
  if (options.underlay) return underlay(stack, '--underlay is given', options.underlayAllowed)
  if (!options.overlayAllowed)
    return underlay(
      stack,
      'the configuration has overlays turned off (enable overlay = no)',
      options.underlayAllowed,
    )
  const hard = obstacle(stack, machine)
  const soft = misreading(stack)
  const reason = hard ?? soft
  if (reason === undefined) return { kind: 'kernel' }
  if (facts.fuseOverlayfs && canUseFuse(stack, machine))
    return { kind: 'fuse', program: facts.fuseOverlayfs, reason }
  if (hard !== undefined) return underlay(stack, hard, options.underlayAllowed)
  return {
    kind: 'kernel',
    warning: `${soft}, which cannot be used here: what was removed there may appear again`,
  }
}
