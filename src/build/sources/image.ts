/** An image of this machine as the base: SIF, squashfs, ext3 or sandbox (`Bootstrap: localimage`). */

import { randomUUID } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { shown } from '../../core/errors.ts'
import type { Stage } from '../../definition/types.ts'
import { unpackedLayers } from '../../image/layers.ts'
import type { Image, Window } from '../../image/open.ts'
import { sizeOfLayers } from '../../image/unpack.ts'
import { packDirectory } from '../../native/addon.ts'
import { dataTypes } from '../../sif/format.ts'
import { readObject, readSif } from '../../sif/read.ts'
import { packing } from '../compression.ts'
import { windowDigest } from '../digest.ts'
import { contentDigest } from '../lock/sources.ts'
import { staysPacked } from '../mountable.ts'
import { pinned } from '../pinned.ts'
import type { BuildTools } from '../request.ts'
import type { StageBase } from '../steps.ts'
import { newestTime } from '../tree.ts'
import { copyingExt3 } from './ext3.ts'
import type { Attachment, SourceBase } from './index.ts'
import { describeOciSif } from './oci-sif.ts'
import { openBase } from './signed.ts'

/** The OCI configuration tells tools what the image was made from. */
const carriedName = 'oci-config.json'
const carriedLimit = 4 * 1024 * 1024

async function readAttachments(image: Image): Promise<readonly Attachment[]> {
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

/** The files of a sandbox as an image file of this build, which the new image takes its blocks from. */
async function packedSandbox(directory: string, tools: BuildTools): Promise<Window> {
  const { scratch, report, signal, facts, request } = tools
  const file = join(scratch.path, `base-${randomUUID()}.squashfs`)
  const fd = openSync(file, 'wx+', 0o600)
  try {
    const { size } = await packDirectory(directory, {
      ...packing(request.packing),
      ...(staysPacked(tools) ? {} : { compression: { kind: 'lz4' } }),
      fd,
      offset: 0,
      report,
      signal,
      ...(facts.isRoot ? {} : { owner: { uid: 0, gid: 0 } }),
    })
    return { file, offset: 0, size }
  } finally {
    closeSync(fd)
  }
}

/** Layers, the topmost first, as a base that is known by what they hold. */
function packed(layers: readonly Window[], { signal, results }: BuildTools): StageBase {
  const options = { facts: results?.facts, signal }
  const identity = async () => await Promise.all(layers.map((layer) => windowDigest(layer, options)))
  return { kind: 'packed', layers, identity }
}

/** Whether a stage runs something of its base, which must then be for this machine. */
export function runsPrograms({ sections, apps }: Stage): boolean {
  return sections.post !== undefined || sections.test !== undefined || apps.some(({ install }) => install)
}

/** The image, which stays packed, as the base of a stage. */
export async function baseOfImage(image: Image, tools: BuildTools, place?: 'cached'): Promise<SourceBase> {
  const { rootfs } = image
  if ('directory' in rootfs) {
    const time = tools.request.reproducible ? newestTime(rootfs.directory) : undefined
    return { base: packed([await packedSandbox(rootfs.directory, tools)], tools), attachments: [], time }
  }
  if (rootfs.filesystem === 'ext3') {
    const base = { kind: 'made', step: copyingExt3(rootfs, tools) } as const
    return { base, attachments: await readAttachments(image), time: undefined }
  }
  const held = place === 'cached' || undefined
  const layers = unpackedLayers(image)
    .reverse()
    .map((layer) => pinned({ ...layer, held }, tools.scratch))
  const base = packed(layers, tools)
  if (image.kind === 'oci-sif') return { ...(await describeOciSif(image.path)), base }
  const { time } = await sizeOfLayers(layers)
  return { base, attachments: await readAttachments(image), time: await timeOf(image, time) }
}

/** The image that `From:` names, relative to the working directory. */
export async function findLocalImage(stage: Stage, tools: BuildTools): Promise<SourceBase> {
  const path = resolve(stage.header.from ?? '')
  const { unlock } = tools.request
  const options = { anyArchitecture: !runsPrograms(stage), ext3: true, unlock }
  const image = await openBase(path, stage, options, tools)
  await tools.resolved.note(stage.header.from ?? '', () => contentDigest(image.path, 'keep', tools.signal))
  tools.report({ kind: 'verbose', text: `Taking the files of ${shown(path)}` })
  return await baseOfImage(image, tools)
}
