import { describe, expect, it } from 'vitest'
import { compilePattern, matches } from '../../../../src/definition/dockerfile/glob.ts'
import { readIgnore } from '../../../../src/definition/dockerfile/ignore.ts'

const ignored = (list: string, path: string) => readIgnore(list, '.dockerignore').ignores(path)

describe('.dockerignore', () => {
  it.each([
    ['a', 'a', true],
    ['a', 'a/b/c', true],
    ['a', 'b/a', false],
    ['/a/', 'a', true],
    ['./a', 'a', true],
    ['b/../a', 'a', true],
    ['*', 'a/b', true],
    ['*', '.a', true],
    ['*.o', 'x.o', true],
    ['*.o', 'd/x.o', false],
    ['**/*.o', 'd/e/x.o', true],
    ['**/*.o', 'x.o', true],
    ['a/**', 'a/b/c', true],
    ['a/**', 'a', false],
    ['a/**/z', 'a/z', true],
    ['a/**/z', 'a/b/c/z', true],
    ['**', 'anything', true],
    ['**x', 'b/ax', false],
    ['**x', 'b/x', true],
    ['a?', 'ab', true],
    ['a?', 'a', false],
    ['[a-c]x', 'bx', true],
    ['[^a-c]x', 'bx', false],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['a.b', 'axb', false],
    ['(a)+{b}$', '(a)+{b}$', true],
    ['# a\n\n  \n', 'a', false],
    [' a ', 'a', true],
    ['*.md\n!README.md', 'README.md', false],
    ['*.md\n!README.md', 'NEWS.md', true],
    ['!README.md\n*.md', 'README.md', true],
    ['a\n!a/b', 'a/b', false],
    ['a\n!a/b', 'a/c', true],
    ['a\n!a/b\n', 'a/b/c', false],
    ['*\n! a', 'a', false],
    ['a\r\nb', 'a', true],
    ['\ufeffa', 'a', true],
  ])('with %j: is %s ignored? %s', (list, path, expected) => {
    expect(ignored(list, path)).toBe(expected)
  })

  it('tells which ignored directories may hold something', () => {
    const list = readIgnore('*\n!a/b/c\n', 'x')
    expect([list.mayKeepBelow('a'), list.mayKeepBelow('a/b'), list.mayKeepBelow('b')]).toEqual([
      true,
      true,
      false,
    ])
    expect(readIgnore('*\n!*/c', 'x').mayKeepBelow('b')).toBe(true)
    expect(readIgnore('# a\n', 'x').isEmpty).toBe(true)
  })

  it.each([
    ['a\n[a', '.dockerignore:2: the pattern [a is wrong'],
    ['!', '.dockerignore:1: there is no pattern behind the !'],
    ['a\n'.repeat(10_001), '.dockerignore:10001: there are more than 10000 patterns'],
  ])('with %j is refused', (list, message) => {
    expect(() => readIgnore(list, '.dockerignore')).toThrow(message)
  })

  it('takes no time to see that a hostile pattern does not fit', () => {
    expect(ignored(`${'**/*a'.repeat(50)}b`, 'a'.repeat(4000))).toBe(false)
  })
})

it.each([
  ['*', '.hidden', true],
  ['*', 'a/b', false],
  ['a*c', 'abbc', true],
  ['a*c*e', 'abcde', true],
  ['a**c', 'abc', true],
  ['[]a]', 'a', false],
  ['[\\]]', ']', true],
  ['[a-]', 'a', false],
])('in COPY %s fits %s: %s', (pattern, name, expected) => {
  const compiled = compilePattern(pattern, 'path')
  expect(compiled !== undefined && matches(compiled, name)).toBe(expected)
})
