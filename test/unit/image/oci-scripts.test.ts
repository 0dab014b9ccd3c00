/** The scripts of converted images, run by every shell of the machine that an image could have. */

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  ociConfigJson,
  ociEnvironmentScript,
  ociLabels,
  ociRunscript,
} from '../../../src/image/oci-scripts.ts'
import { temporaryFolder } from '../../helpers/temp.ts'

const folder = temporaryFolder()

const all = [['dash'], ['bash'], ['bash', '--posix'], ['busybox', 'sh']] as const
const shells = all.filter(
  ([shell]) => spawnSync(shell, ['-c', 'exit'], { stdio: 'ignore' }).error === undefined,
)

const nasty = [
  '',
  ' a  b ',
  "it's",
  '"quoted"',
  '`id`',
  'a`b',
  '$HOME',
  '${',
  '$(',
  '\\',
  '\\\\',
  'a\\nb',
  'two\nlines\n',
  '*',
  '~',
  '-n',
  '--',
  'ä\t€',
  '!x',
  ';&|<>()',
] as const

/** Each word on the standard output of `printer`, ended by a NUL. */
const printer = ['/usr/bin/env', 'printf', '%s\\0']

type Run = { args?: readonly string[]; environment?: Record<string, string> }

function run(shell: readonly string[], script: string, { args = [], environment = {} }: Run = {}) {
  const file = join(folder, 'script')
  writeFileSync(file, script)
  const [program = '', ...rest] = shell
  const env = { PATH: process.env.PATH ?? '', HOME: '/home/me', ...environment }
  const { stdout, stderr, status } = spawnSync(program, [...rest, file, ...args], { env, encoding: 'utf8' })
  return { words: stdout.split('\0').slice(0, -1), stderr, status }
}

describe.each(shells.map((shell) => [shell.join(' '), shell] as const))(
  'the runscript, run by %s',
  (_, shell) => {
    const script = ociRunscript({ entrypoint: [...printer, ...nasty], command: nasty })

    it('gives words of ENTRYPOINT and CMD as they are', () => {
      expect(run(shell, script)).toEqual({ words: [...nasty, ...nasty], stderr: '', status: 0 })
    })

    it('runs CMD when there is no ENTRYPOINT, and the arguments instead of it', () => {
      const onlyCommand = ociRunscript({ entrypoint: [], command: [...printer, 'from cmd'] })
      expect(run(shell, onlyCommand).words).toEqual(['from cmd'])
      expect(run(shell, onlyCommand, { args: [...printer, 'mine'] }).words).toEqual(['mine'])
    })

    it('gives ENTRYPOINT the arguments instead of CMD', () => {
      const both = ociRunscript({ entrypoint: printer, command: ['cmd'] })
      expect(run(shell, both, { args: ['a b', ''] }).words).toEqual(['a b', ''])
    })

    it('runs the arguments when there is neither, and wants some', () => {
      const neither = ociRunscript({ entrypoint: [], command: [] })
      expect(run(shell, neither, { args: [...printer, 'x'] }).words).toEqual(['x'])
      expect(run(shell, neither)).toMatchObject({ words: [], status: 1 })
      expect(run(shell, neither).stderr).toContain('neither ENTRYPOINT nor CMD')
    })

    it.each([
      ['$HOME', '/home/me'],
      ['${HOME}/x y', '/home/me/x y'],
      ['$WORDS', 'a  "b" `c` $HOME'],
      ['$(echo a; echo b)', 'a\nb'],
      ['\\$HOME', '$HOME'],
      ['C:\\$HOME\\', 'C:$HOME\\'],
      ['a\\\\b $HOME', 'a\\\\b /home/me'],
      ['{"key": "$HOME"}', '{"key": "/home/me"}'],
      ["it's $HOME", "it's /home/me"],
      ['`$HOME`', '`/home/me`'],
      ['$HOME\n$UNSET\n', '/home/me\n\n'],
      ['100$', '100$'],
      ['$5 each $', ' each $'],
    ])('evaluates the argument %j once', (argument, value) => {
      const both = ociRunscript({ entrypoint: printer, command: ['cmd'] })
      const environment = { WORDS: 'a  "b" `c` $HOME' }
      expect(run(shell, both, { args: [argument, 'next'], environment }).words).toEqual([value, 'next'])
    })

    it('leaves other arguments as they are, and those that no shell can evaluate', () => {
      const both = ociRunscript({ entrypoint: printer, command: [] })
      const args = nasty.filter((word) => word !== '$HOME')
      expect(run(shell, both, { args }).words).toEqual(args)
    })

    it('evaluates nothing with --no-eval', () => {
      const both = ociRunscript({ entrypoint: printer, command: [] })
      expect(run(shell, both, { args: nasty, environment: { SINGULARITY_NO_EVAL: '1' } }).words).toEqual(
        nasty,
      )
    })

    it('leaves no variable of its own to the program', () => {
      const both = ociRunscript({ entrypoint: ['/usr/bin/env', '-0'], command: [] })
      const environment = { OCI_TEXT: 'of the caller', SINGULARITY_OCI_RUN: 'too' }
      const { words } = run(shell, both, { environment })
      expect(words.filter((word) => /^(OCI_|SINGULARITY_)/.test(word))).toEqual([])
    })
  },
)

describe.each(shells.map((shell) => [shell.join(' '), shell] as const))(
  'the environment, run by %s',
  (_, shell) => {
    const tell = (names: readonly string[]) =>
      `\nfor name in ${names.join(' ')}; do eval "/usr/bin/printf '%s\\0' \\"\\$$name\\""; done\n`

    it('gives values as they are', () => {
      const names = nasty.map((_value, at) => `V${at}`)
      const script = ociEnvironmentScript({ environment: nasty.map((value, at) => `V${at}=${value}`) })
      expect(run(shell, script + tell(names))).toEqual({ words: [...nasty], stderr: '', status: 0 })
    })

    it('sets PATH always and the others where they are open', () => {
      const environment = ['PATH=/of/image', 'SET=image', 'OPEN=image', 'HALF=a=b', 'EMPTY=', 'BARE', 'HERE']
      const script = ociEnvironmentScript({ environment })
      const names = ['PATH', 'SET', 'OPEN', 'HALF', 'EMPTY', 'BARE', 'HERE']
      const { words } = run(shell, script + tell(names), { environment: { SET: 'caller', HERE: 'caller' } })
      expect(words).toEqual(['/of/image', 'caller', 'image', 'a=b', '', '', 'caller'])
    })

    it('exports them', () => {
      const script = ociEnvironmentScript({ environment: ['A=1', 'B'] })
      const { words } = run(shell, `${script}exec /usr/bin/env -0\n`)
      expect(words).toEqual(expect.arrayContaining(['A=1', 'B=']))
    })

    it('takes variables that some shells keep to themselves', () => {
      const script = ociEnvironmentScript({ environment: ['UID=1000', 'PPID=1', 'AFTER=yes'] })
      expect(run(shell, script + tell(['AFTER']))).toEqual({ words: ['yes'], stderr: '', status: 0 })
    })
  },
)

it('leaves out names that no shell can have, and the first of two', () => {
  const environment = ['bad-name=1', '1X=2', '=3', '', 'a b=4', 'X;id=5', 'NUL=a\0b', 'X=1', 'Y=2', 'X=3']
  expect(ociEnvironmentScript({ environment })).toBe(
    `#!/bin/sh\n[ -n "\${X:-}" ] || X='3'; export X\n[ -n "\${Y:-}" ] || Y='2'; export Y\n`,
  )
})

it('has the line by which other runtimes know such runscripts', () => {
  const lines = ociRunscript({ entrypoint: [], command: [] }).split('\n')
  expect(lines).toContain('eval "set ${SINGULARITY_OCI_RUN}"')
})

it('collects the labels of base, configuration and conversion', () => {
  const base = new Map([
    ['kept', 'base'],
    ['both', 'base'],
    ['org.label-schema.usage.singularity.deffile.from', 'debian'],
    ['org.label-schema.usage.apptainer.version', '1'],
  ])
  const config = { labels: { both: 'config', 'org.label-schema.build-date': 'long ago' } }
  const making = { version: '0.1', time: new Date(0), arch: 'amd64' }
  expect(Object.fromEntries(ociLabels(base, config, making, { bootstrap: 'oci' }))).toEqual({
    kept: 'base',
    both: 'config',
    'org.label-schema.schema-version': '1.0',
    'org.label-schema.build-date': 'Thursday_1_January_1970_0:0:0_UTC',
    'org.label-schema.build-arch': 'amd64',
    'org.label-schema.usage.singularity.version': '0.1',
    'org.label-schema.usage.singularity.deffile.bootstrap': 'oci',
  })
})

it.each([
  ['{}', '{}'],
  ['{"config":null}', '{}'],
  [
    '{"config":{"StopSignal":"SIGTERM","Env":["A=1"],"Cmd":[],"User":"","Image":"x","Volumes":{"/d":{}},"Entrypoint":["/e"]}}',
    '{"Entrypoint":["/e"],"Env":["A=1"],"Volumes":{"/d":{}},"StopSignal":"SIGTERM"}',
  ],
])('stores the configuration %s', (document, stored) => {
  expect(ociConfigJson({ document: Buffer.from(document) })).toBe(stored)
})
