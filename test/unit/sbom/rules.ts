/** What the specifications of SPDX 2.3 and CycloneDX 1.6 ask of a document in JSON, as far as ours have it. */

import { expect } from 'vitest'
import { exceptionIds, licenceIds } from '../../../src/sbom/licence-list.ts'

type Json = Readonly<Record<string, unknown>>

const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
const ids = new Set([...licenceIds.values(), ...exceptionIds.values()])

/** Known members and needed ones; no others. */
function requireMembers(value: Json, needed: readonly string[], others: readonly string[]): void {
  const keys = Object.keys(value)
  expect(needed.filter((key) => !keys.includes(key))).toEqual([])
  expect(keys.filter((key) => !needed.includes(key) && !others.includes(key))).toEqual([])
}

/** An expression of annex D: parentheses match, and every name is on the list or explained in the document. */
function requireExpression(text: unknown, explained: ReadonlySet<unknown>): void {
  if (text === 'NOASSERTION') return
  const words = String(text)
    .split(/([()]|\s+)/)
    .map((word) => word.trim())
    .filter(Boolean)
  const operands = words.filter((word) => !['(', ')', 'AND', 'OR', 'WITH'].includes(word))
  expect(operands.filter((name) => !ids.has(name) && !explained.has(name))).toEqual([])
  expect(words.filter((word) => word === '(')).toHaveLength(words.filter((word) => word === ')').length)
  expect(operands).toHaveLength(words.filter((word) => ['AND', 'OR', 'WITH'].includes(word)).length + 1)
}

export function requireSpdx(document: Json): void {
  requireMembers(
    document,
    [
      'spdxVersion',
      'dataLicense',
      'SPDXID',
      'name',
      'documentNamespace',
      'creationInfo',
      'packages',
      'relationships',
    ],
    ['annotations', 'hasExtractedLicensingInfos', 'files'],
  )
  expect(document).toMatchObject({
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
  })
  expect(document.documentNamespace).toMatch(/^urn:uuid:[0-9a-f-]{36}$/)
  expect(document.creationInfo).toEqual({ created: time, creators: [expect.stringMatching(/^Tool: .+-.+$/)] })
  const packages = document.packages as Json[]
  const files = (document.files ?? []) as Json[]
  const extracted = (document.hasExtractedLicensingInfos ?? []) as Json[]
  const explained = new Set(extracted.map(({ licenseId }) => licenseId))
  for (const one of extracted) {
    requireMembers(one, ['licenseId', 'extractedText'], ['name'])
    expect(one.licenseId).toMatch(/^LicenseRef-[a-zA-Z0-9.-]+$/)
  }
  const named = [...packages, ...files].map(({ SPDXID }) => SPDXID)
  expect(new Set(named).size).toBe(named.length)
  for (const id of named) expect(id).toMatch(/^SPDXRef-[a-zA-Z0-9.-]+$/)
  for (const one of packages) requirePackage(one, explained)
  for (const one of files) {
    requireMembers(
      one,
      ['SPDXID', 'fileName', 'checksums', 'licenseConcluded', 'copyrightText'],
      ['comment', 'licenseInfoInFiles'],
    )
    expect((one.checksums as Json[]).map(({ algorithm }) => algorithm)).toContain('SHA1')
  }
  for (const { spdxElementId, relationshipType, relatedSpdxElement } of document.relationships as Json[]) {
    expect(['DESCRIBES', 'CONTAINS']).toContain(relationshipType)
    expect(['SPDXRef-DOCUMENT', ...named]).toContain(spdxElementId)
    expect(named).toContain(relatedSpdxElement)
  }
}

function requirePackage(one: Json, explained: ReadonlySet<unknown>): void {
  requireMembers(
    one,
    [
      'SPDXID',
      'name',
      'downloadLocation',
      'filesAnalyzed',
      'licenseConcluded',
      'licenseDeclared',
      'copyrightText',
    ],
    [
      'versionInfo',
      'supplier',
      'checksums',
      'homepage',
      'sourceInfo',
      'summary',
      'externalRefs',
      'primaryPackagePurpose',
      'packageVerificationCode',
    ],
  )
  expect(one.filesAnalyzed).toBe(one.packageVerificationCode !== undefined)
  requireExpression(one.licenseDeclared, explained)
  if (one.supplier !== undefined)
    expect(one.supplier).toMatch(/^(NOASSERTION|(Person|Organization): [^()]+( \([^()]+\))?)$/)
  for (const { referenceCategory, referenceType, referenceLocator } of (one.externalRefs ?? []) as Json[]) {
    expect([referenceCategory, referenceType]).toEqual(['PACKAGE-MANAGER', 'purl'])
    expect(referenceLocator).toMatch(/^pkg:[a-z]+\/[^\s@]+@[^\s?]+(\?[a-z]+=[^\s&]+(&[a-z]+=[^\s&]+)*)?$/)
  }
}

export function requireCycloneDx(document: Json): void {
  requireMembers(
    document,
    ['bomFormat', 'specVersion', 'serialNumber', 'version', 'metadata', 'components'],
    ['annotations'],
  )
  expect(document).toMatchObject({
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { timestamp: time },
  })
  expect(document.serialNumber).toMatch(
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  )
  const components = document.components as Json[]
  const refs = components.map((one) => one['bom-ref'])
  expect(new Set([...refs, 'image']).size).toBe(refs.length + 1)
  for (const one of components) {
    requireMembers(
      one,
      ['type', 'name', 'bom-ref'],
      [
        'version',
        'group',
        'description',
        'supplier',
        'hashes',
        'licenses',
        'purl',
        'externalReferences',
        'properties',
        'components',
      ],
    )
    expect(['library', 'operating-system']).toContain(one.type)
    for (const licence of (one.licenses ?? []) as Json[]) {
      const [expression, id] = [licence.expression, (licence.license as Json | undefined)?.id]
      if (expression !== undefined) requireExpression(expression, new Set())
      if (id !== undefined) expect(ids).toContain(id)
    }
  }
}
