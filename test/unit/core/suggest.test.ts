/** What somebody who mistyped a word is pointed to. */

import { expect, it } from 'vitest'
import { suggest } from '../../../src/core/suggest.ts'

const known = ['build', 'exec', 'inspect', 'run', 'run-help', 'shell', 'sif']

it.each([
  ['biuld', 'build'],
  ['exe', 'exec'],
  ['exce', 'exec'],
  ['inspekt', 'inspect'],
  ['rnu', 'run'],
  ['insp', 'inspect'],
  ['frobnicate', undefined],
  ['x', undefined],
  ['', undefined],
  ['x'.repeat(100_000), undefined],
])('points %.20j to %j', (word, expected) => {
  expect(suggest(word, known)).toBe(expected)
})
