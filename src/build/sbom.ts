/** `build --sbom`: the packages in the new image, as an object of it. */

import { basename } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { version } from '../core/version.ts'
import type { Layers } from '../image/layers.ts'
import type { SbomOptions } from '../sbom/document.ts'
import { noTime } from '../sif/format.ts'
import { readSif } from '../sif/read.ts'
import type { NewObject, SifWriter } from '../sif/write.ts'
import type { BuildRequest } from './request.ts'

type Wanted = Pick<BuildRequest, 'target'> & { readonly sbom: SbomOptions }

async function objectOf(
  image: Layers,
  { target, sbom }: Wanted,
  time: number,
  report: Report,
): Promise<NewObject> {
  const { findPackages, nothingListed, sbomObject } = await import('../sbom/document.ts')
  const found = await findPackages(image, sbom)
  const { packages, notes } = found
  for (const note of notes) report({ kind: 'warning', text: `--sbom: ${note}` })
  if (packages.length === 0) report({ kind: 'warning', text: `--sbom: ${nothingListed}` })
  else
    report({
      kind: 'info',
      text: `Listed ${packages.length} package${packages.length > 1 ? 's' : ''} in the image`,
    })
  return sbomObject(found, { name: basename(target), time, version }, sbom.format)
}

/** Add the list of what is in `rootfs`, when it is wanted, to a file that is being written. */
export async function addSbom(
  writer: SifWriter,
  rootfs: Layers['rootfs'],
  { sbom, target }: BuildRequest,
  report: Report,
): Promise<void> {
  if (!sbom) return
  await writer.add(await objectOf({ rootfs }, { target, sbom }, writer.time, report))
}

/** Add it to a file that is whole but for that. The time of the file stays. */
export async function appendSbom(path: string, wanted: Wanted, report: Report): Promise<void> {
  const [{ openImage }, { addObject }] = await Promise.all([
    import('../image/open.ts'),
    import('../sif/edit.ts'),
  ])
  const { modified } = (await readSif(path)).header
  const time = modified === noTime ? Math.floor(Date.now() / 1000) : modified
  const image = await openImage(path, { anyArchitecture: true })
  await addObject(path, await objectOf(image, wanted, time, report), { time: modified })
}

/** What has no place for one. @throws SingError USAGE */
export function refuseSbom({ sbom, sandbox, asOciSif, target }: BuildRequest, isData: boolean): void {
  if (!sbom) return
  const refuse = (what: string, hint: string): never => {
    throw new SingError('USAGE', `--sbom: ${what}`, { hint, status: 255 })
  }
  if (sandbox)
    refuse(
      'a sandbox goes on changing',
      `Look at what is in it when you want to know: sing inspect --sbom ${shown(target)}`,
    )
  if (isData) refuse('an image that holds only data has no list of packages', 'Leave it out')
  if (asOciSif)
    refuse('an OCI-SIF has no place for it', 'Leave --oci out, or look: sing inspect --sbom IMAGE')
}
