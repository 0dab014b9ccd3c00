/** The root file system of a container: an image, what lies over it, and what takes changes. */

import type { Config } from '../config/schema.ts'
import { SingError } from '../core/errors.ts'
import type { Image } from '../image/open.ts'
import type { OverlayLayer } from '../image/overlay.ts'
import { chooseDriver, type Driver, type Stack } from './driver.ts'
import { imageLayer, type Machine, volumeLayer } from './layers.ts'
import type { LaunchRequest } from './request.ts'
import type { Missing, Op } from './spec.ts'

export type Root = {
  readonly ops: readonly Op[]
  readonly missing: Missing
  readonly writable: boolean
  /** Changes are there the next time. */
  readonly keepsChanges: boolean
  readonly warnings: readonly string[]
  /** What a curious person may want to know. */
  readonly notes: readonly string[]
}

const quiet = { warnings: [], notes: [] } as const

/** The image itself, changeable: a directory or an ext3. */
function writableImage(image: Image, machine: Machine): Root {
  const { rootfs } = image
  const isFile = 'file' in rootfs
  if (isFile && rootfs.filesystem !== 'ext3') {
    throw new SingError('UNSUPPORTED', `--writable: ${image.path} is a read-only image`, {
      hint: 'Use --writable-tmpfs for changes that vanish, --overlay DIRECTORY for changes that stay, or build --sandbox first',
    })
  }
  if (isFile) requireWritable(image)
  const layer = imageLayer(rootfs, 'write', machine)
  const ops: Op[] = [layer, { op: 'root', layer: 'image' }]
  return { ops, missing: 'fail', writable: true, keepsChanges: true, ...quiet }
}

function requireWritable(image: Image): void {
  if (image.writable) return
  throw new SingError('OVERLAY', `--writable: ${image.path} cannot be written to`, {
    hint: 'Copy it, or use --writable-tmpfs or --overlay DIRECTORY',
  })
}

const canTakeChanges = (layer: OverlayLayer): boolean => 'directory' in layer || layer.filesystem === 'ext3'

/** The ext3 overlay of a SIF that --writable means. */
const changeable = ({ overlays = [] }: Image): OverlayLayer | undefined => overlays.findLast(canTakeChanges)

function requestedLayers({ overlays }: LaunchRequest): { layer: OverlayLayer; writable: boolean }[] {
  return overlays.flatMap(({ path, readonly, layers }) =>
    (layers ?? [{ directory: path }]).map((layer) => ({
      layer,
      writable: !readonly && canTakeChanges(layer),
    })),
  )
}

function readStack(request: LaunchRequest, image: Image): Stack {
  const embedded = request.writable ? changeable(image) : undefined
  if (embedded) requireWritable(image)
  const requested = requestedLayers(request)
  const writers = requested.filter(({ writable }) => writable).map(({ layer }) => layer)
  const refuse = (sentence: string) => {
    throw new SingError('USAGE', sentence, { status: 255 })
  }
  if (writers.length > 1) refuse('only one --overlay can be writable: mark the others with :ro')
  if (writers.length > 0 && request.writableTmpfs)
    refuse('--writable-tmpfs and a writable --overlay exclude each other: mark the overlay with :ro')
  const writer = embedded ?? writers[0]
  return {
    image,
    lower: [...(image.overlays ?? []), ...requested.map(({ layer }) => layer)].filter(
      (layer) => layer !== writer,
    ),
    writer,
    writable: writer !== undefined || request.writableTmpfs,
  }
}

/** A directory or ext3 keeps its changes in upper/, a squashfs has nothing else. */
const nameBelow = (layer: OverlayLayer, name: string): string =>
  canTakeChanges(layer) ? `${name}/upper` : name

/** Below fuse-overlayfs the kernel's mount of an ext3 would outlive the container by a moment, unwritten. */
function throughProgram(op: Op): Op {
  return op.op === 'ext3' && op.program !== undefined ? { ...op, kernel: false } : op
}

function layerOp(layer: OverlayLayer, name: string, access: 'read' | 'write', machine: Machine): Op {
  if ('file' in layer) return volumeLayer(name, layer, access, machine)
  return { op: 'directory', layer: name, from: layer.directory, locked: access === 'write' || undefined }
}

function upperOps({ writer }: Stack, request: LaunchRequest, config: Config, machine: Machine): Op[] {
  if (writer) return [layerOp(writer, 'upper', 'write', machine)]
  if (!request.writableTmpfs) return []
  return [{ op: 'memory', layer: 'upper', size: request.writableTmpfsSize ?? config.sessionSize }]
}

function overlayOps(stack: Stack, upper: readonly Op[], program: string | undefined, machine: Machine): Op[] {
  const lower = stack.lower.map((layer, index) => ({ layer, name: `lower${index}` }))
  const layers = [...lower.map(({ layer, name }) => layerOp(layer, name, 'read', machine)), ...upper]
  return [
    imageLayer(stack.image.rootfs, 'read', machine),
    ...(program === undefined ? layers : layers.map(throughProgram)),
    {
      op: 'overlay',
      lower: [...lower.map(({ layer, name }) => nameBelow(layer, name)).reverse(), 'image'],
      upper: upper.length > 0 ? 'upper' : undefined,
      userxattr: program === undefined && machine.identity.inUserNamespace,
      program,
    },
  ]
}

/** Only read, without an overlay. */
function plainRoot({ image }: Stack, driver: Driver, machine: Machine): Root {
  const layer = imageLayer(image.rootfs, 'read', machine)
  const root = driver.kind === 'underlay' ? 'underlay' : 'root'
  return {
    ops: [layer, { op: root, layer: 'image' }],
    missing: driver.kind === 'underlay' ? 'create' : 'skip',
    writable: false,
    keepsChanges: false,
    warnings: [],
    notes: driver.kind === 'underlay' ? [`Missing mount points are made by binds: ${driver.reason}`] : [],
  }
}

/** @throws SingError for what cannot be together, and for changes that could not be kept */
export function planRoot(request: LaunchRequest, config: Config, image: Image, machine: Machine): Root {
  if (request.writable && !changeable(image)) return writableImage(image, machine)
  const stack = readStack(request, image)
  const options = {
    underlay: request.underlay,
    overlayAllowed: config.overlay,
    underlayAllowed: config.underlay,
  }
  const driver = chooseDriver(stack, options, machine)
  if (driver.kind === 'underlay' || driver.kind === 'none') return plainRoot(stack, driver, machine)
  const program = driver.kind === 'fuse' ? driver.program : undefined
  return {
    ops: overlayOps(stack, upperOps(stack, request, config, machine), program, machine),
    missing: 'create',
    writable: stack.writable,
    keepsChanges: stack.writer !== undefined,
    warnings: driver.kind === 'kernel' && driver.warning ? [driver.warning] : [],
    notes: driver.kind === 'fuse' ? [`Layers are put together by fuse-overlayfs: ${driver.reason}`] : [],
  }
}
