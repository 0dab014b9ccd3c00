/** The bill of materials of an image: what is in it, as a document that is the same for the same contents, name and time. */

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { takeInventory } from '../image/inventory.ts'
import type { Layers } from '../image/layers.ts'
import { sbomExtra, sbomFormats } from '../sif/details.ts'
import { dataTypes } from '../sif/format.ts'
import type { NewObject } from '../sif/write.ts'
import { cyclonedxDocument } from './cyclonedx.ts'
import { scan } from './scan.ts'
import { spdxDocument } from './spdx.ts'
import type { Found, Subject } from './types.ts'

export const documentFormats = ['spdx', 'cyclonedx'] as const
export type DocumentFormat = (typeof documentFormats)[number]

/** An empty document could be taken for an image without anything to look after. */
export const nothingListed =
  'no manager of packages knows anything in the image; what was copied or compiled into it is in no list'

export type SbomOptions = {
  readonly format: DocumentFormat
  readonly withFiles: boolean
}

const makers = { spdx: spdxDocument, cyclonedx: cyclonedxDocument } as const
/** Names of formats and of objects in a SIF. */
const stored = {
  spdx: { format: 'spdx-json', name: 'sbom.spdx.json' },
  cyclonedx: { format: 'cyclonedx-json', name: 'sbom.cdx.json' },
} as const

/** What SIF calls a format. */
export const storedFormat = (format: DocumentFormat): string => stored[format].format

const emptyId = '00000000-0000-0000-0000-000000000000'

/** A UUID (version 8: of the maker's own making, RFC 9562) from what is hashed. */
function idOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The text of a document, whose id is a hash of all the rest. */
export function documentText(found: Found, subject: Subject, format: DocumentFormat): string {
  const make = makers[format]
  const id = idOf(JSON.stringify(make(found, subject, emptyId)))
  return `${JSON.stringify(make(found, subject, id), null, 1)}\n`
}

/** What is in an image. @throws SingError when it cannot be read */
export async function findPackages(
  image: Layers,
  { withFiles }: Pick<SbomOptions, 'withFiles'>,
): Promise<Found> {
  using inventory = await takeInventory(image)
  return scan(inventory, { withFiles })
}

/** The object of a SIF that holds a document. */
export function sbomObject(found: Found, subject: Subject, format: DocumentFormat): NewObject {
  const { format: word, name } = stored[format]
  const code = Number(Object.keys(sbomFormats).find((key) => sbomFormats[Number(key)] === word))
  const data = Buffer.from(documentText(found, subject, format))
  return { dataType: dataTypes.sbom, name, extra: sbomExtra(code), data }
}
