/** What an image says of the changes that were committed to it. */

import { describe, expect, it } from 'vitest'
import { type Commit, recordedDefinition, recordedLabels } from '../../../src/build/commit/record.ts'
import { parseLabel } from '../../../src/build/commit/spec.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'

const commit: Commit = {
  base: 'debian.sif',
  overlays: ['changes/'],
  message: 'with\ngcc',
  time: new Date('2026-11-27T12:00:00.500Z'),
}
const definition = 'Bootstrap: docker\nFrom: debian:12\n\n%help\n# help\n'
const line = '# committed 2026-11-27T12:00:00Z: debian.sif with changes/: with gcc\n'

describe('the definition of a committed image', () => {
  it('begins with a line that says so', () => {
    expect(recordedDefinition(definition, commit)).toBe(line + definition)
  })

  it('has one for each commit, in their order', () => {
    const twice = recordedDefinition(recordedDefinition(definition, commit), {
      ...commit,
      base: 'two.sif',
      overlays: [],
      message: undefined,
    })
    expect(twice).toBe(`${line}# committed 2026-11-27T12:00:00Z: two.sif\n${definition}`)
  })

  it('still is one', () => {
    const text = recordedDefinition(definition, commit)
    const options = { name: 'a.def', arguments: {}, warnUnused: false, warn: () => {} }
    expect(parseDefinition(text, options).stages[0]?.header.bootstrap).toBe('docker')
  })

  it('may have been empty', () => {
    expect(recordedDefinition('', commit)).toBe(line)
  })
})

describe('the labels of a committed image', () => {
  const prefix = 'org.label-schema.usage.sing.commit'

  it('are those of the image, those of the last commit, and those asked for', () => {
    const before = new Map([
      ['Kept', 'yes'],
      ['Changed', 'no'],
      [`${prefix}.message`, 'old'],
    ])
    const labels = recordedLabels(before, { ...commit, message: undefined }, [['Changed', 'yes']])
    expect(Object.fromEntries(labels)).toEqual({
      Kept: 'yes',
      Changed: 'yes',
      [`${prefix}.base`]: 'debian.sif',
      [`${prefix}.date`]: '2026-11-27T12:00:00Z',
    })
  })

  it.each([
    ['a=b', ['a', 'b']],
    ['a.b=c=d e', ['a.b', 'c=d e']],
    ['a=', ['a', '']],
  ])('come from words like %j', (word, label) => {
    expect(parseLabel(word)).toEqual(label)
  })

  it.each(['a', '=b', '', ' a=b'])('do not come from %j', (word) => {
    expect(() => parseLabel(word)).toThrow(`--label ${word}: expected key=value`)
  })
})
