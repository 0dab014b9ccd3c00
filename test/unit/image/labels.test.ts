import { expect, it } from 'vitest'
import { automaticLabels, labelDate, labelsText, parseLabelsFile } from '../../../src/image/labels.ts'

it('writes labels in the order of their bytes, as the other writers do', () => {
  const labels = new Map([
    ['b', 'two\nlines'],
    ['B', '1'],
    ['ä', '"'],
  ])
  expect(labelsText(labels)).toBe('{\n\t"B": "1",\n\t"b": "two\\nlines",\n\t"ä": "\\""\n}')
  expect(labelsText(new Map())).toBe('{}')
})

it.each([
  ['', []],
  ['  \n', []],
  [
    '{"a":"b","n":1,"o":{"x":null}}',
    [
      ['a', 'b'],
      ['n', '1'],
      ['o', '{"x":null}'],
    ],
  ],
])('reads the labels %j', (text, labels) => {
  expect([...(parseLabelsFile(text) ?? [['no', 'labels']])]).toEqual(labels)
})

it.each(['[]', '"text"', 'null', '{', 'words'])('takes %j for no labels', (text) => {
  expect(parseLabelsFile(text)).toBeUndefined()
})

it('tells how an image was made', () => {
  const time = new Date('2026-11-23T06:48:05Z')
  expect(labelDate(time)).toBe('Monday_23_November_2026_6:48:5_UTC')
  const labels = automaticLabels({ version: '1.2', time, arch: 'arm64' }, { bootstrap: 'docker' })
  expect(Object.fromEntries(labels)).toEqual({
    'org.label-schema.schema-version': '1.0',
    'org.label-schema.build-date': 'Monday_23_November_2026_6:48:5_UTC',
    'org.label-schema.build-arch': 'arm64',
    'org.label-schema.usage.singularity.version': '1.2',
    'org.label-schema.usage.singularity.deffile.bootstrap': 'docker',
  })
})
