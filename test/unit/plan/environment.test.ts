import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { doubleQuoted } from '../../../src/plan/environment.ts'
import { parseAssignments } from '../../../src/plan/request.ts'

const evaluate = (value: string) =>
  execFileSync('/bin/sh', ['-c', `WHO=me; eval "X=\\"$1\\""; printf %s "$X"`, 'sh', doubleQuoted(value)], {
    encoding: 'utf8',
  })

describe('a value that the user sets', () => {
  it.each([
    ['plain', 'plain'],
    ['$WHO', 'me'],
    ['"$WHO"', '"me"'],
    ['\\$WHO', '$WHO'],
    ['$(echo out)', 'out'],
    ['a\\nb', 'a\\nb'],
    ['C:\\', 'C:\\'],
    ['say \\"hi\\"', 'say "hi"'],
    ['two\nlines', 'two\nlines'],
    ["it's", "it's"],
    ['', ''],
    ['\\\\', '\\'],
  ])('%j is evaluated by the shell to %j', (value, expected) => {
    expect(evaluate(value)).toBe(expected)
  })
})

describe('--env', () => {
  it.each([
    [
      ['A=1,B=2', 'C=3'],
      [
        ['A', '1'],
        ['B', '2'],
        ['C', '3'],
      ],
    ],
    [['LIST=a,b,c'], [['LIST', 'a,b,c']]],
    [['A='], [['A', '']]],
    [['A=b=c'], [['A', 'b=c']]],
  ])('reads %j', (words, expected) => {
    expect(parseAssignments(words)).toEqual(expected)
  })

  it('refuses a name without value', () => {
    expect(() => parseAssignments(['JUSTNAME'])).toThrow('has no value')
  })
})
