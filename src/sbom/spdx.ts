/** The document in the words of SPDX 2.3 (spdx.github.io/spdx-spec/v2.3). */

import { licenceOf, References } from './licences.ts'
import { packageUrl } from './purl.ts'
import type { Found, Package, PackagedFile, Subject, System } from './types.ts'
import { Unique } from './unique.ts'

const nothing = 'NOASSERTION'
const documentId = 'SPDXRef-DOCUMENT'
const imageId = 'SPDXRef-Image'
const systemId = 'SPDXRef-OperatingSystem'

/** Ids of the signs that SPDX allows, each given once. */
class Ids {
  readonly #unique = new Unique()

  of(text: string): string {
    return this.#unique.of(`SPDXRef-${text.replace(/[^a-zA-Z0-9.-]+/g, '-').slice(0, 128)}`)
  }
}

/** `Organization: Name (address)`; who maintains packages together is one, whoever is named alone a person. */
function supplier(text: string | undefined): string {
  const [, name = '', address] = /^([^<]*?)\s*(?:<([^>]*)>)?\s*$/.exec(text ?? '') ?? []
  const who = (name || address || '').replace(/[()]/g, ' ').replace(/\s+/g, ' ').trim()
  if (who === '') return nothing
  const isOne =
    address !== undefined &&
    !/\b(team|group|maintainers?|developers?|project|foundation|inc|security|packag\w+)\b|@lists\./i.test(
      `${name} ${address}`,
    )
  return `${isOne ? 'Person' : 'Organization'}: ${who}${name && address ? ` (${address})` : ''}`
}

const checksums = (list: PackagedFile['checksums']) =>
  list.map(({ algorithm, value }) => ({ algorithm, checksumValue: value }))

type Element = { readonly SPDXID: string }
type Parts = { readonly ids: Ids; readonly references: References; readonly system: System | undefined }

function packageElement(one: Package, { ids, references, system }: Parts): Element {
  const { ecosystem, name, version, homepage, summary, download, place } = one
  return {
    SPDXID: ids.of(`Package-${ecosystem}-${name}-${version}`),
    name,
    versionInfo: version,
    supplier: supplier(one.supplier),
    downloadLocation: download ?? nothing,
    filesAnalyzed: one.verification !== undefined,
    ...(one.verification
      ? { packageVerificationCode: { packageVerificationCodeValue: one.verification } }
      : {}),
    ...(one.checksums?.length ? { checksums: checksums(one.checksums) } : {}),
    ...(homepage ? { homepage } : {}),
    sourceInfo: `from ${place}`,
    licenseConcluded: nothing,
    licenseDeclared: one.licence ? licenceOf(one.licence, references.refer).expression : nothing,
    copyrightText: nothing,
    ...(summary ? { summary } : {}),
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: packageUrl(one, system),
      },
    ],
  } as Element
}

/** Elements for the files of packages, each path once, and which package has which. */
function fileElements(packages: readonly Package[], elements: readonly Element[], ids: Ids) {
  const known = new Map<string, Element>()
  const relations = packages.flatMap(({ files = [] }, index) =>
    files.map((file) => {
      const element = known.get(file.path) ?? fileElement(file, ids)
      known.set(file.path, element)
      return relation(elements[index]?.SPDXID ?? '', 'CONTAINS', element.SPDXID)
    }),
  )
  return { files: [...known.values()], relations }
}

const fileElement = ({ path, checksums: sums, isChanged }: PackagedFile, ids: Ids): Element =>
  ({
    SPDXID: ids.of(`File-${path}`),
    fileName: `.${path}`,
    checksums: checksums(sums),
    licenseConcluded: nothing,
    copyrightText: nothing,
    ...(isChanged ? { comment: 'Not the file that its package brought' } : {}),
  }) as Element

/** A thing without a place to get it from. */
const plainElement = (SPDXID: string, name: string, purpose: string, version?: string): Element =>
  ({
    SPDXID,
    name,
    ...(version === undefined ? {} : { versionInfo: version }),
    downloadLocation: nothing,
    filesAnalyzed: false,
    licenseConcluded: nothing,
    licenseDeclared: nothing,
    copyrightText: nothing,
    primaryPackagePurpose: purpose,
  }) as Element

const relation = (spdxElementId: string, relationshipType: string, relatedSpdxElement: string) => ({
  spdxElementId,
  relationshipType,
  relatedSpdxElement,
})

export const spdxTime = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z')

/** @param id the document's, in the form of a UUID */
export function spdxDocument({ packages, system, notes }: Found, subject: Subject, id: string): unknown {
  const { name, time, version } = subject
  const parts: Parts = { ids: new Ids(), references: new References(), system }
  const elements = packages.map((one) => packageElement(one, parts))
  const { files, relations } = fileElements(packages, elements, parts.ids)
  const own = [
    plainElement(imageId, name, 'CONTAINER'),
    ...(system ? [plainElement(systemId, system.name, 'OPERATING-SYSTEM', system.version)] : []),
  ]
  const tool = `Tool: sing-${version}`
  const created = spdxTime(time)
  const extracted = parts.references.all.map(([words, licenseId]) => ({
    licenseId,
    name: words,
    extractedText: words,
  }))
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: documentId,
    name,
    documentNamespace: `urn:uuid:${id}`,
    creationInfo: { created, creators: [tool] },
    ...(notes.length > 0
      ? {
          annotations: notes.map((comment) => ({
            annotationDate: created,
            annotationType: 'OTHER',
            annotator: tool,
            comment,
          })),
        }
      : {}),
    ...(extracted.length > 0 ? { hasExtractedLicensingInfos: extracted } : {}),
    packages: [...own, ...elements],
    ...(files.length > 0 ? { files } : {}),
    relationships: [
      relation(documentId, 'DESCRIBES', imageId),
      ...[...own.slice(1), ...elements].map(({ SPDXID }) => relation(imageId, 'CONTAINS', SPDXID)),
      ...relations,
    ],
  }
}
