/** The packages of a document, as people read them. */

import type { Buffer } from 'node:buffer'
import { SingError } from '../core/errors.ts'
import { jsonObject, line, listOf, member } from './readers/text.ts'

export type Row = readonly [kind: string, name: string, version: string, licence: string]

/** More is no document that anybody reads. */
export const largestDocument = 512 * 1024 * 1024

/** The kind in a package URL. */
const kindOf = (url: unknown): string | undefined => /^pkg:([a-z0-9.+-]+)\//.exec(line(url) ?? '')?.[1]

const textOf = (value: unknown, key: string): string => line(member(value, key)) ?? ''

function spdxRow(element: unknown): Row[] {
  const purl = listOf(member(element, 'externalRefs')).find((one) => member(one, 'referenceType') === 'purl')
  const kind = kindOf(member(purl, 'referenceLocator'))
  if (kind === undefined) return []
  const licence = textOf(element, 'licenseDeclared')
  const known = licence === 'NOASSERTION' || licence === 'NONE' ? '' : licence.replaceAll('LicenseRef-', '')
  return [[kind, textOf(element, 'name'), textOf(element, 'versionInfo'), known]]
}

function cyclonedxRow(component: unknown): Row[] {
  const kind = kindOf(member(component, 'purl'))
  if (kind === undefined) return []
  const licences = listOf(member(component, 'licenses')).map((one) => {
    const licence = member(one, 'license')
    return textOf(one, 'expression') || textOf(licence, 'id') || textOf(licence, 'name')
  })
  const group = textOf(component, 'group')
  const name = textOf(component, 'name')
  return [[kind, group ? `${group}/${name}` : name, textOf(component, 'version'), licences.join(' AND ')]]
}

/** @throws SingError IMAGE_FORMAT when it is no document of SPDX or CycloneDX in JSON */
export function documentRows(bytes: Buffer): Row[] {
  const document = jsonObject(bytes)
  if (document.bomFormat === 'CycloneDX') return listOf(document.components).flatMap(cyclonedxRow)
  if (typeof document.spdxVersion === 'string') return listOf(document.packages).flatMap(spdxRow)
  throw new SingError('IMAGE_FORMAT', 'it is neither of SPDX nor of CycloneDX')
}
