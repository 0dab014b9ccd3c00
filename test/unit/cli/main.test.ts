/** The program as scripts meet it: exit statuses, which stream says what, and the versions that tools parse. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

type Environment = Record<string, string>

function sing(words: readonly string[], environment: Environment = {}) {
  const env = { PATH: process.env.PATH, ...environment }
  return spawnSync(process.execPath, [main, ...words], { env, encoding: 'utf8' })
}

/** The same behind a bit of shell: "$@" is the program. */
function shell(script: string, ...words: string[]) {
  return spawnSync('bash', ['-c', script, 'bash', process.execPath, main, ...words], { encoding: 'utf8' })
}

describe('the version', () => {
  it.each([
    [['version'], 'sing', '0.1.0\n'],
    [['--version'], 'sing', 'sing version 0.1.0\n'],
    [['version'], 'singularity', '4.3.0-sing.0.1.0\n'],
    [['--version'], 'singularity', 'singularity version 4.3.0-sing.0.1.0\n'],
  ])('by %j as %s is %j', (words, name, expected) => {
    expect(sing(words, { SING_CALLED_AS: name })).toMatchObject({ status: 0, stdout: expected, stderr: '' })
  })
})

describe('help', () => {
  it.each([[['help']], [['--help']], [['-h', 'exec']]])('by %j is an answer', (words) => {
    const { status, stdout, stderr } = sing(words)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^ {2}exec {2,}Run a command/m)
  })

  it.each([[['exec', '--help']], [['help', 'exec']], [['exec', '-ch']]])(
    'for a command by %j names its flags',
    (words) => {
      const { status, stdout, stderr } = sing(words)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout).toMatch(/^ {2}-B, --bind /m)
    },
  )

  it('without a command is shown with status 1', () => {
    expect(sing([])).toMatchObject({ status: 1, stdout: expect.stringContaining('Commands:') })
  })

  it('of a group shows its commands', () => {
    expect(sing(['sif'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^ {2}list /m) })
  })

  it('speaks of the name that was used', () => {
    expect(sing(['help'], { SING_CALLED_AS: 'singularity' }).stdout).toContain('singularity help exec')
  })
})

describe('a mistake', () => {
  it.each([
    [['frobnicate'], 'unknown command "frobnicate"'],
    [['help', 'frobnicate'], 'unknown command "frobnicate"'],
    [['exec', '--frobnicate', 'a', 'b'], 'unknown flag: --frobnicate'],
    [['--frobnicate', 'exec', 'a', 'b'], 'unknown flag: --frobnicate'],
    [['exec'], 'needs at least 2 arguments, got 0'],
    [['exec', 'a'], 'needs at least 2 arguments, got 1'],
    [['exec', '--bind'], '--bind needs a value'],
    [['version', 'x'], 'needs no arguments, got 1'],
  ])('such as %j has status 1 and is told on stderr', (words, sentence) => {
    const { status, stdout, stderr } = sing(words)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain(sentence)
    expect(stderr).toContain('Usage:')
  })
})

describe('a failure', () => {
  it.each([
    [['exec', '/none.sif', 'true'], {}, /^FATAL: {3}.*\/none\.sif/],
    [['search', 'x'], {}, /^FATAL: {3}search is not available yet/],
    [['exec', '--nvccli', '/none.sif', 'true'], {}, /^FATAL: {3}--nvccli cannot be used/],
    [['version'], { SINGULARITY_DEBUG: 'yes' }, /^FATAL: {3}the variable SINGULARITY_DEBUG/],
  ] as [string[], Environment, RegExp][])(
    'of %j with %j has status 255 and a reason',
    (words, environment, reason) => {
      const { status, stdout, stderr } = sing(words, environment)
      expect({ status, stdout }).toEqual({ status: 255, stdout: '' })
      expect(stderr).toMatch(reason)
    },
  )

  it('shows where it came from when debugging', () => {
    expect(sing(['--debug', 'exec', '/none.sif', 'true']).stderr).toContain('DEBUG:')
    expect(sing(['exec', '/none.sif', 'true'], { SINGULARITY_MESSAGELEVEL: '5' }).stderr).toContain('DEBUG:')
  })
})

describe('a closed stream', () => {
  it('is no reason to complain', () => {
    const { stdout, stderr } = shell('set -o pipefail; "$@" | true; echo $?', 'help', 'exec')
    expect({ stdout, stderr }).toEqual({ stdout: '141\n', stderr: '' })
  })

  it('does not change the status', () => {
    expect(shell('"$@" 2>&-', 'exec', '/none.sif', 'true').status).toBe(255)
  })
})
