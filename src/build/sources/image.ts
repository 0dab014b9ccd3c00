/** An image of this machine as the base: SIF, squashfs or sandbox (`Bootstrap: localimage`). */

import { dirname, resolve } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { type Image, openImage } from '../../image/open.ts'
import { SquashfsImage } from '../../native/addon.ts'
import { dataTypes } from '../../sif/format.ts'
import { readObject, readSif } from '../../sif/read.ts'
import { copyTree } from '../copy.ts'
import type { BuildTools } from '../request.ts'
import { requireRoom } from '../space.ts'
import { newestTime } from '../tree.ts'
import type { Base } from './index.ts'

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

async function unpack(image: Image, root: string, tools: BuildTools): Promise<number | undefined> {
  const { rootfs } = image
  const { facts, report, signal, scratch, request } = tools
  if ('directory' in rootfs) {
    await copyTree(rootfs.directory, root, { scratch: scratch.path, ownership: facts.isRoot, report, signal })
    return request.reproducible ? newestTime(rootfs.directory) : undefined
  }
  await using squashfs = await SquashfsImage.open(rootfs.file, rootfs.offset, rootfs.size)
  // Unpacked files take at least as much as packed ones. Scripts may remove most of them, a mere copy will not.
  const { bytes } = squashfs.info
  const packed = tools.isConversion && !request.sandbox ? bytes / 2 : 0
  requireRoom(dirname(scratch.path), dirname(request.target), { unpacked: bytes, packed })
  await squashfs.extract(root, { ownership: facts.isRoot, report, signal })
  return timeOf(image, squashfs.info.time)
}

function requireNoFingerprints(stage: Stage): void {
  const { fingerprints } = stage.header
  if (!fingerprints?.trim()) return
  throw new SingError('UNSUPPORTED', 'Fingerprints: signatures of the base cannot be checked yet', {
    hint: 'Nothing is built, because the definition demands a signed base',
  })
}

function runsPrograms({ sections, apps }: Stage): boolean {
  return sections.post !== undefined || sections.test !== undefined || apps.some(({ install }) => install)
}

/** Unpack the image that `From:` names, relative to the working directory. */
export async function fetchLocalImage(stage: Stage, root: string, tools: BuildTools): Promise<Base> {
  requireNoFingerprints(stage)
  const image = await openImage(resolve(stage.header.from ?? ''), { anyArchitecture: !runsPrograms(stage) })
  tools.report({ kind: 'verbose', text: `Unpacking ${shown(image.path)}` })
  const time = await unpack(image, root, tools)
  return { attachments: await readAttachments(image), time }
}
