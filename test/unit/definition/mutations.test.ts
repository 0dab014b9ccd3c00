import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { SingError, shown } from '../../../src/core/errors.ts'
import { parseJsonDefinition } from '../../../src/definition/json.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'

const everything = readFileSync(
  new URL('../../../fixtures/definitions/everything.def', import.meta.url),
  'utf8',
)
const json = JSON.stringify({
  header: { bootstrap: 'docker', from: 'alpine', stage: 'a' },
  imageData: { labels: { a: 'b' }, imageScripts: { help: { args: '', script: 'x' } } },
  buildData: { files: [{ args: '', files: [{ source: 'a', destination: 'b' }] }] },
  customData: { 'apprun a': 'x' },
})

/** The same row of numbers below `limit` for the same seed (mulberry32). */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % limit
  }
}

const pieces = [
  '%',
  '{{',
  '}}',
  '{{ A }}',
  '\n',
  '\r\n',
  '"',
  "'",
  '\\',
  '\\\n',
  ':',
  '#',
  ' ',
  '\t',
  '\0',
  '\ufeff',
  '%files from ',
]
const lines = [
  'Bootstrap: docker\nFrom: x\n',
  '%arguments\nA={{ A }}\n',
  '%app',
  '%apprun a\n',
  'Stage: one\n',
  '-c',
  '\ud800',
]

function mutate(text: string, next: (limit: number) => number): string {
  let result = text
  for (let count = 1 + next(4); count > 0; count -= 1) {
    const at = next(result.length + 1)
    const size = next(3) === 0 ? next(200) : next(4)
    const all = [...pieces, ...lines, result.slice(at, at + next(80)), String.fromCharCode(next(0x3000))]
    result = result.slice(0, at) + (all[next(all.length)] ?? '') + result.slice(at + size)
  }
  return result
}

function isFine(parse: () => { stages: readonly unknown[] }): boolean {
  try {
    expect(parse().stages.length).toBeGreaterThan(0)
    return true
  } catch (error) {
    if (!(error instanceof SingError) || error.code !== 'DEFINITION') throw error
    expect(error.message).toBe(shown(error.message))
    return false
  }
}

describe('damaged definitions', () => {
  it('are parsed or refused with a sentence, whatever is in them', () => {
    const next = numbers(1)
    const results = Array.from({ length: 10_000 }, () => {
      const text = mutate(everything, next)
      return isFine(() => parseDefinition(text, { name: 'd', arguments: { A: '1' }, warnUnused: true }))
    })
    expect(new Set(results)).toEqual(new Set([true, false]))
  })

  it('in JSON are parsed or refused too', () => {
    const next = numbers(2)
    const results = Array.from({ length: 5_000 }, () => {
      const text = mutate(json, next)
      return isFine(() => parseJsonDefinition(text, { name: 'd' }))
    })
    expect(new Set(results)).toEqual(new Set([true, false]))
  })

  const long: [string, string][] = [
    ['empty lines', '\n'],
    ['braces', '{{'],
    ['half an argument', '{{ A '],
    ['blanks', ' '],
    ['backslashes', '\\'],
    ['continued lines', 'a: b\\\n'],
    ['stages', 'Bootstrap: scratch\n'],
    ['sections', '%post\n'],
    ['quotes', '"'],
    ['hashes', '#'],
  ]
  it.each(long)('of many signs are done in one pass: %s', (_what, piece) => {
    const many = piece.repeat(300_000 / piece.length)
    const head = 'Bootstrap: docker\nFrom: alpine\n'
    for (const text of [
      many,
      `${head}${many}x`,
      `${head}%files\n${many}x`,
      `${head}%arguments\nA=${many}\n%runscript\n${many}`,
    ]) {
      isFine(() => parseDefinition(text, { name: 'd' }))
    }
  })
})
