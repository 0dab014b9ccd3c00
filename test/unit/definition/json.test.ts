import { describe, expect, it } from 'vitest'
import { parseJsonDefinition } from '../../../src/definition/json.ts'
import { parseDefinition } from '../../../src/definition/parse.ts'

const stage = {
  header: { bootstrap: 'docker', From: 'alpine', stage: 'one' },
  imageData: {
    labels: { Author: 'Jane Doe' },
    imageScripts: {
      help: { args: '', script: 'Help.' },
      runScript: { args: '-e', script: 'echo run\n' },
      test: { args: '', script: 'kept test' },
    },
  },
  buildData: {
    files: [{ args: '', files: [{ source: 'a "b" *', destination: '/x y\\z' }, { source: '/only' }] }],
    buildScripts: {
      post: { args: '-c /bin/bash', script: 'echo\r\npost' },
      test: { args: '', script: 'other' },
    },
  },
  customData: { 'apprun b': 'b', 'apprun a': 'a', 'appinstall a': 'install' },
  appOrder: ['a'],
}

const parse = (value: unknown, options = {}) =>
  parseJsonDefinition(JSON.stringify(value), { name: 'd.json', ...options })

describe('a definition in JSON', () => {
  it('says the same as a definition file', () => {
    const definition = parse([
      stage,
      { header: { bootstrap: 'scratch' }, buildData: { files: [{ args: 'from one' }] } },
    ])
    expect(definition.text).toBe(`Bootstrap: docker
From: alpine
Stage: one

%post -c /bin/bash
echo
post

%files
"a \\"b\\" *" "/x y\\\\z"
"/only"${' '}

%runscript -e
echo run

%test
kept test

%help
Help.

%labels
Author Jane Doe

%apprun a
a

%appinstall a
install

%apprun b
b

Bootstrap: scratch

%files from one
`)
    const again = parseDefinition(definition.text, { name: 'd.def' })
    const withoutLines = (value: unknown) =>
      JSON.parse(JSON.stringify(value, (key, item) => (/line/i.test(key) ? 0 : item)))
    // The empty lines between sections belong to the section before them.
    const trimmed = (value: unknown) => JSON.stringify(withoutLines(value)).replaceAll('\\n\\n', '\\n')
    expect(trimmed(again.stages)).toBe(trimmed(definition.stages))
  })

  it('may be a single stage', () => {
    expect(parse({ header: { bootstrap: 'scratch' } }).stages).toHaveLength(1)
  })

  const cases: [string, unknown, string][] = [
    ['a wrong type', { header: { bootstrap: 1 } }, 'd.json: stage 1.header.bootstrap: expected a string'],
    ['no header', {}, 'd.json: Bootstrap names no agent'],
    ['a list where a stage should be', [[]], 'd.json: stage 1: expected an object'],
    ['no stage', [], 'd.json: there is no stage'],
    [
      'a line end in the header',
      { header: { bootstrap: 'docker', from: 'a\nb' } },
      'expected text on one line',
    ],
    [
      'an unknown key',
      { header: { bootstrap: 'scratch', form: 'x' } },
      'd.json: unknown header keyword form',
    ],
    [
      'an unknown section',
      { header: { bootstrap: 'scratch' }, customData: { 'apprnu a': '' } },
      'unknown section %apprnu',
    ],
    [
      'files that are none',
      { header: { bootstrap: 'scratch' }, buildData: { files: {} } },
      'expected an array',
    ],
    [
      'a NUL',
      { header: { bootstrap: 'scratch' }, customData: { 'apprun a': '\0' } },
      'expected text without NUL',
    ],
  ]
  it.each(cases)('refuses %s', (_what, value, message) => {
    expect(() => parse(value)).toThrow(
      expect.objectContaining({ code: 'DEFINITION', message: expect.stringContaining(message) }),
    )
  })

  it('is refused when it is not JSON', () => {
    expect(() => parseJsonDefinition('Bootstrap: docker', { name: 'd.json' })).toThrow(
      'd.json: this is no JSON',
    )
    expect(() => parseJsonDefinition('['.repeat(100_000), { name: 'd.json' })).toThrow('d.json: ')
  })

  it('takes no build arguments', () => {
    expect(() => parse({ header: { bootstrap: 'scratch' } }, { arguments: { A: '1' } })).toThrow(
      'A is given but not used',
    )
  })

  it('leaves out what it does not know, with a warning', () => {
    const warnings: string[] = []
    parse({ header: { bootstrap: 'scratch' }, more: 1 }, { warn: (text: string) => warnings.push(text) })
    expect(warnings).toEqual(['d.json: stage 1.more means nothing here and is left out'])
  })
})
