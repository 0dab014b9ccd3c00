/** Completion scripts: what a shell offers after some words. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { completionScript, type Shell, shells, type Words } from '../../../src/cli/completion.ts'

const words: Words = {
  globals: [
    { name: 'debug', short: 'd', kind: 'boolean', help: 'tell everything' },
    { name: 'config', short: 'c', kind: 'string', help: 'a file' },
  ],
  commands: [
    {
      words: ['exec'],
      summary: "Run a command: it's easy",
      flags: [
        { name: 'bind', short: 'B', kind: 'list', help: "a path [it's: there]" },
        { name: 'contain', short: 'c', kind: 'boolean', help: 'own files' },
        { name: 'secret', kind: 'boolean', help: 'hidden', hidden: true },
      ],
    },
    { words: ['sif', 'list'], summary: 'List objects', flags: [] },
    {
      words: ['sif', 'new'],
      summary: 'Make an image',
      flags: [{ name: 'json', kind: 'boolean', help: 'JSON' }],
    },
  ],
}

const folder = mkdtempSync(join(tmpdir(), 'sing-completion-'))
afterAll(() => rmSync(folder, { recursive: true }))

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

/** What bash offers for the last word. */
function offered(...line: string[]): string[] {
  const script = `${completionScript('bash', words)}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
COMPREPLY=(); _sing; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', 'sing', ...line], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return stdout.trim().split('\n').filter(Boolean).sort()
}

describe('bash', () => {
  it.each([
    [[''], ['exec', 'sif']],
    [['e'], ['exec']],
    [['--d'], ['--debug']],
    [['-d', 'e'], ['exec']],
    [['-c', 'file', 'e'], ['exec']],
    [
      ['exec', '--'],
      ['--bind', '--contain', '--help'],
    ],
    [['exec', '--bind', '/x', '--c'], ['--contain']],
    [['exec', '--bind', ''], []],
    [['exec', 'a.sif', '--c'], []],
    [['exec', 'a.sif', ''], []],
    [
      ['sif', ''],
      ['list', 'new'],
    ],
    [['sif', 'n'], ['new']],
    [
      ['sif', 'new', '--'],
      ['--help', '--json'],
    ],
    [['frob', ''], []],
  ])('after %j offers %j', (line, expected) => {
    expect(offered(...line)).toEqual(expected)
  })
})

describe.each(shells)('%s', (shell) => {
  it('gets the words and flags that are shown, and no hidden ones', () => {
    const script = completionScript(shell, words)
    for (const word of ['exec', 'sif', 'list', 'new', 'bind', 'contain', 'json', 'debug'])
      expect(script).toContain(word)
    expect(script).not.toContain('secret')
  })

  const check: Partial<Record<Shell, string[]>> = {
    bash: ['bash', '-n'],
    zsh: ['zsh', '-n'],
    fish: ['fish', '-n'],
  }
  const [program = '', ...options] = check[shell] ?? []
  it.skipIf(!program || !has(program))('gets a script that it can read', () => {
    const file = join(folder, shell)
    writeFileSync(file, completionScript(shell, words))
    const { status, stderr } = spawnSync(program, [...options, file], { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })
})
