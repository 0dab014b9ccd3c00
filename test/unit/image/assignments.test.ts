import { describe, expect, it } from 'vitest'
import { addAssignments } from '../../../src/image/assignments.ts'

const setBy = (script: string, before: Record<string, string> = {}): Record<string, string> => {
  const variables = new Map(Object.entries(before))
  addAssignments(variables, script)
  return Object.fromEntries(variables)
}

describe('an environment script', () => {
  const cases: [script: string, variables: Record<string, string>][] = [
    ['#!/bin/sh\n# The %environment of the definition.\n', {}],
    ['A=1', { A: '1' }],
    ['    export A=1', { A: '1' }],
    ['A=1; export A', { A: '1' }],
    ['A=1 # a note', { A: '1' }],
    ["A='$HOME and `date`'", { A: '$HOME and `date`' }],
    ['A="two words"', { A: 'two words' }],
    ['A="a \\"quote\\" \\$5"', { A: 'a "quote" $5' }],
    [`A='it'"'"'s'`, { A: "it's" }],
    ['A=', { A: '' }],
    ['A=/opt/x/bin:/usr/bin', { A: '/opt/x/bin:/usr/bin' }],
    ['A=1\nB=$A/lib\nC="${B}:$A"', { A: '1', B: '1/lib', C: '1/lib:1' }],
    ['A=$UNKNOWN/x', {}],
    ['PATH=/opt\nPATH=$UNKNOWN:$PATH', { PATH: '/opt' }],
    ['A=1\nA=$(date)', {}],
    ['A=`date`', {}],
    ['A=${B:-1}', {}],
    ['A=$((1 + 2))', {}],
    ['A=~/x', {}],
    ['A=1 B=2 command', {}],
    ['A=1 && B=2', {}],
    ['echo A=1', {}],
    ['export A', {}],
    ['if [ -d /x ]; then\nA=1\nfi\nB=2', { B: '2' }],
    ['if true; then A=1; fi\nB=2', { B: '2' }],
    ['for x in a b; do\n  A=$x\ndone\nB=2', { B: '2' }],
    ['case $x in\na) A=1 ;;\nesac\nB=2', { B: '2' }],
    ['f() {\nA=1\n}\nB=2', { B: '2' }],
    ['A="open\nB=2\n"\nC=3', {}],
    ["A='open\nB=2\n'", {}],
    ['cat <<END\nA=1\nEND', {}],
    ['A=1 \\\nB=2', {}],
    ['[ -n "${A:-}" ] || A=\'x y\'; export A', { A: 'x y' }],
    ['[ -n "${A:-}" ] || B=\'x y\'; export B', {}],
  ]
  it.each(cases)('%j sets %j', (script, variables) => {
    expect(setBy(script)).toEqual(variables)
  })

  it('may add to what is known', () => {
    expect(setBy('export PATH=/opt/bin:$PATH', { PATH: '/usr/bin:/bin' })).toEqual({
      PATH: '/opt/bin:/usr/bin:/bin',
    })
  })
})

it.each([
  ['blanks', `A=b${' '.repeat(1_000_000)}c`],
  ['quotes', `A=b ${'\\"'.repeat(500_000)}`],
])('takes no time for a line of a hostile image: %s', (_, line) => {
  expect(setBy(line)).toEqual({})
})
