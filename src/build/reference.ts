/** A build without a definition from an image that is elsewhere: the image itself, packed as it is wanted. */

import { SingError, shown } from '../core/errors.ts'
import { convertReference, type FetchOptions, fetchImage } from '../image/fetch.ts'
import type { Packing as Packed } from '../image/pack-layers.ts'
import { placeImage } from '../image/place.ts'
import { schemeOf } from '../image/scheme.ts'
import { packing, standard } from './compression.ts'
import { placeSandbox } from './place.ts'
import type { BuildRequest, BuildTools } from './request.ts'
import { addSbom, appendSbom } from './sbom.ts'
import { type Confirm, recoverPartials, requireTarget } from './target.ts'

/** Whether the request is for nothing more than such an image. */
export function isReferenceBuild({ spec, fixPermissions, update, encrypts }: BuildRequest): boolean {
  return schemeOf(spec) !== undefined && !fixPermissions && !update && !encrypts
}

/** Files that are images already stay what they are. */
const isFile = (spec: string): boolean => /^(oras|https?):/.test(spec)

function refuseFile(spec: string): never {
  throw new SingError('USAGE', `--sbom: ${shown(spec)} is a file, which is fetched as it is`, {
    hint: 'Fetch it with sing pull, and make a new image of it: sing build --sbom NEW.sif PULLED.sif',
    status: 255,
  })
}

/** What everybody gets of the same image, and what the cache holds. */
function isUsual({ packing: asked, time }: BuildRequest): boolean {
  const { compression, blockSize, allRoot } = asked
  return compression === standard && blockSize === undefined && !allRoot && time === undefined
}

function packingOf({ packing: asked }: BuildRequest): Packed {
  return { ...packing(asked), ...(asked.allRoot ? { owner: { uid: 0, gid: 0 } } : {}) }
}

/** Put the image that the request names into the target. @throws SingError EXISTS, and what fetching may end with */
export async function buildReference(
  request: BuildRequest,
  options: FetchOptions,
  confirm: Confirm,
  examine: BuildTools['examine'],
): Promise<void> {
  const { target, spec, sandbox, sbom, time } = request
  const { report, signal } = options
  if (sbom && isFile(spec)) refuseFile(spec)
  recoverPartials(target, report)
  await requireTarget(request, confirm)
  if (sandbox || isFile(spec) || isUsual(request)) {
    const { path } = await fetchImage(spec, options)
    await examine?.(path)
    await (sandbox
      ? placeSandbox(path, target, { force: true, report, signal, unlock: request.unlock })
      : placeImage(path, target, signal, sbom && ((copy) => appendSbom(copy, { target, sbom }, report))))
  } else {
    const asked = time === undefined ? {} : { time }
    await convertReference(spec, target, {
      ...options,
      ...asked,
      behind: (writer, packed) => addSbom(writer, packed, request, report),
      examine,
      packing: packingOf(request),
    })
  }
  report({ kind: 'info', text: `Build complete: ${shown(target)}` })
}
