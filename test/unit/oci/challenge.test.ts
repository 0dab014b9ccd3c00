/** What servers say about how to log in. */

import { expect, it } from 'vitest'
import { parseChallenges } from '../../../src/oci/challenge.ts'

const bearer = {
  realm: 'https://auth.example/token',
  service: 'registry.example',
  scope: 'repository:a/b:pull,push',
}

const cases: [headers: string[], challenges: [string, Record<string, string>][]][] = [
  [[], []],
  [[''], []],
  [['Basic realm="x"'], [['basic', { realm: 'x' }]]],
  [['BASIC Realm=x'], [['basic', { realm: 'x' }]]],
  [['Basic realm = "x" , charset="UTF-8"'], [['basic', { realm: 'x', charset: 'UTF-8' }]]],
  [
    ['Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"'],
    [['bearer', bearer]],
  ],
  [
    ['Negotiate', 'Basic realm="x"'],
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    ['Negotiate, Basic realm="x"'],
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    ['Negotiate a87421000492aa874209af8bc028, Basic realm="x"'],
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    ['Negotiate YII= , Basic realm="x"'],
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
  ],
  [
    ['Basic realm="a, b", Bearer realm="c",service="d"'],
    [
      ['basic', { realm: 'a, b' }],
      ['bearer', { realm: 'c', service: 'd' }],
    ],
  ],
  [[', ,Basic realm="x",'], [['basic', { realm: 'x' }]]],
  [['Basic realm="say \\"hi\\" \\\\"'], [['basic', { realm: 'say "hi" \\' }]]],
  [['Bearer realm="first",realm="second"'], [['bearer', { realm: 'first' }]]],
  [['Basic realm="never closed'], [['basic', {}]]],
  [['"quoted"'], []],
  [
    ['Bearer realm="x",error="insufficient_scope"'],
    [['bearer', { realm: 'x', error: 'insufficient_scope' }]],
  ],
]

it.each(cases)('reads %j', (headers, challenges) => {
  expect(parseChallenges(headers)).toEqual(challenges.map(([scheme, parameters]) => ({ scheme, parameters })))
})

it('does not take long for a long one', () => {
  expect(parseChallenges([`Basic realm="${'\\'.repeat(1 << 20)}`])).toMatchObject([{ scheme: 'basic' }])
  expect(parseChallenges([','.repeat(1 << 20)])).toEqual([])
})
