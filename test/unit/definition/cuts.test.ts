import { describe, expect, it } from 'vitest'
import { cutScript, endsInCut } from '../../../src/definition/cuts.ts'

const section = (text: string) => {
  const lines = text.split('\n').slice(0, -1)
  return { text, arguments: ['-u'], line: 10, lines: lines.map((_, index) => 11 + index) }
}

const cases: readonly [string, string, readonly [number, string][]][] = [
  ['is one part without a cut', 'a\nb\n', [[10, 'a\nb\n']]],
  [
    'is cut by a line of its own',
    'a\n# ---\nb\n',
    [
      [10, 'a\n'],
      [12, 'b\n'],
    ],
  ],
  [
    'is cut whatever blanks are around',
    '  a\n\t # ---  \n  b\n',
    [
      [10, '  a\n'],
      [12, '  b\n'],
    ],
  ],
  [
    'is not cut by longer rulers and other words',
    'a\n# ----\n# --- b\n#---\nc\n',
    [[10, 'a\n# ----\n# --- b\n#---\nc\n']],
  ],
  [
    'has no parts without commands',
    '# about\n# ---\na\n# ---\n\n# nothing\n# ---\nb\n# ---\n',
    [
      [12, 'a\n'],
      [17, 'b\n'],
    ],
  ],
  ['is whole when only one part has commands', '# ---\na\n', [[10, '# ---\na\n']]],
  ['may be empty', '', [[10, '']]],
]

describe('a script', () => {
  it.each(cases)('%s', (_, text, parts) => {
    expect(cutScript(section(text))).toEqual(
      parts.map(([line, part]) => ({ ...section(part), line, lines: expect.any(Array) })),
    )
  })

  it('has parts that know their lines', () => {
    const parts = cutScript(section('a\n# ---\nb\nc\n'))
    expect(parts.map(({ lines }) => lines)).toEqual([[11], [13, 14]])
  })

  it('may have no lines to point at', () => {
    const parts = cutScript({ text: 'a\n# ---\nb\n', arguments: [], line: 0, lines: [] })
    expect(parts.map(({ line, lines }) => [line, lines])).toEqual([
      [0, []],
      [0, []],
    ])
  })
})

describe('the end of a script', () => {
  it.each([
    ['a\n# ---\n', true],
    ['a\n# ---\n\n  # nothing\n', true],
    ['# ---\n', true],
    ['a\n# ---\nb\n', false],
    ['a\n', false],
    ['', false],
  ])('of %j has a cut before it: %j', (text, expected) => {
    expect(endsInCut(section(text))).toBe(expected)
  })
})
