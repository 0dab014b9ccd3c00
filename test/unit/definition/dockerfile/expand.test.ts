import { describe, expect, it } from 'vitest'
import { expandWord } from '../../../../src/definition/dockerfile/expand.ts'

const variables: Record<string, string> = {
  x: 'value',
  empty: '',
  path: '/a/b/c.tar.gz',
  n: 'nested',
  one: '$x',
}
const place = { name: 'Dockerfile', line: 7, escaper: '\\' } as const
const expand = (word: string, kind: 'word' | 'text' = 'word') =>
  expandWord(word, (name) => variables[name], place, kind)

describe('a word', () => {
  it.each([
    ['plain', 'plain'],
    ['$x', 'value'],
    ['a${x}b', 'avalueb'],
    ['$xy', ''],
    ['$x.y', 'value.y'],
    ['\\$x', '$x'],
    ['\\\\$x', '\\value'],
    ['a\\ b', 'a b'],
    ["'$x'", '$x'],
    ['"$x y"', 'value y'],
    ['"\\"\\$x\\n"', '"$x\\n'],
    ['"a\'b"', "a'b"],
    ['$', '$'],
    ['$$x', 'x'],
    ['a$', 'a$'],
    ['$1', ''],
    ['$.', '$.'],
    ['a\\', 'a'],
    ['${none:-$x}', 'value'],
    ['${none:-a ${n:-b} c}', 'a nested c'],
    ['${empty:-other}', 'other'],
    ['${empty-other}', ''],
    ['${none-other}', 'other'],
    ['${x:+set}', 'set'],
    ['${empty:+set}', ''],
    ['${empty+set}', 'set'],
    ['${none+set}', ''],
    ['${x:?is missing}', 'value'],
    ['${path#*/}', 'a/b/c.tar.gz'],
    ['${path##*/}', 'c.tar.gz'],
    ['${path%.*}', '/a/b/c.tar'],
    ['${path%%.*}', '/a/b/c'],
    ['${path/b/B}', '/a/B/c.tar.gz'],
    ['${path//[ac]/-}', '/-/b/-.t-r.gz'],
    ['${x#nothing}', 'value'],
    ['${x%"e"}', 'valu'],
    ['$one', '$x'],
  ])('%s becomes %s', (word, expected) => {
    expect(expand(word)).toBe(expected)
  })

  it.each([
    ['${x', '${x: there is no such modifier'],
    ['${', '${ without the name of a variable'],
    ['${x:=y}', '${x:=: there is no such modifier'],
    ['${x:-y', '${ without }'],
    ["'x", "a quote ' has no end"],
    ['"x', 'a quote " has no end'],
    ['${none:?is missing}', 'none: is missing'],
    ['${empty:?}', 'empty: is not set'],
  ])('%s is refused', (word, message) => {
    expect(() => expand(word)).toThrow(`Dockerfile:7: ${message}`)
  })

  it('that grows and grows is refused', () => {
    const big = (name: string) => (name === 'x' ? 'x'.repeat(600_000) : undefined)
    expect(() => expandWord('$x$x', big, place)).toThrow('longer than 1 MiB')
    expect(() => expandWord('${x%y}', big, place)).toThrow('too long for a pattern')
  })

  it('escapes with another sign', () => {
    expect(expandWord('c:\\$x`$', (name) => variables[name], { ...place, escaper: '`' })).toBe('c:\\value$')
  })
})

it('a text keeps its quotes', () => {
  expect(expand('"$x" \'$x\' \\$x\n', 'text')).toBe('"value" \'value\' $x\n')
})
