import { describe, expect, it } from 'vitest'
import { SingError } from '../../../../src/core/errors.ts'
import { parseDockerfile, stageNamed, targetOf } from '../../../../src/definition/dockerfile/parse.ts'
import type { Instruction } from '../../../../src/definition/dockerfile/types.ts'

const parse = (text: string) => parseDockerfile(text, 'Dockerfile')

/** The instructions below a first FROM, without what stands in every one. */
function instructions(text: string): object[] {
  const [stage] = parse(`FROM base\n${text}`).stages
  return (stage?.instructions ?? []).map(({ title: _, ...rest }: Instruction) => rest)
}

function failure(text: string): string {
  try {
    parse(text)
  } catch (error) {
    if (!(error instanceof SingError)) throw error
    return error.hint ? `${error.message} (${error.hint})` : error.message
  }
  throw new Error('it is accepted')
}

const shell = (text: string) => ({ form: 'shell', text })
const exec = (...words: string[]) => ({ form: 'exec', words })
const heredoc = (name: string, text: string, more = {}) => ({
  line: expect.any(Number),
  name,
  text,
  expands: true,
  strips: false,
  ...more,
})

describe('an instruction', () => {
  it.each([
    ['RUN make  all', [{ kind: 'run', command: shell('make  all'), flags: [], texts: [], line: 2 }]],
    ['run ["a", "b\\"c"]', [{ kind: 'run', command: exec('a', 'b"c'), flags: [], texts: [], line: 2 }]],
    ["RUN ['a']", [{ kind: 'run', command: shell("['a']"), flags: [], texts: [], line: 2 }]],
    [
      'RUN a && \\\n# comment\n\n  b \\\n   c # kept',
      [{ kind: 'run', command: shell('a &&   b    c # kept'), flags: [], texts: [], line: 2 }],
    ],
    [
      'RUN --mount=type=tmpfs,target=/t --network=none true',
      [
        {
          kind: 'run',
          command: shell('true'),
          flags: [
            { name: 'mount', value: 'type=tmpfs,target=/t' },
            { name: 'network', value: 'none' },
          ],
          texts: [],
          line: 2,
        },
      ],
    ],
    [
      'ENV A=1 B="two words" C=\\ x\nENV OLD the rest  of it',
      [
        {
          kind: 'env',
          values: [
            ['A', '1'],
            ['B', '"two words"'],
            ['C', '\\ x'],
          ],
          line: 2,
        },
        { kind: 'env', values: [['OLD', 'the rest  of it']], line: 3 },
      ],
    ],
    [
      'ARG A B=2',
      [
        {
          kind: 'arg',
          values: [
            ['A', undefined],
            ['B', '2'],
          ],
          line: 2,
        },
      ],
    ],
    [
      'COPY --from=build --link --chown=1:2 a b /c/',
      [
        {
          kind: 'copy',
          flags: [
            { name: 'from', value: 'build' },
            { name: 'link', value: undefined },
            { name: 'chown', value: '1:2' },
          ],
          sources: ['a', 'b'],
          texts: [],
          destination: '/c/',
          line: 2,
        },
      ],
    ],
    [
      'ADD ["a b", "/c d"]',
      [{ kind: 'add', flags: [], sources: ['a b'], texts: [], destination: '/c d', line: 2 }],
    ],
    ['WORKDIR a b', [{ kind: 'workdir', text: 'a b', line: 2 }]],
    ['CMD', [{ kind: 'cmd', command: shell(''), line: 2 }]],
    ['ENTRYPOINT []', [{ kind: 'entrypoint', command: exec(), line: 2 }]],
    ['SHELL ["/bin/bash", "-c"]', [{ kind: 'shell', words: ['/bin/bash', '-c'], line: 2 }]],
    ['EXPOSE 80 53/udp', [{ kind: 'expose', words: ['80', '53/udp'], line: 2 }]],
    [
      'VOLUME ["/a"]\nVOLUME /b /c',
      [
        { kind: 'volume', words: ['/a'], line: 2 },
        { kind: 'volume', words: ['/b', '/c'], line: 3 },
      ],
    ],
    ['ONBUILD COPY . /src', [{ kind: 'onbuild', text: 'COPY . /src', line: 2 }]],
    ['HEALTHCHECK NONE', [{ kind: 'healthcheck', health: { kind: 'none' }, line: 2 }]],
    [
      'HEALTHCHECK --interval=5s CMD true',
      [
        {
          kind: 'healthcheck',
          health: { kind: 'command', command: shell('true'), flags: [{ name: 'interval', value: '5s' }] },
          line: 2,
        },
      ],
    ],
    [
      'MAINTAINER Jane <jane@example.org>',
      [{ kind: 'maintainer', text: 'Jane <jane@example.org>', line: 2 }],
    ],
  ])('is read: %s', (text, expected) => {
    expect(instructions(text)).toEqual(expected)
  })
})

describe('a text below an instruction', () => {
  it('belongs to it, comments and all, up to its name', () => {
    expect(instructions('RUN <<EOF\n# not a comment\n\nFROM here \\\nEOF\nWORKDIR /a')).toEqual([
      {
        kind: 'run',
        command: shell('<<EOF'),
        flags: [],
        texts: [heredoc('EOF', '# not a comment\n\nFROM here \\\n', { line: 3 })],
        line: 2,
      },
      { kind: 'workdir', text: '/a', line: 7 },
    ])
  })

  it('may be one of several, with tabs, with a quoted name', () => {
    expect(instructions('COPY <<A <<-"B" x /d/\n$a\nA\n\t$b\n\tB\n')).toEqual([
      {
        kind: 'copy',
        flags: [],
        sources: ['x'],
        texts: [heredoc('A', '$a\n'), heredoc('B', '\t$b\n', { expands: false, strips: true })],
        destination: '/d/',
        line: 2,
      },
    ])
  })

  it.each(['RUN echo "<<A"', 'RUN cat <<< A', 'RUN ["<<A"]', 'CMD <<A', 'RUN cat<<A'])(
    'is not announced by %s',
    (text) => {
      expect(instructions(`${text}\nWORKDIR /`)).toHaveLength(2)
    },
  )

  it('is kept with what is for children', () => {
    expect(instructions('ONBUILD RUN <<A\nx\nA\n')).toEqual([
      { kind: 'onbuild', text: 'RUN <<A\nx\nA', line: 2 },
    ])
  })
})

describe('a Dockerfile', () => {
  it('has stages with names, platforms and arguments before them', () => {
    const { stages, arguments: inFront } = parse('ARG V=1\nFROM --platform=$P a:$V AS One\nRUN x\nfrom b\n')
    expect(inFront).toMatchObject([{ kind: 'arg', values: [['V', '1']], line: 1 }])
    expect(stages).toMatchObject([
      { name: 'one', from: 'a:$V', platform: '$P', line: 2, instructions: [{ kind: 'run' }] },
      { name: undefined, from: 'b', platform: undefined, line: 4, instructions: [] },
    ])
  })

  it('may have another escape, Windows line ends and a byte order mark', () => {
    const { stages, escaper } = parse('\ufeff# syntax=x\r\n# escape=`\r\nFROM a\r\nRUN c:\\ `\r\n b\r\n')
    expect(escaper).toBe('`')
    expect(stages[0]?.instructions).toMatchObject([{ command: shell('c:\\  b'), line: 4 }])
  })

  it('knows directives only at its top', () => {
    expect(parse('# hello\n# escape=`\nFROM a').escaper).toBe('\\')
  })

  it.each([
    ['', 'Dockerfile: there is no FROM (a Dockerfile begins with FROM and an image)'],
    ['RUN x', 'Dockerfile:1: RUN stands before FROM (only ARG may stand there)'],
    ['FROM a\n\nCOPPY a b', 'Dockerfile:3: unknown instruction COPPY (did you mean COPY?)'],
    [
      'FROM a\nCOPY a',
      'Dockerfile:2: COPY needs a source and a destination (for example: COPY app /usr/local/bin/)',
    ],
    ['FROM a\nCOPY --form=b a c', 'Dockerfile:2: COPY has no flag --form (did you mean --from?)'],
    ['FROM a\nCOPY --from a c', 'Dockerfile:2: COPY --from needs a value: --from=...'],
    ['FROM a\nCOPY --from=a --from=b a c', 'Dockerfile:2: COPY --from is given twice'],
    ['FROM a\nCOPY --link=2 a c', 'Dockerfile:2: COPY --link=2: expected true or false'],
    ['FROM a\nCOPY --from=x <<A /b\nA', 'Dockerfile:2: COPY --from cannot take a text of the Dockerfile'],
    ['FROM a\nCOPY x <<A\nA', 'Dockerfile:2: COPY needs a destination'],
    ['FROM a\nRUN', 'Dockerfile:2: RUN needs something behind it'],
    ['FROM a\nRUN --network=none', 'Dockerfile:2: RUN needs something behind it'],
    ['FROM a\nRUN [1]', 'Dockerfile:2: RUN: a list in the notation of JSON holds only texts'],
    ['FROM a\nVOLUME [1]', 'Dockerfile:2: VOLUME: a list in the notation of JSON holds only texts'],
    ['FROM a\nRUN []', 'Dockerfile:2: RUN [] names no program'],
    ['FROM a\nENV A', 'Dockerfile:2: ENV A has no value (write ENV NAME=value)'],
    ['FROM a\nENV =b', 'Dockerfile:2: ENV =b has no name'],
    ['FROM a\nENV A=b c', 'Dockerfile:2: ENV: expected NAME=value, got c (a value with blanks needs quotes)'],
    ['FROM a\nARG =b', 'Dockerfile:2: ARG =b has no name'],
    [
      'FROM a\nSHELL /bin/sh',
      'Dockerfile:2: SHELL takes a list in the notation of JSON (for example: SHELL ["/bin/bash", "-c"])',
    ],
    ['FROM a\nONBUILD FROM b', 'Dockerfile:2: ONBUILD FROM is not allowed'],
    ['FROM a\nONBUILD RUNN b', 'Dockerfile:2: unknown instruction RUNN (did you mean RUN?)'],
    ['FROM a\nHEALTHCHECK true', 'Dockerfile:2: HEALTHCHECK true: expected CMD or NONE'],
    ['FROM a\nHEALTHCHECK NONE x', 'Dockerfile:2: nothing stands behind HEALTHCHECK NONE'],
    ['FROM a\nHEALTHCHECK CMD', 'Dockerfile:2: HEALTHCHECK CMD needs a command'],
    ['FROM a\nRUN <<A\nx', 'Dockerfile:2: the text <<A has no end (end it by a line A)'],
    ['FROM a b', 'Dockerfile:1: FROM a b: expected FROM IMAGE or FROM IMAGE AS NAME'],
    ['FROM --platform=x', 'Dockerfile:1: FROM names no image'],
    ['FROM a AS 1b', 'Dockerfile:1: 1b cannot be the name of a stage'],
    ['FROM a AS b\nFROM a AS B', 'Dockerfile:2: there are two stages called b'],
    ['# escape=x\nFROM a', 'Dockerfile:1: # escape=x: expected \\ or `'],
    ['# syntax=x\n# syntax=y\nFROM a', 'Dockerfile:2: the directive syntax is given twice'],
    ['FROM a\n\0', 'Dockerfile:2: there is a NUL byte'],
    [`#${'x'.repeat(16 * 1024 * 1024)}`, 'Dockerfile: it is larger than 16 MiB'],
  ])('with a mistake says where: %j', (text, message) => {
    expect(failure(text)).toBe(message)
  })

  it('names its stages by name, and where numbers count by number', () => {
    const file = parse('FROM a AS one\nFROM b\nFROM one AS two')
    expect(stageNamed(file.stages, 'ONE', 2)).toBe(0)
    expect(stageNamed(file.stages, 'two', 2)).toBeUndefined()
    expect(stageNamed(file.stages, '1', 2)).toBeUndefined()
    expect(stageNamed(file.stages, '1', 2, true)).toBe(1)
    expect(stageNamed(file.stages, '2', 2, true)).toBeUndefined()
    expect([targetOf(file, undefined), targetOf(file, 'one'), targetOf(file, '1')]).toEqual([2, 0, 1])
    expect(() => targetOf(file, 'tow')).toThrow('Dockerfile: there is no stage tow')
  })
})
