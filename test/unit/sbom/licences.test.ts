import { describe, expect, it } from 'vitest'
import { licenceOf, References } from '../../../src/sbom/licences.ts'

describe('a licence', () => {
  it.each([
    ['MIT', 'MIT'],
    ['mit', 'MIT'],
    ['Expat', 'MIT'],
    ['GPL-2+', 'GPL-2.0-or-later'],
    ['GPLv2+', 'GPL-2.0-or-later'],
    ['GPLv3', 'GPL-3.0-only'],
    ['LGPL-2.1', 'LGPL-2.1-only'],
    ['LGPLv2.1+', 'LGPL-2.1-or-later'],
    ['AGPL-3.0-or-later', 'AGPL-3.0-or-later'],
    ['GFDL-1.3+', 'GFDL-1.3-or-later'],
    ['BSD-3-clause', 'BSD-3-Clause'],
    ['MPL-2', 'MPL-2.0'],
    ['ASL 2.0', 'Apache-2.0'],
    ['MIT or Apache-2.0', 'MIT OR Apache-2.0'],
    ['(MIT OR Apache-2.0) AND Zlib', '(MIT OR Apache-2.0) AND Zlib'],
    ['GPLv2+ and (LGPLv2+ or MIT)', 'GPL-2.0-or-later AND (LGPL-2.0-or-later OR MIT)'],
    ['GPL-2.0-or-later WITH Classpath-exception-2.0', 'GPL-2.0-or-later WITH Classpath-exception-2.0'],
    ['MIT & BSD-2-Clause | ISC', 'MIT AND BSD-2-Clause OR ISC'],
    ['perl', 'Artistic-1.0-Perl OR GPL-1.0-or-later'],
    ['perl and MIT', '(Artistic-1.0-Perl OR GPL-1.0-or-later) AND MIT'],
  ])('%s is %s', (text, expression) => {
    expect(licenceOf(text, new References().refer)).toEqual({ expression, unknown: [] })
  })

  it.each([
    ['none of yours', 'LicenseRef-none-of-yours', ['none of yours']],
    ['BSD with advertising and MIT', 'LicenseRef-BSD-with-advertising AND MIT', ['BSD with advertising']],
    ['MIT AND', 'LicenseRef-MIT-AND', ['MIT AND']],
    ['(MIT', 'LicenseRef-MIT', ['(MIT']],
    ['GPL (>= 2)', 'LicenseRef-GPL-2', ['GPL (>= 2)']],
    ['§§', 'LicenseRef-unnamed', ['§§']],
    ['constructor', 'LicenseRef-constructor', ['constructor']],
    [`${'('.repeat(17)}MIT${')'.repeat(17)}`, 'LicenseRef-MIT', [`${'('.repeat(17)}MIT${')'.repeat(17)}`]],
  ])('%s is a reference', (text, expression, unknown) => {
    expect(licenceOf(text, new References().refer)).toEqual({ expression, unknown })
  })

  it('has one reference for the same words, and another for others', () => {
    const references = new References()
    expect(['a b', 'a-b', 'a b'].map(references.refer)).toEqual([
      'LicenseRef-a-b',
      'LicenseRef-a-b-2',
      'LicenseRef-a-b',
    ])
    expect(references.all).toEqual([
      ['a b', 'LicenseRef-a-b'],
      ['a-b', 'LicenseRef-a-b-2'],
    ])
  })
})
