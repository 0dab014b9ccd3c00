import { describe, expect, it } from 'vitest'
import { documentText } from '../../../src/sbom/document.ts'
import { packageUrl } from '../../../src/sbom/purl.ts'
import { documentRows } from '../../../src/sbom/rows.ts'
import type { Found, Package } from '../../../src/sbom/types.ts'
import { requireCycloneDx, requireSpdx } from './rules.ts'

const one = (more: Partial<Package>): Package => ({
  ecosystem: 'deb',
  name: 'a',
  version: '1',
  place: '/x',
  ...more,
})
const debian = { id: 'debian', version: '12', name: 'Debian GNU/Linux 12 (bookworm)' }

describe('the URL of a package', () => {
  it.each([
    [
      one({
        name: 'libstdc++6',
        version: '1:2~3+b1',
        architecture: 'amd64',
        qualifiers: { upstream: 'gcc@1' },
      }),
      'pkg:deb/debian/libstdc%2B%2B6@1:2~3%2Bb1?arch=amd64&distro=debian-12&upstream=gcc%401',
    ],
    [one({ ecosystem: 'pypi', name: 'A_b.c' }), 'pkg:pypi/a-b.c@1'],
    [one({ ecosystem: 'npm', name: '@Scope/name', version: '1.0.0-x' }), 'pkg:npm/%40scope/name@1.0.0-x'],
    [
      one({ ecosystem: 'conda', qualifiers: { build: 'h_0', channel: undefined } }),
      'pkg:conda/a@1?build=h_0',
    ],
    [one({ ecosystem: 'cran', name: 'A3' }), 'pkg:cran/A3@1'],
  ])('%#', (given, url) => {
    expect(packageUrl(given, debian)).toBe(url)
  })

  it.each([
    ['deb', 'pkg:deb/debian/a@1'],
    ['rpm', 'pkg:rpm/a@1'],
    ['alpm', 'pkg:alpm/arch/a@1'],
  ] as const)('%s without a system', (ecosystem, url) => {
    expect(packageUrl(one({ ecosystem }), undefined)).toBe(url)
  })
})

const found: Found = {
  packages: [
    one({
      name: 'a',
      licence: 'GPL-2+ and none of yours',
      supplier: 'A (the first) <a@b.example>',
      summary: 's',
      homepage: 'https://a.example',
    }),
    one({ name: 'a', architecture: 'i386', supplier: 'Some Team <t@lists.example>' }),
    one({ ecosystem: 'npm', name: '@s/n', licence: 'MIT OR ISC', supplier: '<x@y.example>' }),
    one({
      ecosystem: 'conda',
      name: 'z',
      licence: 'Zlib',
      download: 'https://z.example/z.conda',
      checksums: [{ algorithm: 'SHA256', value: 'a'.repeat(64) }],
    }),
    one({ ecosystem: 'cran', name: 'R\u00e4der', supplier: 'Vendor', licence: 'none of yours' }),
  ],
  system: debian,
  notes: ['the database of rpm /var/lib/rpm/Packages is not read: it is no hash of Berkeley DB'],
}
const subject = { name: 'app.sif', time: 1_700_000_000, version: '1.2.3' }

describe('a document', () => {
  const spdx = documentText(found, subject, 'spdx')
  const cyclonedx = documentText(found, subject, 'cyclonedx')

  it('of SPDX follows its rules', () => {
    const document = JSON.parse(spdx)
    requireSpdx(document)
    expect(document.packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID)).toEqual([
      'SPDXRef-Image',
      'SPDXRef-OperatingSystem',
      'SPDXRef-Package-deb-a-1',
      'SPDXRef-Package-deb-a-1-2',
      'SPDXRef-Package-npm--s-n-1',
      'SPDXRef-Package-conda-z-1',
      'SPDXRef-Package-cran-R-der-1',
    ])
    expect(document.packages[2]).toMatchObject({
      licenseDeclared: 'GPL-2.0-or-later AND LicenseRef-none-of-yours',
      supplier: 'Person: A the first (a@b.example)',
    })
    expect(document.packages.slice(3).map(({ supplier }: { supplier: string }) => supplier)).toEqual([
      'Organization: Some Team (t@lists.example)',
      'Person: x@y.example',
      'NOASSERTION',
      'Organization: Vendor',
    ])
    expect(document.hasExtractedLicensingInfos).toEqual([
      { licenseId: 'LicenseRef-none-of-yours', name: 'none of yours', extractedText: 'none of yours' },
    ])
    expect(document.annotations[0].comment).toBe(found.notes[0])
    expect(document.creationInfo.created).toBe('2023-11-14T22:13:20Z')
  })

  it('of CycloneDX follows its rules', () => {
    const document = JSON.parse(cyclonedx)
    requireCycloneDx(document)
    const licences = document.components.map(({ licenses }: { licenses: unknown }) => licenses)
    expect(licences).toEqual([
      undefined,
      [{ license: { name: 'GPL-2+ and none of yours' } }],
      undefined,
      [{ expression: 'MIT OR ISC' }],
      [{ license: { id: 'Zlib' } }],
      [{ license: { name: 'none of yours' } }],
    ])
    expect(document.components[3]).toMatchObject({ group: '@s', name: 'n' })
    expect(document.annotations[0].text).toBe(found.notes[0])
  })

  it.each([
    ['spdx', spdx],
    ['cyclonedx', cyclonedx],
  ] as const)('of %s is the same for the same, and has another id for anything else', (format, text) => {
    expect(documentText(structuredClone(found), subject, format)).toBe(text)
    const idIn = (given: string): string | undefined => /urn:uuid:([0-9a-f-]{36})/.exec(given)?.[1]
    expect(idIn(text)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const others = [
      documentText({ ...found, packages: [] }, subject, format),
      documentText(found, { ...subject, time: 1 }, format),
    ]
    expect(new Set([text, ...others].map(idIn)).size).toBe(3)
  })

  it.each([
    ['spdx', spdx, 'GPL-2.0-or-later AND none-of-yours'],
    ['cyclonedx', cyclonedx, 'GPL-2+ and none of yours'],
  ])('of %s is read as a list', (_, text, licence) => {
    const rows = documentRows(Buffer.from(text))
    expect(rows[0]).toEqual(['deb', 'a', '1', licence])
    expect(rows.map(([kind, name]) => `${kind} ${name}`)).toEqual([
      'deb a',
      'deb a',
      'npm @s/n',
      'conda z',
      'cran R\u00e4der',
    ])
  })

  it.each(['spdx', 'cyclonedx'] as const)('of %s tells packages of one name apart', (format) => {
    const many = Array.from({ length: 300 }, () => one({ name: 'n'.repeat(200) }))
    const document = JSON.parse(documentText({ ...found, packages: many }, subject, format))
    if (format === 'spdx') requireSpdx(document)
    else requireCycloneDx(document)
  })

  it.each([
    ['{}', 'it is neither of SPDX nor of CycloneDX'],
    ['<x/>', 'it is no JSON'],
  ])('is not %s', (text, reason) => {
    expect(() => documentRows(Buffer.from(text))).toThrow(reason)
  })

  it.each([
    [
      '{"spdxVersion":"SPDX-2.3","packages":[1,{"name":"x"},{"externalRefs":[null,{"referenceType":"purl","referenceLocator":7}]}]}',
    ],
    ['{"bomFormat":"CycloneDX","components":{"a":1}}'],
    ['{"bomFormat":"CycloneDX","components":[null,{"purl":"no"}]}'],
  ])('of strange shape is an empty list: %.60s', (text) => {
    expect(documentRows(Buffer.from(text))).toEqual([])
  })
})
