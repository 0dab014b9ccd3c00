/** From a path to an image: what kind it is, where its root file system lies, and whether this machine can run it. */

import type { Buffer } from 'node:buffer'
import { accessSync, closeSync, constants, fstatSync, openSync, statfsSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import type { ImageConfig } from '../oci/types.ts'
import { architectures, dataTypes, filesystems, partitionKinds, type SifObject } from '../sif/format.ts'
import { membersOf } from '../sif/integrity.ts'
import { isOciSif, objectWindow, parseSif, primaryPartition, readAt, type Sif } from '../sif/read.ts'
import { canRun, hostArchitecture } from './architecture.ts'
import { usesBash } from './bash.ts'
import { checkExt3, ext3Length, isExt3 } from './ext3.ts'
import type { Locked } from './locked.ts'
import { listInside, readInside } from './sandbox.ts'
import { schemeOf } from './scheme.ts'
import { checkSuperblock, isSquashfs, superblockLength } from './superblock.ts'

/** A part of a file that holds a file system. */
export type Window = {
  readonly file: string
  readonly offset: number
  readonly size: number
  /** A squashfs unless it says otherwise. */
  readonly filesystem?: 'squashfs' | 'ext3' | undefined
  /** The file belongs to a cache, which must see that it is in use. */
  readonly held?: true | undefined
  /** The descriptor of what opens an encrypted squashfs (addon/squashfs/plain.h). */
  readonly key?: number | undefined
}

/** Files to lay over the root file system: the root of a squashfs, or `upper/` of an ext3. */
export type Overlay = Window & { readonly filesystem: 'squashfs' | 'ext3' }

/** A directory, and the number of the file system that it lies on (statfs(2)). */
export type Directory = { readonly directory: string; readonly type?: number | undefined }

export type Image = {
  /** Absolute; links are not resolved. */
  readonly path: string
  /** Last part of the path. */
  readonly name: string
  readonly kind: 'sif' | 'oci-sif' | 'squashfs' | 'ext3' | 'sandbox'
  readonly rootfs: Window | Directory
  /** Go name; undefined when the image does not say. */
  readonly arch: string | undefined
  readonly writable: boolean
  /** Its root file system is encrypted; `open`: and can be read. */
  readonly encryption?: { readonly sealed: boolean; readonly open: boolean } | undefined
  /** The file as it was when its signatures were verified; nothing else may be used in its place. */
  readonly version?: string | undefined
  /** The environment scripts use words of bash that a plain shell does not know, or nobody has looked: bash if it is there. */
  readonly bashEnvironment: boolean
  /** What lies over the root file system, lowest first: overlay partitions of a SIF, the other layers of an OCI-SIF. */
  readonly overlays?: readonly Overlay[]
  /** The parsed `inspect-metadata.json` of a SIF. */
  readonly metadata?: unknown
  /** The configuration of the OCI image that it was made from, or is: an object with Entrypoint, Cmd, Env and so on. */
  readonly oci?: unknown
}

/** Gets a key of an encrypted image: a descriptor. */
export type Unlock = (locked: Locked) => Promise<number>

export type OpenOptions = {
  /** How to open an encrypted image; `keep`: what is not encrypted in it will do. Absent: it is refused. */
  unlock?: Unlock | 'keep' | undefined
  /** The image is only looked into: any architecture will do. */
  anyArchitecture?: boolean
  /** The root file system may be an ext3, which can be mounted and not be looked into. */
  ext3?: boolean
  /** The file, which is open already; it stays open. */
  descriptor?: number
}

const headLength = 2048
export const metadataName = 'inspect-metadata.json'
export const ociConfigName = 'oci-config.json'
const metadataLimit = 16 * 1024 * 1024

/**
 * Open an image. Short, because every start of a container goes through it: only kinds that few have wait for anything.
 * Throws IMAGE_NOT_FOUND, IMAGE_FORMAT (no image, or a kind that cannot be run), SIF_FORMAT and SIF_OBJECT (a damaged
 * SIF), IMAGE_ARCHITECTURE.
 */
export async function openImage(path: string, options: OpenOptions = {}): Promise<Image> {
  const fd = options.descriptor ?? openPath(path)
  try {
    const facts = fstatSync(fd)
    const common = { path: resolve(path), name: basename(resolve(path)) }
    if (facts.isDirectory()) return sandboxImage(common)
    if (!facts.isFile()) throw noImage(path, 'it is neither a file nor a directory')
    const head = readAt(fd, 0, headLength)
    // The magic alone decides: what is wrong with the rest is then said in terms of SIF.
    const isSif = head.toString('latin1', 0x20, 0x29) === 'SIF_MAGIC'
    const image = isSif
      ? await sifImage(fd, path, common, options)
      : bareImage(fd, path, common, head, facts.size)
    if (!options.ext3 && 'file' in image.rootfs && image.rootfs.filesystem === 'ext3')
      throw noImage(path, 'its file system is ext3, which can be run and not be looked into', convertHint)
    if (!options.anyArchitecture) checkArchitecture(image, path)
    return image
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    throw new SingError('IO', `cannot read ${shown(path)}: ${reasonOf(cause)}`, { cause })
  } finally {
    if (options.descriptor === undefined) closeSync(fd)
  }
}

function hintFor(path: string): string | undefined {
  if (/^\d+(\.\d+)?[kmgt](i?b)?$/i.test(path))
    return `A size is attached to its flag: --writable-tmpfs=${shown(path)}`
  return looksLikeReference(path)
    ? `If it is the name of an image in a registry: docker://${path}`
    : undefined
}

/** Open what may be an image. @throws SingError IMAGE_NOT_FOUND or IO */
export function openPath(path: string): number {
  try {
    // A named pipe must not keep us waiting for its writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(errnoOf(cause) ?? '')
    if (missing) refuseReference(path)
    throw new SingError(
      missing ? 'IMAGE_NOT_FOUND' : 'IO',
      `cannot open ${shown(path)}: ${reasonOf(cause)}`,
      {
        hint: missing ? hintFor(path) : undefined,
        cause,
      },
    )
  }
}

/** Not all commands take references: some would have to fetch an image only to look into it. */
function refuseReference(path: string): void {
  if (path.startsWith('instance:'))
    throw new SingError('UNSUPPORTED', `cannot open ${shown(path)}: it is an instance, not an image`, {
      hint: 'exec, run, shell and test take instances, and sing instance list shows them',
    })
  if (schemeOf(path) === undefined) return
  throw new SingError('UNSUPPORTED', `cannot open ${shown(path)}: an image of this machine is needed`, {
    hint: `Fetch it first: sing pull NAME.sif ${shown(path)}`,
  })
}

/** `alpine`, `alpine:3.20`, `user/image:tag`, `registry.example/image`; not what is clearly a path or a file name. */
function looksLikeReference(path: string): boolean {
  return (
    /^[a-z0-9][\w.-]*(\/[\w.-]+)*(:[\w.-]+)?$/.test(path) &&
    !/\.(sif|simg|img|sqfs|squashfs|sqsh|tar)$/.test(path)
  )
}

type Common = Pick<Image, 'path' | 'name'>

function sandboxImage(common: Common): Image {
  return {
    ...common,
    kind: 'sandbox',
    rootfs: { directory: common.path, type: statfsSync(common.path).type },
    arch: undefined,
    writable: isWritable(common.path),
    bashEnvironment: environmentScripts(common.path).some(usesBash),
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Texts of the scripts that other people put into an image; those of the builders themselves are plain. */
function environmentScripts(root: string): string[] {
  const directory = '/.singularity.d/env'
  try {
    const names = listInside(root, directory) ?? []
    const scripts = names.filter((name) => /^[19].*\.sh$/.test(name)).map((name) => `${directory}/${name}`)
    const apps = (listInside(root, '/scif/apps') ?? []).map(
      (app) => `/scif/apps/${app}/scif/env/90-environment.sh`,
    )
    return [...scripts, ...apps].map((path) => readInside(root, path, metadataLimit)?.toString() ?? '')
  } catch {
    // A script that cannot be read is the container's trouble, which will say so itself.
    return []
  }
}

async function sifImage(fd: number, path: string, common: Common, { unlock }: OpenOptions): Promise<Image> {
  const sif = parseSif(fd, path)
  if (isOciSif(sif)) return await ociSifImage(fd, sif, path, common)
  const partition = primaryPartition(sif)
  const { offset, size } = objectWindow(sif, partition)
  const filesystem = rootFilesystem(partition.partition?.filesystem, path)
  checkFilesystem(fd, { offset, size, filesystem }, path)
  const locks =
    partition.partition?.filesystem === filesystems.gocryptfs
      ? await (await import('./locked.ts')).openLocked(fd, sif, partition, unlock)
      : undefined
  const metadata = readMetadata(fd, sif, partition, metadataName)
  const oci = readMetadata(fd, sif, partition, ociConfigName)
  return {
    ...common,
    kind: 'sif',
    rootfs: {
      ...{ file: common.path, offset, size, ...(filesystem === 'ext3' ? { filesystem } : {}) },
      ...(locks?.key === undefined ? {} : { key: locks.key }),
    },
    ...(locks ? { encryption: { sealed: locks.sealed, open: locks.key !== undefined } } : {}),
    arch: architectures[partition.partition?.arch ?? ''],
    writable: isWritable(common.path),
    bashEnvironment: metadata === undefined || scriptsOf(metadata).some(usesBash),
    overlays: overlaysOf(sif, partition, common.path),
    metadata,
    ...(oci === undefined ? {} : { oci }),
  }
}

async function ociSifImage(fd: number, sif: Sif, path: string, common: Common): Promise<Image> {
  const { ociSifLayers, readConfig, readOciSif } = await import('./oci-sif.ts')
  const ociSif = readOciSif(fd, sif)
  const config = readConfig(fd, ociSif)
  const [layer, ...overlays] = ociSifLayers(fd, ociSif, common.path)
  if (!layer) throw noImage(path, 'it has no layers')
  const { os, architecture } = config.platform
  if (os && os !== 'linux') throw noImage(path, `its programs are for ${shown(os)}`)
  const { file, offset, size } = layer
  return {
    ...common,
    kind: 'oci-sif',
    rootfs: { file, offset, size },
    arch: architecture || undefined,
    writable: isWritable(common.path),
    bashEnvironment: true,
    overlays,
    oci: ociValues(config),
  }
}

/** The parts of a configuration that a launch looks at, by the names that they have in JSON. */
function ociValues(config: ImageConfig): unknown {
  return {
    Entrypoint: config.entrypoint,
    Cmd: config.command,
    Env: config.environment,
    WorkingDir: config.workingDirectory,
    User: config.user,
  }
}

function rootFilesystem(filesystem: number | undefined, path: string): Overlay['filesystem'] {
  switch (filesystem) {
    case filesystems.squashfs:
    case filesystems.gocryptfs: // in a squashfs of its own
      return 'squashfs'
    case filesystems.ext3:
      return 'ext3'
    case filesystems.encryptedSquashfs:
      throw noImage(path, 'it is encrypted for the device mapper (LUKS), which takes root to open', luksHint)
    default:
      throw noImage(path, 'its root file system is neither squashfs nor ext3')
  }
}

const luksHint = [
  'Where it can be opened, as root: singularity build --sandbox DIRECTORY IMAGE',
  'From there, in a format that needs no root: sing build --encrypt NEW.sif DIRECTORY',
].join('\n')

const convertHint = 'Where singularity runs it: singularity build --sandbox DIRECTORY IMAGE'

/** By their numbers: signatures say nothing about the order of the table. */
function overlaysOf(sif: Sif, root: SifObject, file: string): Overlay[] {
  return membersOf(sif.objects, root.group).flatMap((object) => {
    const { partition } = object
    if (partition?.kind !== partitionKinds.overlay) return []
    const filesystem = mountable[partition.filesystem]
    return filesystem ? [{ file, ...objectWindow(sif, object), filesystem }] : []
  })
}

/** Of a partition whose file system can only be read with a key. */
export const isEncrypted = (filesystem: number): boolean =>
  filesystem === filesystems.encryptedSquashfs || filesystem === filesystems.gocryptfs

/** File systems of partitions that can be mounted. */
export const mountable: Readonly<Record<number, Overlay['filesystem']>> = {
  [filesystems.squashfs]: 'squashfs',
  [filesystems.ext3]: 'ext3',
}

/**
 * A parsed JSON object by its name, of the group of the root file system: who signed that signed it. Undefined when there is none that can
 * be read, which only matters to who needs it.
 */
function readMetadata(fd: number, sif: Sif, { group }: SifObject, wanted: string): unknown {
  const object = membersOf(sif.objects, group).find(
    ({ dataType, name }) => dataType === dataTypes.genericJson && name === wanted,
  )
  if (!object || object.size > metadataLimit) return undefined
  try {
    const { offset, size } = objectWindow(sif, object)
    return JSON.parse(readAt(fd, offset, size).toString())
  } catch {
    return undefined
  }
}

/** The environment scripts in metadata of any shape: of the image and of its apps. */
function scriptsOf(metadata: unknown): string[] {
  const at = (value: unknown, key: string): unknown =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
  const valuesOf = (value: unknown): unknown[] =>
    typeof value === 'object' && value !== null ? Object.values(value) : []
  const attributes = at(at(metadata, 'data'), 'attributes')
  const environments = [attributes, ...valuesOf(at(attributes, 'apps'))].map((owner) =>
    at(owner, 'environment'),
  )
  return environments.flatMap(valuesOf).filter((text) => typeof text === 'string')
}

/** Check the beginning of a squashfs or ext3. @throws SingError IMAGE_FORMAT */
export function checkFilesystem(
  fd: number,
  { offset, size, filesystem }: { offset: number; size: number; filesystem: Overlay['filesystem'] },
  path: string,
): void {
  if (filesystem === 'ext3') checkExt3(readAt(fd, offset, ext3Length), size, path)
  else checkSuperblock(readAt(fd, offset, superblockLength), size, path)
}

function bareImage(fd: number, path: string, common: Common, head: Buffer, fileSize: number): Image {
  const offset = launchLineLength(head)
  const start = head.subarray(offset)
  const filesystem = isSquashfs(start) ? 'squashfs' : isExt3(start) ? 'ext3' : undefined
  if (!filesystem) throw otherFile(path, start)
  const size = fileSize - offset
  checkFilesystem(fd, { offset, size, filesystem }, path)
  return {
    ...common,
    kind: filesystem,
    rootfs: { file: common.path, offset, size, ...(filesystem === 'ext3' ? { filesystem } : {}) },
    arch: undefined,
    writable: filesystem === 'ext3' && isWritable(common.path),
    // Looking into it would cost more than starting bash does.
    bashEnvironment: true,
  }
}

/** Images of Singularity 2 begin with a line that makes them programs; the file system follows at once. */
function launchLineLength(head: Buffer): number {
  const end = head.indexOf(10)
  const line = end < 0 ? '' : head.toString('latin1', 0, end)
  return line.startsWith('#!') && line.endsWith(' run-singularity') ? end + 1 : 0
}

/** The refusal of a file that is no image, with the help that a guess at what it is allows. */
function otherFile(path: string, start: Buffer): SingError {
  const text = start.toString('latin1')
  if (start.length === 0) return noImage(path, 'the file is empty')
  if (/^\s*bootstrap\s*:/im.test(text) && !text.includes('\0')) {
    return noImage(path, 'it is a definition file', `To make an image of it: sing build IMAGE ${shown(path)}`)
  }
  if (text.slice(257, 262) === 'ustar') {
    const hint = `If it is a container archive: docker-archive:${shown(path)} or oci-archive:${shown(path)}`
    return noImage(path, 'it is a tar archive', hint)
  }
  return noImage(path, 'it is neither a SIF nor a squashfs nor an ext3 file')
}

function noImage(path: string, reason: string, hint?: string): SingError {
  return new SingError('IMAGE_FORMAT', `cannot open ${shown(path)} as an image: ${reason}`, { hint })
}

function checkArchitecture({ arch }: Image, path: string): void {
  if (arch === undefined || canRun(arch)) return
  throw new SingError(
    'IMAGE_ARCHITECTURE',
    `cannot run ${shown(path)}: it is for ${arch}, this machine is ${hostArchitecture()}`,
    {
      hint: `Fetch or build it for ${hostArchitecture()}, or install emulation (qemu-user with binfmt_misc) on this machine.`,
    },
  )
}
