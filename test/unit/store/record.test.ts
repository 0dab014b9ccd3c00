/** Records of images are believed only as far as they go. */

import { expect, it } from 'vitest'
import { parseRecord } from '../../../src/store/record.ts'

const cases = [
  ['{"size":5,"name":"docker://a"}', { size: 5, name: 'docker://a' }],
  ['{"size":5,"name":7,"more":1}', { size: 5, name: '' }],
  ['{"size":0,"name":"a"}', undefined],
  ['{"size":-1}', undefined],
  ['{"size":1.5}', undefined],
  ['{"size":"5"}', undefined],
  ['{"size":5', undefined],
  ['null', undefined],
  ['', undefined],
] as const

it.each(cases)('reads %s as %j', (text, record) => expect(parseRecord(text)).toEqual(record))
