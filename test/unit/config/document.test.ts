/** What a YAML file says, and what is said about one that cannot be understood. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allLaunchFlags } from '../../../src/cli/options.ts'
import { type Place, type Reading, readDocument } from '../../../src/config/document.ts'
import { mergeLayers } from '../../../src/config/layers.ts'
import type { Scope } from '../../../src/config/schema.ts'
import { parseYaml } from '../../../src/config/yaml.ts'
import { SingError } from '../../../src/core/errors.ts'

const place = (scope: Scope): Place => ({
  file: '/work,1/c.yaml',
  scope,
  home: '/home/u',
  flags: allLaunchFlags,
})
const read = (text: string, scope: Scope = 'user'): Reading =>
  readDocument(parseYaml(text, '/work,1/c.yaml'), place(scope))

function refusal(text: string, scope?: Scope): SingError {
  try {
    read(text, scope)
  } catch (error) {
    return error as SingError
  }
  throw new Error(`${text} is taken`)
}

describe('a YAML file', () => {
  it.each(['', '# nothing\n', '~', 'launch:\nprofiles:\nmount:\n'])('may say nothing: %j', (text) => {
    expect(read(text)).toEqual({ settings: [], launch: [], profiles: [], profile: undefined })
  })

  it('sets directives, with the lines they stand in', () => {
    const text = '# first\nbind-paths: [/a, "~/b:/b"]\nmount:\n  dev: minimal\n  home: no\nsession-size: 2G\n'
    expect(read(text).settings).toEqual([
      { key: 'bind-paths', value: ['/a', '/home/u/b:/b'], line: 2 },
      { key: 'mount.dev', value: 'minimal', line: 4 },
      { key: 'mount.home', value: 'no', line: 5 },
      { key: 'session-size', value: 2 * 1024 ** 3, line: 6 },
    ])
  })

  it.each([
    ['nv: yes', { flag: 'nv', value: true, line: 2 }],
    ['pwd: /x', { flag: 'cwd', value: '/x', line: 2 }],
    ['bind: ./a:/b', { flag: 'bind', value: ['/work\\,1/a:/b'], line: 2 }],
    ['bind: [~/a, ../c, /d, .x]', { flag: 'bind', value: ['/home/u/a', '//c', '/d', '.x'], line: 2 }],
    [
      'mount: type=bind,source=./a,destination=/b',
      { flag: 'mount', value: ['type=bind,source=/work,1/a,destination=/b'], line: 2 },
    ],
    ['no-mount: home, tmp', { flag: 'no-mount', value: ['home', 'tmp'], line: 2 }],
    ['env: { A: 1, B: "", C: }', { flag: 'env', value: ['A=1', 'B=', 'C='], line: 2 }],
    ['env: [A=x y]', { flag: 'env', value: ['A=x y'], line: 2 }],
    ['shell: /bin/zsh', { flag: 'shell', value: '/bin/zsh', line: 2 }],
    ['home:\n    ~/h:/home/x', { flag: 'home', value: '/home/u/h:/home/x', line: 3 }],
  ])('gives launches %j', (text, expected) => {
    const { launch } = read(`launch:\n  ${text}\n`)
    expect(launch).toEqual([expected])
  })

  it('names profiles', () => {
    const text = 'profile: mpi\nprofiles:\n  mpi: { sharens: true }\n  gpu:\n    nv: true\n'
    expect(read(text)).toMatchObject({
      profiles: [
        { name: 'mpi', line: 3, flags: [{ flag: 'sharens', value: true }] },
        { name: 'gpu', line: 4, flags: [{ flag: 'nv', value: true, line: 5 }] },
      ],
      profile: { names: ['mpi'], line: 1 },
    })
  })

  it.each([
    ['a: [1', '/work,1/c.yaml:1: no YAML: unexpected end of the stream within a flow collection', ''],
    ['launch:\n\tnv: yes', ':2: no YAML:', ''],
    ['- a', ':1: the file: expected keys with values below it, got a list', ''],
    ['mount:\n  porc: no', ':2: unknown key mount.porc', 'Did you mean mount.proc?'],
    ['proc: no', ':1: unknown key proc', 'Known here: bind-paths, mount'],
    ['lunch: {}', ':1: unknown key lunch', 'Did you mean launch?'],
    ['mount:\n  dev: all', ':2: mount.dev: expected yes or no or minimal, got "all"', ''],
    ['mount:\n  dev: [a, b]', ':2: mount.dev: expected yes or no or minimal, got a list', ''],
    ['mount: yes', ':1: mount: expected keys with values below it, got "yes"', ''],
    ['mount:\n  dev:', ':2: mount.dev: expected yes or no or minimal, got nothing', ''],
    ['session-size: 64', ':1: session-size: expected a size with its unit', ''],
    ['bind-paths: { a: b }', ':1: bind-paths: expected paths, SOURCE or SOURCE:DESTINATION', ''],
    ['passwd: no\npasswd: yes', ':2: passwd stands here for the second time (first in line 1)', ''],
    ['launch:\n  bnid: /a', ':2: launch: there is no flag --bnid', 'Did you mean bind?'],
    ['launch:\n  xyzzy: /a', ':2: launch: there is no flag --xyzzy', 'sing help exec'],
    ['launch:\n  nv: some', ':2: launch.nv: expected yes or no, got "some"', ''],
    ['launch:\n  pids-limit: few', ':2: launch.pids-limit: expected a whole number, got "few"', ''],
    ['launch:\n  hostname: []', ':2: launch.hostname: expected name, got a list', ''],
    ['launch:\n  bind: { a: b }', ':2: launch.bind: expected a word or a list of words', ''],
    ['launch:\n  env: { A: [1] }', ':2: launch.env.A: expected a word, got a list', ''],
    ['launch:\n  profile: a', ':2: launch.profile is for the command line only', ''],
    ['profiles:\n  "a b": {}', ':2: profiles: "a b" cannot be the name of a profile', 'Letters'],
    ['profile: { a: b }', ':1: profile: expected the name of a profile', ''],
    ['images:\n  sif: no', ":2: images.sif may be set by the site's file alone", ''],
    ['a: &x 1\nb: *x', ':1: anchors and aliases', ''],
    ['a: !x 1', ':1: tags', ''],
    ['? [a]\n: 1', ':1: a key must be a word', ''],
    ['passwd: no\n---\ngroup: no', 'more than one document', ''],
  ])('%j is refused', (text, sentence, hint) => {
    const { code, message, hint: told, status } = refusal(text)
    expect({ code, status }).toEqual({ code: 'USAGE', status: 255 })
    expect(message).toContain(sentence)
    expect(told ?? '').toContain(hint)
  })

  it.each(['env-file: x', 'fusemount: "host:x /y"', 'authfile: x', 'keep-privs: yes', 'cdi-dirs: x'])(
    'of a project may not say %s',
    (text) => {
      expect(refusal(`launch:\n  ${text}`, 'project').message).toContain(
        'may be set by the file of the site or of',
      )
      expect(refusal(`profiles:\n  p:\n    ${text}`, 'project').hint).toContain('your own file')
      expect(read(`launch:\n  ${text}`, 'user').launch).toHaveLength(1)
    },
  )

  it('is taken or refused in a sentence, whatever it is', () => {
    const piece = fc.constantFrom(
      'launch',
      'bind',
      'mount',
      'dev',
      'env',
      ': ',
      ':\n',
      '\n',
      '  ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      ', ',
      '"',
      "'",
      '|',
      '>',
      '#',
      '&a',
      '*a',
      '!x',
      '~',
      '? ',
      '---\n',
      '%',
      '\t',
      '<<',
    )
    const texts = fc.array(fc.oneof(piece, fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 30 })
    fc.assert(
      fc.property(texts, (pieces) => {
        try {
          read(pieces.join(''))
        } catch (error) {
          expect(error).toBeInstanceOf(SingError)
          expect((error as SingError).code).toBe('USAGE')
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('cannot nest without end', () => {
    expect(refusal(`a: ${'['.repeat(5000)}${']'.repeat(5000)}`).message).toContain('no YAML')
  })
})

describe('several files', () => {
  const layer = (file: string, scope: Scope, text: string) => ({ file, scope, reading: read(text, scope) })

  it('are read so that the later one wins', () => {
    const merged = mergeLayers([
      layer('/s', 'site', 'mount: { home: no }\npasswd: no\nimages: { sif: no }\nprofile: a'),
      layer('/u', 'user', 'mount: { home: yes, tmp: no }\nprofiles: { a: { nv: yes }, b: { pid: yes } }'),
      layer('/p', 'project', '\nprofiles: { a: { ipc: yes } }\nprofile: [b, a]\nlaunch: { bind: /x }'),
    ])
    expect(merged.config).toMatchObject({ mount: { home: 'yes', tmp: 'no' }, passwd: false })
    expect(merged.origins.get('mount.home')).toEqual({ file: '/u', line: 1, scope: 'user' })
    expect(merged.origins.get('images.sif')).toEqual({ file: '/s', line: 3, scope: 'site' })
    expect(merged.origins.has('group')).toBe(false)
    expect(merged.profile).toEqual({ names: ['b', 'a'], origin: { file: '/p', line: 3, scope: 'project' } })
    expect(merged.profiles.get('a')?.flags).toEqual([
      { flag: 'ipc', value: true, origin: { file: '/p', line: 2, scope: 'project' } },
    ])
    expect(merged.launch).toMatchObject([{ flag: 'bind', value: ['/x'], origin: { file: '/p', line: 4 } }])
  })
})
