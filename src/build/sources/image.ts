/** An image of this machine as the base: SIF, squashfs or sandbox (`Bootstrap: localimage`). */

import { basename, dirname, resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { unpackedLayers } from '../../image/layers.ts'
import { type Image, openImage, type Window } from '../../image/open.ts'
import { sizeOfLayers, unpackLayers } from '../../image/unpack.ts'
import { mountStack } from '../../runtime/mounted.ts'
import { dataTypes } from '../../sif/format.ts'
import { readObject, readSif } from '../../sif/read.ts'
import { copyTree } from '../copy.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { newestTime } from '../tree.ts'
import type { Base } from './index.ts'
import { describeOciSif } from './oci-sif.ts'

/** The OCI configuration tells tools what the image was made from. */
const carriedName = 'oci-config.json'
const carriedLimit = 4 * 1024 * 1024

async function readAttachments(image: Image): Promise<Base['attachments']> {
  if (image.kind !== 'sif') return []
  const sif = await readSif(image.path)
  const objects = sif.objects.filter(
    ({ dataType, name, size }) =>
      dataType === dataTypes.genericJson && name === carriedName && size <= carriedLimit,
  )
  return Promise.all(
    objects.map(async (object) => ({ name: object.name, data: await readObject(sif, object) })),
  )
}

async function timeOf(image: Image, squashfsTime: number): Promise<number> {
  if (image.kind !== 'sif') return squashfsTime
  const { created } = (await readSif(image.path)).header
  return created > 0 ? created : squashfsTime
}

/** What is to stay as files needs unpacked ones, and so does what changes every file. */
function mayStayPacked({ request, facts, ownMounts }: BuildTools): boolean {
  const { sandbox, fixPermissions, keepScratch } = request
  const canMount = ownMounts && facts.fuse && (facts.overlayInUserNamespace || !facts.inUserNamespace)
  return canMount && !sandbox && !fixPermissions && !keepScratch
}

/** Let the files appear in `root` without unpacking them; undefined when that cannot be. */
async function mountBelow(image: Window, root: string, tools: BuildTools): Promise<Base['below']> {
  const { facts, scratch, report } = tools
  if (!mayStayPacked(tools)) return undefined
  try {
    const options = { at: root, directory: `${root}.changes`, allRoot: facts.idsMapped === 1 }
    const mounted = await mountStack([image], options)
    scratch.hold(mounted)
    return { image, changes: mounted.changes }
  } catch (error) {
    report({ kind: 'debug', text: `the base is unpacked, because it cannot be mounted: ${reasonOf(error)}` })
    return undefined
  }
}

async function unpack(
  layers: readonly Window[],
  bytes: number,
  root: string,
  tools: BuildTools,
): Promise<void> {
  const { facts, report, signal, scratch, request } = tools
  // Unpacked files take at least as much as packed ones. Scripts may remove most of them, a mere copy will not.
  const packed = tools.isConversion && !request.sandbox ? bytes / 2 : 0
  requireRoom(dirname(scratch.path), dirname(request.target), { unpacked: bytes, packed })
  await unpackLayers(layers, root, scratch.directory(`${basename(root)}-layers`), {
    ownership: facts.isRoot,
    report,
    signal,
  })
}

/** Fill the empty directory `root` with the files of an image. Resolves with what its descendants carry on. */
export async function fillFromImage(image: Image, root: string, tools: BuildTools): Promise<Base> {
  const { rootfs } = image
  const { facts, report, signal, scratch, request } = tools
  if ('directory' in rootfs) {
    await copyTree(rootfs.directory, root, { scratch: scratch.path, ownership: facts.isRoot, report, signal })
    return { attachments: [], time: request.reproducible ? newestTime(rootfs.directory) : undefined }
  }
  const layers = unpackedLayers(image)
  const { bytes, time } = await sizeOfLayers(layers)
  const below = layers.length === 1 ? await mountBelow(rootfs, root, tools) : undefined
  if (!below) await unpack(layers, bytes, root, tools)
  if (image.kind === 'oci-sif') return await describeOciSif(image.path, root)
  const base = { attachments: await readAttachments(image), time: await timeOf(image, time) }
  return below ? { ...base, below } : base
}

function requireNoFingerprints(stage: Stage): void {
  const { fingerprints } = stage.header
  if (!fingerprints?.trim()) return
  throw new SingError('UNSUPPORTED', 'Fingerprints: signatures of the base cannot be checked yet', {
    hint: 'Nothing is built, because the definition demands a signed base',
  })
}

/** Whether a stage runs something of its base, which must then be for this machine. */
export function runsPrograms({ sections, apps }: Stage): boolean {
  return sections.post !== undefined || sections.test !== undefined || apps.some(({ install }) => install)
}

/** The image that `From:` names, relative to the working directory. */
export async function fetchLocalImage(stage: Stage, root: string, tools: BuildTools): Promise<Base> {
  requireNoFingerprints(stage)
  const image = await openImage(resolve(stage.header.from ?? ''), { anyArchitecture: !runsPrograms(stage) })
  tools.report({ kind: 'verbose', text: `Taking the files of ${shown(image.path)}` })
  return fillFromImage(image, root, tools)
}
