/** Lines of scripts and where in the definition they stand. */

import { describe, expect, it } from 'vitest'
import { parseDefinition } from '../../../src/definition/parse.ts'
import { joinPieces, ownPiece } from '../../../src/definition/pieces.ts'
import { imageScript, imageScriptLines } from '../../../src/definition/script.ts'
import type { Section } from '../../../src/definition/types.ts'

const head = 'Bootstrap: docker\nFrom: alpine\n'

function sectionOf(
  body: string,
  name: 'post' | 'test' = 'post',
  argument: Record<string, string> = {},
): Section {
  const { stages } = parseDefinition(head + body, { name: 'x.def', arguments: argument })
  return stages[0]?.sections[name] as Section
}

describe('the lines of a section', () => {
  it.each([
    { name: 'stand below its name', body: '%post\n a\n b\n', lines: [4, 5] },
    {
      name: 'of several occurrences follow each other',
      body: '%post\n a\n%help\n h\n%post\n b\n',
      lines: [4, 8],
    },
    { name: 'are those of a file with carriage returns', body: '%post\r\n a\r\n b\r\n', lines: [4, 5] },
  ])('$name', ({ body, lines }) => {
    expect(sectionOf(body).lines).toEqual(lines)
  })

  it('stay right behind an argument of several lines', () => {
    const section = sectionOf('%post\n {{ A }}\n b\n', 'post', { A: 'one\ntwo' })
    expect(section.text.split('\n').indexOf(' b')).toBe(2)
    expect(section.lines).toEqual([4, 4, 5])
  })

  it('are those of the file in a second stage', () => {
    const { stages } = parseDefinition(`${head}%post\n a\n${head}%post\n b\n`, { name: 'x.def' })
    expect(stages[1]?.sections.post?.lines).toEqual([8])
  })
})

describe('a script of several pieces', () => {
  it('knows the lines of those that have some', () => {
    const post = { text: 'a\nb\n', lines: [4, 5] }
    expect(joinPieces([post, ownPiece('\ncd /\n'), { text: 'c\n', lines: [9] }])).toEqual({
      text: 'a\nb\n\ncd /\nc\n',
      lines: [4, 5, 0, 0, 9],
    })
  })
})

describe('the script of a %test', () => {
  it.each([
    { name: 'plain', body: '%test\n false\n', word: 'false', line: 4 },
    { name: 'with an interpreter', body: '%test\n\n  #!/bin/bash\n  false\n', word: 'false', line: 6 },
    {
      name: 'whose interpreter is the first line',
      body: '%test\n#!/bin/bash\nfalse\n',
      word: 'false',
      line: 5,
    },
  ])('knows its lines, $name', ({ body, word, line }) => {
    const section = sectionOf(body, 'test')
    const at = imageScript(section)
      .split('\n')
      .findIndex((text) => text.includes(word))
    expect(imageScriptLines(section)[at]).toBe(line)
  })
})
