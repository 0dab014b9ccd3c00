/** What programs write, as lines for a terminal. */

import { describe, expect, it } from 'vitest'
import { LineReader, settledLine } from '../../../src/core/lines.ts'

function read(chunks: readonly (string | number[])[]): { lines: string[]; rest: string } {
  const lines: string[] = []
  const reader = new LineReader((line) => lines.push(line))
  for (const chunk of chunks)
    reader.push(typeof chunk === 'string' ? Buffer.from(chunk) : Uint8Array.from(chunk))
  const { rest } = reader
  reader.end()
  return { lines, rest }
}

describe('lines of what a program writes', () => {
  it.each([
    { name: 'are cut at line feeds', chunks: ['a\nb', 'c\n'], lines: ['a', 'bc'], rest: '' },
    {
      name: 'end with what is not whole',
      chunks: ['a\nPassword: '],
      lines: ['a', 'Password: '],
      rest: 'Password: ',
    },
    { name: 'may be empty', chunks: ['\n\n'], lines: ['', ''], rest: '' },
    { name: 'keep characters that come in two pieces', chunks: [[0xc3], [0xa4, 10]], lines: ['ä'], rest: '' },
    { name: 'show what is not UTF-8', chunks: [[0x61, 0xff, 0x62, 10]], lines: ['a\ufffdb'], rest: '' },
    {
      name: 'forget a progress bar that was written over',
      chunks: ['1%\r2%\r', '3%'],
      lines: ['3%'],
      rest: '3%',
    },
    { name: 'keep a progress bar that waits', chunks: ['1%\r2%\r'], lines: ['2%\r'], rest: '2%\r' },
  ])('$name', ({ chunks, lines, rest }) => {
    expect(read(chunks)).toEqual({ lines, rest })
  })

  it('are cut where they would fill the memory', () => {
    const { lines } = read(['x'.repeat(150_000), '\n'])
    expect(lines.map(({ length }) => length)).toEqual([65536, 65536, 150_000 - 2 * 65536])
  })

  it('are read at once also when they return to their beginning again and again', () => {
    const returns = '\r'.repeat(65536)
    expect(read([`a${returns}b`])).toEqual({ lines: ['b'], rest: 'b' })
    expect(read([`a${returns}b${returns}\n`]).lines).toHaveLength(1)
    expect(settledLine(`a${returns}b${returns}`, false)).toBe('b')
  })

  it('are not kept while a progress bar goes round for hours', () => {
    const reader = new LineReader(() => {})
    for (let round = 0; round < 10_000; round += 1) reader.push(Buffer.from(`${round} of 10000\r`))
    expect(reader.rest).toBe('9999 of 10000\r')
  })
})

describe('a line that may be shown', () => {
  const esc = '\u001b'
  it.each([
    { name: 'is as it is', line: 'a\tb ä', shown: 'a\tb ä' },
    { name: 'ends where a carriage return ends it', line: 'text\r', shown: 'text' },
    { name: 'is the last state of a progress bar', line: '10%\r100%\r', shown: '100%' },
    { name: 'keeps colours and ends them', line: `${esc}[1;31mred`, shown: `${esc}[1;31mred${esc}[0m` },
    { name: 'ends colours once', line: `${esc}[31mred${esc}[0m`, shown: `${esc}[31mred${esc}[0m` },
    { name: 'moves no cursor', line: `${esc}[2A${esc}[2Ka${esc}[10;20Hb${esc}7${esc}8`, shown: 'ab' },
    { name: 'keeps modes and scroll regions', line: `${esc}[?25l${esc}[0;23ra${esc}[?1049h`, shown: 'a' },
    { name: 'sets no title', line: `${esc}]0;title\u0007a${esc}]8;;http://x${esc}\\b`, shown: 'ab' },
    { name: 'swallows a title that does not end', line: `a${esc}]0;title`, shown: 'a' },
    { name: 'rings no bell', line: 'a\u0007b\u009b2J', shown: 'ab2J' },
    { name: 'takes back what a spinner took back', line: 'wait |\b/\b-\bdone', shown: 'wait done' },
    { name: 'takes nothing of a sequence back', line: `${esc}[31mx\by`, shown: `${esc}[31my${esc}[0m` },
  ])('$name', ({ line, shown }) => {
    expect(settledLine(line, true)).toBe(shown)
  })

  it('has no colours where none are wanted', () => {
    expect(settledLine(`${esc}[1;31mred${esc}[0m`, false)).toBe('red')
  })
})
