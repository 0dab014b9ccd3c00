/** `inspect --sbom`: the bill of materials that an image holds, or one of what is in it now. */

import { Buffer } from 'node:buffer'
import { basename, resolve } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import { version } from '../core/version.ts'
import { openImage } from '../image/open.ts'
import {
  type DocumentFormat,
  documentText,
  findPackages,
  nothingListed,
  storedFormat,
} from '../sbom/document.ts'
import { documentRows, largestDocument } from '../sbom/rows.ts'
import { details } from '../sif/details.ts'
import { dataTypes, type SifObject } from '../sif/format.ts'
import { readObject, readSif, type Sif } from '../sif/read.ts'
import { toColumns } from '../ui/table.ts'
import type { Call } from './command.ts'
import { sbomFormat } from './sbom.ts'
import { unlockFor } from './unlock.ts'

const formatName = (object: SifObject): string => details(object)[0]?.[1] ?? ''

/** The newest one of the format that is asked for, or of one that can be shown as a list. */
function storedIn({ objects }: Sif, format: string | undefined, isList: boolean): SifObject | undefined {
  const found = objects.filter(({ dataType }) => dataType === dataTypes.sbom)
  const fitting = found.filter((one) => format === undefined || formatName(one) === format)
  return (isList && fitting.findLast((one) => formatName(one).endsWith('-json'))) || fitting.at(-1)
}

async function storedDocument(
  path: string,
  format: string | undefined,
  isList: boolean,
): Promise<Buffer | undefined> {
  const sif = await readSif(path).catch((error) => {
    if (error instanceof SingError) return undefined
    throw error
  })
  const object = sif && storedIn(sif, format, isList)
  return sif && object && (await readObject(sif, object, largestDocument))
}

async function computedDocument(call: Call, format: DocumentFormat): Promise<Buffer> {
  const { args, flags, context } = call
  const [path = ''] = args
  const { report, environment } = context
  const image = await openImage(path, { anyArchitecture: true, unlock: unlockFor(call) })
  const found = await findPackages(image, { withFiles: flags['sbom-files'] === true })
  report({ kind: 'info', text: `No such list is in ${shown(path)}: this one is of what is in it now` })
  for (const text of found.notes) report({ kind: 'warning', text })
  const { parseEpoch } = await import('../build/request.ts')
  const time = parseEpoch(environment.SOURCE_DATE_EPOCH) ?? Math.floor(Date.now() / 1000)
  return Buffer.from(documentText(found, { name: basename(resolve(path)), time, version }, format))
}

function rowsOf(bytes: Buffer, path: string): ReturnType<typeof documentRows> {
  try {
    return documentRows(bytes)
  } catch (cause) {
    if (!(cause instanceof SingError)) throw cause
    throw new SingError(
      'IMAGE_FORMAT',
      `the SBOM in ${shown(path)} cannot be shown as a list: ${cause.message}`,
      {
        hint: `Take it as it is: sing inspect --sbom --json ${shown(path)}`,
        cause,
      },
    )
  }
}

export async function inspectSbom(call: Call): Promise<void> {
  const { args, flags, context } = call
  const [path = ''] = args
  const isList = flags.json !== true
  const chosen = typeof flags.sbom === 'string' ? sbomFormat(flags.sbom) : undefined
  const stored = await storedDocument(path, chosen && storedFormat(chosen), isList)
  const document = stored ?? (await computedDocument(call, chosen ?? 'spdx'))
  const rows = isList ? rowsOf(document, path) : []
  if (isList && rows.length === 0)
    context.report({ kind: 'warning', text: `${shown(path)}: ${nothingListed}` })
  context.print(isList ? toColumns([['KIND', 'NAME', 'VERSION', 'LICENCE'], ...rows]) : document)
}
