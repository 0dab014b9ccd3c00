/**
 * What devices of the host need in a container: libraries of their drivers, programs, nodes, variables; and what a
 * person should know before programs crash.
 */

import { posix } from 'node:path'
import { compareLibc, type LibcVersion } from '../core/elf.ts'
import { SingError, shown } from '../core/errors.ts'
import type { CdiFacts, CdiMount, CdiNode } from '../host/cdi.ts'
import type { GpuFacts, HostLibrary } from '../host/gpu.ts'
import type { Vendor } from '../host/gpulists.ts'
import type { ImageLibraries } from '../image/libraries.ts'
import { allEdits, chooseDevices, mountBehind, type Performed, performHooks, plainPaths } from './cdi.ts'
import { type BindOptions, bindOp, type Missing, type Op } from './spec.ts'

const { basename, dirname } = posix

/** What was looked up because devices were asked for. */
export type DeviceFacts = {
  readonly gpus: readonly GpuFacts[]
  /** Nodes of Gaudi accelerators; absent when nobody asked. */
  readonly hpu?: readonly string[]
  /** Libraries that the user named. */
  readonly libraries: readonly HostLibrary[]
  readonly cdi?: CdiFacts
  /** Absent when no library comes in, or the image cannot be read. */
  readonly image?: ImageLibraries
}

export type DeviceRequest = {
  readonly vendors: readonly Vendor[]
  readonly hpu: boolean
  readonly libraries: readonly string[]
  readonly names: readonly string[]
  /** Directories of CDI files; empty: those of the system. */
  readonly cdiDirectories: readonly string[]
}

export const noDevices: DeviceRequest = {
  vendors: [],
  hpu: false,
  libraries: [],
  names: [],
  cdiDirectories: [],
}

/** What devices ask of the environment. */
export type DeviceEnvironment = Pick<DevicePlan, 'environment' | 'hasLibraries' | 'libraryPath'>

export const environmentOf = ({ environment, hasLibraries, libraryPath }: DevicePlan): DeviceEnvironment => ({
  environment,
  hasLibraries,
  libraryPath,
})

export type DevicePlan = {
  readonly ops: readonly Op[]
  /** Variables, which the user's own beat. */
  readonly environment: readonly (readonly [name: string, value: string])[]
  /** Libraries come into the directory for them. */
  readonly hasLibraries: boolean
  /** Directories for the loader to search before and after others. */
  readonly libraryPath: { readonly prepend: readonly string[]; readonly append: readonly string[] }
  readonly warnings: readonly string[]
}

/** How the root takes mounts. */
export type DevicePlace = {
  readonly missing: Missing
  /** /dev is not the host's: nodes have to be brought in. */
  readonly ownDev: boolean
  readonly imageName: string
  readonly environment: Readonly<Record<string, string>>
  /** Groups of the user. */
  readonly groups: readonly number[]
  readonly isRoot: boolean
}

/** Directory of the host's libraries in the container. */
export const libraryDirectory = '/.singularity.d/libs'

/** Whether anything has to be looked up. */
export function wantsDevices({ vendors, hpu, names, libraries }: DeviceRequest): boolean {
  return hpu || vendors.length > 0 || names.length > 0 || libraries.length > 0
}

/** Drivers are single files and nodes, without mounts below them. */
const bind = (from: string, at: string, options: BindOptions & { readonly missing: Missing }): Op =>
  bindOp(from, at, { recursive: false, ...options })

/** A device node at its own place. */
const node = (path: string, from = path): Op => bind(from, path, { missing: 'create', trusted: true })

/**
 * Libraries that programs of any vendor use: the image's own fits its other libraries better. Those of a driver have to
 * be the ones of the kernel's module.
 */
const neutral = /^lib(EGL|GL|GLdispatch|GLESv1_CM|GLESv2|GLX|OpenGL|OpenCL|drm|drm_amdgpu|numa|pci)\.so(\.|$)/

/** Something of the driver itself: without it the libraries of any vendor are of no use. */
const hasDriver = ({ libraries, devices }: GpuFacts): boolean =>
  devices.length > 0 || libraries.some(({ name }) => !neutral.test(name))

/** Libraries to bring in: a vendor-neutral one only where the image has none. */
function chosenLibraries(facts: DeviceFacts): HostLibrary[] {
  const present = new Set(facts.image?.present)
  const fromDrivers = facts.gpus
    .filter(hasDriver)
    .flatMap(({ libraries }) => libraries)
    .filter(({ name }) => !neutral.test(name) || !present.has(name))
  return [...facts.libraries, ...fromDrivers]
}

type Link = { readonly name: string; readonly to: string }

/** The directory of libraries: each file under its own name, and links by which programs ask for it. */
function libraryOps(libraries: readonly HostLibrary[], links: readonly Link[], missing: Missing): Op[] {
  if (libraries.length === 0 && links.length === 0) return []
  const files = new Map(libraries.map(({ path }) => [basename(path), path]))
  const names = new Map<string, string>()
  for (const { name, to } of [...libraries.map(({ name, path }) => ({ name, to: basename(path) })), ...links])
    if (!files.has(name) && !names.has(name)) names.set(name, to)
  return [
    {
      op: 'tmpfs',
      at: libraryDirectory,
      missing: missing === 'skip' ? 'fail' : 'create',
      size: 0,
      mode: 0o755,
    },
    ...[...files].map(([name, path]) =>
      bind(path, `${libraryDirectory}/${name}`, { missing: 'create', readonly: true }),
    ),
    ...[...names].map(([name, to]): Op => ({ op: 'symlink', at: `${libraryDirectory}/${name}`, to })),
  ]
}

const versionText = (version: LibcVersion): string => version.join('.')

/** Programs die at once over a library that needs a newer C library than there is. */
function libcWarnings(libraries: readonly HostLibrary[], facts: DeviceFacts, imageName: string): string[] {
  const libc = facts.image?.libc
  if (!libc || libraries.length === 0) return []
  if (libc.kind === 'musl') {
    return [
      `${imageName} has musl as its C library: libraries of this host, such as ${libraries[0]?.name}, need glibc and cannot be loaded there`,
    ]
  }
  const newer = libraries
    .filter(({ glibc }) => glibc !== undefined && compareLibc(glibc, libc.version) > 0)
    .toSorted((a, b) => compareLibc(b.glibc ?? [0, 0], a.glibc ?? [0, 0]))
  const [worst] = newer
  if (!worst?.glibc) return []
  const others = newer.length > 1 ? ` (and ${newer.length - 1} more)` : ''
  return [
    `${worst.name}${others} of this host needs glibc ${versionText(worst.glibc)}, ${imageName} has ${versionText(libc.version)}: programs that load it will fail; use an image with glibc ${versionText(worst.glibc)} or newer`,
  ]
}

/** Places in an image that cannot get new ones are used where they are there. */
const ifPossible = (missing: Missing): Missing => (missing === 'create' ? 'create' : 'skip')

function gpuOps({ programs, files, devices, sockets }: GpuFacts, place: DevicePlace): Op[] {
  const missing = ifPossible(place.missing)
  const mount = (from: string, at: string, readonly: boolean) =>
    bind(from, at, { missing, readonly, soft: true })
  return [
    ...programs.map(({ name, path }) => mount(path, `/usr/bin/${name}`, true)),
    ...files.map((path) => mount(path, path, true)),
    ...sockets.map((path) => mount(path, path, false)),
    ...(place.ownDev ? devices.map((path) => node(path)) : []),
  ]
}

function gpuWarnings(gpu: GpuFacts): string[] {
  if (hasDriver(gpu)) return []
  const { vendor } = gpu
  return [
    `--${vendor}: could not find any ${vendor} files on this host; the container starts without a driver`,
  ]
}

function isChosenHpu(path: string, wanted: ReadonlySet<string>): boolean {
  const number = /^\/dev\/accel\/accel(?:_controlD)?(\d+)$/.exec(path)?.[1]
  return number === undefined || wanted.has('all') || wanted.has(number)
}

/** Gaudi accelerators: those of HABANA_VISIBLE_DEVICES, or all. */
function planHpu(devices: readonly string[], place: DevicePlace): Pick<DevicePlan, 'ops' | 'warnings'> {
  const word = place.environment.HABANA_VISIBLE_DEVICES || 'all'
  if (!/^(all|\d+(,\d+)*)$/.test(word)) {
    throw new SingError(
      'ENVIRONMENT',
      `HABANA_VISIBLE_DEVICES is "${shown(word)}": expected numbers or all`,
      {
        hint: 'For example HABANA_VISIBLE_DEVICES=0,1',
      },
    )
  }
  const chosen = devices.filter((path) => isChosenHpu(path, new Set(word.split(','))))
  const found = chosen.some((path) => path.startsWith('/dev/accel/'))
  return {
    ops: place.ownDev ? chosen.map((path) => node(path)) : [],
    warnings: found
      ? []
      : [`--intel-hpu: this host has no such devices in /dev/accel (HABANA_VISIBLE_DEVICES is ${word})`],
  }
}

const isBelowDev = (path: string): boolean => path.startsWith('/dev/')

function cdiNode({ path, hostPath, present }: CdiNode, word: string, place: DevicePlace): Op[] {
  if (!present) throw new SingError('UNSUPPORTED', `--device ${word}: this host has no ${hostPath}`)
  if (place.ownDev || !isBelowDev(path)) return [node(path, hostPath)]
  if (path === hostPath) return []
  throw new SingError(
    'UNSUPPORTED',
    `--device ${word}: ${hostPath} cannot become ${path} in the host's /dev`,
    {
      hint: 'Use --contain, which gives the container a /dev of its own',
    },
  )
}

function cdiMountOp(mount: CdiMount, at: string, missing: Missing): Op {
  const { hostPath, readonly, recursive } = mount
  return bind(hostPath, at, { missing: missing === 'create' ? 'create' : 'fail', readonly, recursive })
}

function cdiLinkOps(
  { links }: Performed,
  mounts: readonly CdiMount[],
  missing: Missing,
): { ops: Op[]; skipped: string[] } {
  const ops: Op[] = []
  const skipped: string[] = []
  for (const link of links) {
    const mount = mountBehind(link, links, mounts)
    if (mount) ops.push(cdiMountOp(mount, link.at, missing))
    else if (missing !== 'create') skipped.push(link.at)
    else ops.push({ op: 'mkdir', at: dirname(link.at), mode: 0o755 }, { op: 'symlink', ...link })
  }
  return { ops, skipped }
}

const isLibrary = (path: string): boolean => /\.so(\.|$)/.test(path)

/** Names by which the loader shall find what is mounted. */
function cdiLibraryLinks({ links, cache }: Performed, mounts: readonly CdiMount[]): Link[] {
  if (!cache) return []
  return [
    ...mounts.flatMap(({ containerPath, soname }) =>
      soname === undefined
        ? []
        : [...new Set([basename(containerPath), basename(soname)])].map((name) => ({
            name,
            to: containerPath,
          })),
    ),
    ...links
      .filter(({ at }) => isLibrary(at))
      .flatMap((link) => {
        const mount = mountBehind(link, links, mounts)
        return mount ? [{ name: basename(link.at), to: mount.containerPath }] : []
      }),
  ]
}

type CdiPlan = Omit<DevicePlan, 'hasLibraries'> & { readonly links: readonly Link[] }

const noCdi: CdiPlan = {
  ops: [],
  links: [],
  environment: [],
  libraryPath: { prepend: [], append: [] },
  warnings: [],
}

const major = (version: string): number => Number.parseInt(version, 10)

/** The image's libraries for older drivers are used where they are newer than the driver. */
function compatDirectories({ compat }: Performed, image: ImageLibraries | undefined): string[] {
  const own = image?.cudaCompat
  return compat && own && major(own) > major(compat) ? ['/usr/local/cuda/compat'] : []
}

function uniqueBy<T>(values: readonly T[], key: (value: T) => string): T[] {
  return [...new Map(values.map((value) => [key(value), value])).values()]
}

/** A whole directory of the host was mounted there, or above. */
const isMounted = (folder: string, mounts: readonly CdiMount[]): boolean =>
  mounts.some(
    ({ directory, containerPath: at }) => directory && (folder === at || folder.startsWith(`${at}/`)),
  )

function planCdi(names: readonly string[], facts: DeviceFacts, place: DevicePlace): CdiPlan {
  if (!facts.cdi || names.length === 0) return noCdi
  const edits = allEdits(chooseDevices(names, facts.cdi))
  const hooks = performHooks(edits)
  const mounts = uniqueBy(
    edits.flatMap(({ edits: { mounts } }) => mounts),
    ({ containerPath }) => containerPath,
  )
  const environment = edits.flatMap(({ edits: { environment } }) => environment)
  const searched = plainPaths(
    environment.flatMap(([name, value]) => (name === 'LD_LIBRARY_PATH' ? value.split(':') : [])),
  )
  const nodes = edits.flatMap(({ word, edits: { nodes } }) => nodes.map((node) => ({ word, node })))
  const { ops: linkOps, skipped } = cdiLinkOps(hooks, mounts, place.missing)
  return {
    ops: [
      ...uniqueBy(nodes, ({ node }) => node.path).flatMap(({ word, node }) => cdiNode(node, word, place)),
      ...mounts.map((mount) => cdiMountOp(mount, mount.containerPath, place.missing)),
      ...linkOps,
    ],
    links: cdiLibraryLinks(hooks, mounts),
    environment: environment.filter(([name]) => name !== 'LD_LIBRARY_PATH'),
    libraryPath: {
      prepend: compatDirectories(hooks, facts.image),
      append: [...hooks.folders.filter((folder) => isMounted(folder, mounts)), ...searched],
    },
    warnings: [
      ...facts.cdi.broken.map(({ file, reason }) => `${file} is no CDI file that can be used: ${reason}`),
      ...edits.flatMap(({ word, edits }) => privilegeWarnings(word, edits, place)),
      ...skipped.map((path) => `--device: the link ${path} cannot be made in this image`),
    ],
  }
}

/** What only an administrator's runtime could do. */
function privilegeWarnings(
  word: string,
  { groups, privileged }: { readonly groups: readonly number[]; readonly privileged: readonly string[] },
  place: DevicePlace,
): string[] {
  const foreign = place.isRoot ? [] : groups.filter((group) => !place.groups.includes(group))
  return [
    ...foreign.map(
      (group) => `--device ${word}: it belongs to the group ${group}, of which you are no member`,
    ),
    ...privileged.map((name) => `--device ${word}: ${name} needs privilege and is left out`),
  ]
}

/**
 * Decide what devices need. `request` names them, `facts` is what the host has of them.
 * @throws SingError for devices that are not there or cannot be had
 */
export function planDevices(
  request: DeviceRequest,
  facts: DeviceFacts | undefined,
  place: DevicePlace,
): DevicePlan {
  if (!facts) return { ...noCdi, hasLibraries: false }
  const libraries = chosenLibraries(facts)
  const cdi = planCdi(request.names, facts, place)
  const hpu = facts.hpu ? planHpu(facts.hpu, place) : { ops: [], warnings: [] }
  const libraryPlaces = libraryOps(libraries, cdi.links, place.missing)
  return {
    ops: uniqueBy(
      [...libraryPlaces, ...facts.gpus.flatMap((gpu) => gpuOps(gpu, place)), ...hpu.ops, ...cdi.ops],
      (op) => ('at' in op ? `${op.op} ${op.at}` : JSON.stringify(op)),
    ),
    environment: cdi.environment,
    hasLibraries: libraryPlaces.length > 0,
    libraryPath: cdi.libraryPath,
    warnings: [
      ...facts.gpus.flatMap(gpuWarnings),
      ...libcWarnings(libraries, facts, place.imageName),
      ...hpu.warnings,
      ...cdi.warnings,
    ],
  }
}
