import { expect, it } from 'vitest'
import { parseLayerLimits } from '../../../src/cli/layer-limits.ts'

it('reads limits of layers', () => {
  expect(parseLayerLimits([])).toEqual({})
  expect(parseLayerLimits(['bytes=4T', 'entries=7', 'ratio=10', 'xattrs=1K'])).toEqual({
    bytes: 4 * 2 ** 40,
    entries: 7,
    ratio: 10,
    xattrs: 1024,
  })
})

it.each(['', 'bytes', 'bytes=', 'bytes=x', 'bytes=0', 'entries=1K', 'files=3', 'constructor=1', 'ratio=-1'])(
  'refuses %j as a limit',
  (word) => {
    expect(() => parseLayerLimits([word])).toThrow(`--layer-limits ${word}`)
  },
)
