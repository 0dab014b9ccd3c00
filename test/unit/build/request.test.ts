import { describe, expect, it } from 'vitest'
import { parseEpoch, parseSections, parseTarget } from '../../../src/build/request.ts'

describe('--section', () => {
  it('means every section when it is not given, or all', () => {
    expect(parseSections([])).toEqual(parseSections(['all']))
    expect(parseSections([]).has('post')).toBe(true)
  })

  it('chooses the sections that are named, and none with none', () => {
    expect([...parseSections(['post', ' Files '])]).toEqual(['post', 'files'])
    expect(parseSections(['none']).size).toBe(0)
  })

  it.each([[['psot']], [['all', 'post']], [['none', 'post']]])('refuses %j', (words) => {
    expect(() => parseSections(words)).toThrowError(expect.objectContaining({ code: 'USAGE', status: 255 }))
  })
})

describe('SOURCE_DATE_EPOCH', () => {
  it('is a number of seconds, and nothing when it is empty', () => {
    expect(parseEpoch('1700000000')).toBe(1700000000)
    expect(parseEpoch(undefined)).toBeUndefined()
    expect(parseEpoch(' ')).toBeUndefined()
  })

  it.each(['-1', '1.5', 'now', '4294967296', '0x10'])('refuses %s', (value) => {
    expect(() => parseEpoch(value)).toThrowError(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe('the name of the new image', () => {
  it('becomes absolute without a trailing slash', () => {
    expect(parseTarget('/a/b/')).toBe('/a/b')
  })

  it.each(['', '  '])('is not empty', (text) => {
    expect(() => parseTarget(text)).toThrowError(expect.objectContaining({ code: 'USAGE', status: 255 }))
  })
})
