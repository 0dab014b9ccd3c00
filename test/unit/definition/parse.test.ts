import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { SingError } from '../../../src/core/errors.ts'
import { defaultDefinition, defaultStage } from '../../../src/definition/default.ts'
import { type ParseOptions, parseDefinition } from '../../../src/definition/parse.ts'

const everything = readFileSync(
  new URL('../../../fixtures/definitions/everything.def', import.meta.url),
  'utf8',
)

function parse(text: string, options: Partial<ParseOptions> = {}) {
  return parseDefinition(text, { name: 'fortune.def', ...options })
}

function only(text: string, options: Partial<ParseOptions> = {}) {
  const { stages } = parse(text, options)
  expect(stages).toHaveLength(1)
  return stages[0] as (typeof stages)[number]
}

function mistakeIn(text: string, options: Partial<ParseOptions> = {}): SingError {
  try {
    parse(text, options)
  } catch (error) {
    expect(error).toMatchObject({ code: 'DEFINITION' })
    return error as SingError
  }
  throw new Error('nothing was refused')
}

const head = 'Bootstrap: docker\nFrom: alpine\n'

describe('a definition with everything', () => {
  const warnings: string[] = []
  const stage = only(everything, { warn: (text) => warnings.push(text) })

  it('has its header in lower case, without comments, continued lines joined', () => {
    expect(stage.header).toEqual({
      bootstrap: 'localimage',
      from: 'base.sif',
      mirrorurl: 'http://example.org/ second',
    })
    expect(stage.headerLines).toEqual({ bootstrap: 2, from: 3, mirrorurl: 4 })
    expect(stage.line).toBe(2)
  })

  it('warns about a header key that the agent does not use', () => {
    expect(warnings).toEqual(['fortune.def:4: Bootstrap: localimage does not use MirrorURL'])
  })

  it('joins a section that is given twice; the last arguments count', () => {
    expect(stage.sections.post?.text).toContain('rate = 50%')
    expect(stage.sections.post?.text.endsWith('    echo last\n\n')).toBe(true)
    expect(stage.sections.post?.arguments).toEqual(['-c', '/bin/busybox', 'sh'])
    expect(stage.sections.post?.line).toBe(23)
  })

  it('takes a section without a text as none', () => {
    const text = 'Bootstrap: scratch\n%help\n%test -x\n\n%apphelp tool\n%environment\n  \n'
    const [stage] = parseDefinition(text, { name: 'd' }).stages
    expect(stage).toMatchObject({ sections: {}, apps: [{ name: 'tool', files: [] }] })
    expect(Object.keys(stage?.sections ?? {})).toEqual([])
    expect(stage?.apps[0]?.help).toBeUndefined()
  })

  it('knows the arguments of a section', () => {
    expect(stage.sections.setup?.arguments).toEqual(['-c', '/bin/bash', '-e'])
    expect(stage.sections.runscript?.arguments).toEqual(['-e'])
  })

  it('reads quoted file names, comments and copies without a destination', () => {
    expect(stage.files).toEqual([
      {
        line: 17,
        copies: [
          { source: 'one.txt', destination: '/opt/one.txt', line: 18 },
          { source: 'two words.txt', destination: '/opt/two words.txt', line: 19 },
          { source: 'tree/*.c', destination: '', line: 21 },
        ],
      },
    ])
  })

  it('keeps apps in the order of their first appearance, with all their parts', () => {
    expect(stage.apps.map((app) => app.name)).toEqual(['zeta', 'alpha'])
    const [zeta, alpha] = stage.apps
    expect(zeta?.files).toEqual([{ source: 'tool.c', destination: 'src/', line: 60 }])
    expect(zeta?.install?.text.trim()).toBe('make install')
    expect(zeta?.environment?.text.trim()).toBe('export ZETA=1')
    expect(zeta?.start?.text.trim()).toBe('tool --serve')
    expect(alpha?.run?.text.trim()).toBe('exec tool "$@"')
    expect(alpha?.install).toBeUndefined()
  })

  it('fills in build arguments, and leaves comment lines alone', () => {
    expect(stage.sections.environment?.text).toContain('GREETING="hello, world"')
    expect(stage.sections.post?.text).toContain('# {{ NOT_ASKED_FOR }}')
  })
})

describe('the grammar', () => {
  it('keeps the text as it is when nothing has to be filled in', () => {
    const text = `# first\n\n${head}%post\n  echo x # {{ y }}\n`
    expect(parse(text).text).toBe(text)
  })

  it('reads CRLF, a byte order mark and a missing final line end', () => {
    const stage = only('\ufeffBootstrap: docker\r\nFrom: alpine\r\n%post\r\n  echo x')
    expect(stage.sections.post?.text).toBe('  echo x\n')
    expect(stage.header.from).toBe('alpine')
  })

  it('takes section names in any case and cuts comments behind them', () => {
    expect(only(`${head}%Post -x # why\n true\n`).sections.post).toMatchObject({
      arguments: ['-x'],
      text: ' true\n',
    })
  })

  it('takes an indented first header line and blanks around the colon', () => {
    expect(only('\n  bootstrap : docker\n  FROM :alpine # x\n').header).toEqual({
      bootstrap: 'docker',
      from: 'alpine',
    })
  })

  it('keeps # inside a header value', () => {
    expect(only('Bootstrap: localimage\nFrom: a#b # c\n').header.from).toBe('a#b')
  })

  it('divides stages at every Bootstrap line', () => {
    const { stages } = parse(
      `${head}Stage: one\n%post\n true\nBOOTSTRAP: scratch\n%files from one\n /a /b\n %help\n`.replace(
        ' %help\n',
        '',
      ),
    )
    expect(stages.map((stage) => [stage.name, stage.header.bootstrap, stage.line])).toEqual([
      ['one', 'docker', 1],
      [undefined, 'scratch', 6],
    ])
    expect(stages[1]?.files[0]).toMatchObject({ from: 'one', line: 7 })
  })

  it('warns when a header key is given twice', () => {
    const warnings: string[] = []
    expect(only(`${head}From: busybox\n`, { warn: (text) => warnings.push(text) }).header.from).toBe(
      'busybox',
    )
    expect(warnings).toEqual(['fortune.def:3: From is given twice, the last one counts'])
  })

  const words: [string, string, string][] = [
    ['"a b" c', 'a b', 'c'],
    ['a\\ b c\\ d', 'a b', 'c d'],
    ["'a*' b", 'a\\*', 'b'],
    ['"a*" b', 'a*', 'b'],
    ['a\\* b\\*', 'a\\*', 'b*'],
    ["it's 'x y", 'its x', 'y'],
    ['"say \\"hi\\"" y', 'say "hi"', 'y'],
    ['a#b c', 'a#b', 'c'],
    ['\ta\t', 'a', ''],
    ['"$HOME/x" y', '$HOME/x', 'y'],
    ["'$HOME/x' y", '\\$HOME/x', 'y'],
    ['src "/{a,b}"', 'src', '/{a,b}'],
  ]
  it.each(words)('reads a copy: %s', (line, source, destination) => {
    expect(only(`${head}%files\n${line}\n`).files[0]?.copies).toEqual([{ source, destination, line: 4 }])
  })
})

describe('mistakes', () => {
  const cases: [what: string, text: string, message: string, hint?: string][] = [
    ['an unknown section', `${head}%psot\n`, 'fortune.def:3: unknown section %psot', 'did you mean %post?'],
    ['an indented unknown section', `${head}%post\n  %foo\n`, 'fortune.def:4: unknown section %foo'],
    [
      'an unknown key',
      `${head}Form: x\n`,
      'fortune.def:3: unknown header keyword form',
      'did you mean From?',
    ],
    [
      'an unknown agent',
      'Bootstrap: dokcer\nFrom: x\n',
      'fortune.def:1: unknown agent dokcer',
      'did you mean docker?',
    ],
    [
      'an agent far from all',
      'Bootstrap: nothing\n',
      'fortune.def:1: unknown agent nothing',
      'known agents: docker',
    ],
    ['no agent', 'Bootstrap:\nFrom: x\n', 'fortune.def:1: Bootstrap names no agent'],
    [
      'a key before Bootstrap',
      'From: x\n%post\n',
      'fortune.def:1: expected Bootstrap: AGENT before anything else',
    ],
    [
      'a section before Bootstrap',
      '\n%post\n',
      'fortune.def:2: expected Bootstrap: AGENT before anything else',
    ],
    ['an empty file', '', 'fortune.def: the definition is empty'],
    ['a file of comments', '# a\n\n', 'fortune.def: the definition is empty'],
    ['JSON', '{"header":{}}', 'fortune.def:1: this is JSON, not a definition file', 'add --json'],
    ['binary data', 'Bootstrap: docker\n\0\n', 'fortune.def:2: there is a NUL byte'],
    [
      'a header without colon',
      `${head}hello\n`,
      'fortune.def:3: expected "Key: value" in the header, got hello',
    ],
    ['a missing From', 'Bootstrap: docker\n', 'fortune.def:1: Bootstrap: docker needs From in the header'],
    ['a missing mirror', 'Bootstrap: yum\n', 'fortune.def:1: Bootstrap: yum needs MirrorURL'],
    [
      'zypper without source',
      'Bootstrap: zypper\n',
      'fortune.def:1: Bootstrap: zypper needs MirrorURL or Product',
    ],
    [
      'a version that is asked for',
      'Bootstrap: dnf\nMirrorURL: http://x/%{OSVERSION}/\n',
      'fortune.def:2: the address holds %{OSVERSION}, so the header needs OSVersion',
    ],
    ['a quote without end', `${head}%files\n "a b\n`, 'fortune.def:4: a quote does not end: "a b'],
    [
      'three words of a copy',
      `${head}%files\n a b c\n`,
      'fortune.def:4: expected a source and a destination, got 3',
    ],
    ['an empty source', `${head}%files\n "" b\n`, 'fortune.def:4: the source of the copy is empty'],
    ['%files of nothing', `${head}%files from\n`, 'fortune.def:3: expected %files or %files from STAGE'],
    [
      'an unknown stage',
      `${head}Stage: one\n\n${head}%files from oen\n`,
      'fortune.def:7: there is no earlier stage called oen',
      'did you mean one?',
    ],
    [
      'its own stage',
      `${head}Stage: one\n%files from one\n`,
      'fortune.def:4: there is no earlier stage called one',
    ],
    [
      'two stages of one name',
      `${head}Stage: a\n${head}Stage: a\n`,
      'fortune.def:6: there are two stages called a',
    ],
    ['an app without name', `${head}%apprun\n`, 'fortune.def:3: %apprun needs the name of an app'],
    ['an app outside its place', `${head}%apprun ../x\n`, 'fortune.def:3: ../x cannot be the name of an app'],
    [
      'an app that is shell text',
      `${head}%apprun a$(b)\n`,
      'fortune.def:3: a$(b) cannot be the name of an app',
    ],
    ['-c without a program', `${head}%post -c # x\n`, 'fortune.def:3: -c behind %post names no program'],
    [
      '-c of an app without one',
      `${head}%apprun a -c\n`,
      'fortune.def:3: -c behind %apprun names no program',
    ],
    ['a control character', `${head}%\u001b[2J\n`, 'fortune.def:3: unknown section %\\x1b[2j'],
  ]
  it.each(cases)('%s: named with its line', (_what, text, message, hint) => {
    const error = mistakeIn(text)
    expect(error.message.startsWith(message), error.message).toBe(true)
    if (hint) expect(error.hint).toContain(hint)
  })

  it('refuses more than 16 MiB', () => {
    expect(mistakeIn(`${head}%post\n${'#'.repeat(16 * 1024 * 1024)}`).message).toContain('larger than 16 MiB')
  })
})

describe('images that are not built from a definition', () => {
  it('have one of two lines that says where they come from', () => {
    const { stages, text } = defaultStage('localimage', './a # b.sif')
    expect(text).toBe('bootstrap: localimage\nfrom: ./a # b.sif\n\n')
    expect(stages[0]?.header).toEqual({ bootstrap: 'localimage', from: './a # b.sif' })
    expect(defaultDefinition('docker', 'a\nb')).toBe('bootstrap: docker\nfrom: a b\n\n')
  })
})
