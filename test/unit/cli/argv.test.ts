/** Which words of a command line are ours and which belong to the container. */

import { describe, expect, it } from 'vitest'
import { checkCount, cutCommand, cutGlobals, parseBoolean, parseInteger } from '../../../src/cli/argv.ts'
import { globalFlags, launchFlags, shellFlags } from '../../../src/cli/options.ts'
import { SingError } from '../../../src/core/errors.ts'

const words = (line: string): string[] => (line === '' ? [] : line.split(' '))
const launch = (line: readonly string[]) =>
  cutCommand(line, [...launchFlags, ...shellFlags], globalFlags, true)
const plain = (line: readonly string[]) => cutCommand(line, launchFlags, globalFlags, false)

function failure(action: () => unknown): SingError {
  try {
    action()
  } catch (error) {
    if (error instanceof SingError) return error
  }
  throw new Error('expected a SingError')
}

describe('a launch', () => {
  it.each([
    ['a.sif ls -l', [], ['a.sif', 'ls', '-l']],
    ['-B /x a.sif ls --nv', ['--bind', '/x'], ['a.sif', 'ls', '--nv']],
    ['-B/x a.sif ls', ['--bind', '/x'], ['a.sif', 'ls']],
    ['-B=/x a.sif ls', ['--bind', '/x'], ['a.sif', 'ls']],
    ['--bind=/x=y a.sif ls', ['--bind', '/x=y'], ['a.sif', 'ls']],
    ['--bind= a.sif ls', ['--bind', ''], ['a.sif', 'ls']],
    ['--bind -B a.sif ls', ['--bind', '-B'], ['a.sif', 'ls']],
    ['-cw a.sif', ['--contain', 'true', '--writable', 'true'], ['a.sif']],
    ['-cpB /x a.sif', ['--contain', 'true', '--pid', 'true', '--bind', '/x'], ['a.sif']],
    ['-cB=/a:/b a.sif', ['--contain', 'true', '--bind', '/a:/b'], ['a.sif']],
    ['-c=false a.sif', ['--contain', 'false'], ['a.sif']],
    ['--contain=0 a.sif', ['--contain', 'false'], ['a.sif']],
    ['--pwd /x a.sif', ['--cwd', '/x'], ['a.sif']],
    ['--tmp-sandbox a.sif', ['--unsquash', 'true'], ['a.sif']],
    ['-s /bin/ash a.sif', ['--shell', '/bin/ash'], ['a.sif']],
    ['-- a.sif ls -- -x', [], ['a.sif', 'ls', '--', '-x']],
    ['a.sif -- ls', [], ['a.sif', '--', 'ls']],
    ['-- -x.sif ls', [], ['-x.sif', 'ls']],
    ['- ls', [], ['-', 'ls']],
    ['a.sif --help', [], ['a.sif', '--help']],
    ['-c', ['--contain', 'true'], []],
  ] as const)('cuts %j', (line, ours, args) => {
    expect(launch(words(line))).toEqual({ ours, args, help: false })
  })

  it('keeps the arguments of the container as they are, empty ones and line ends too', () => {
    const theirs = ['a.sif', 'sh', '', ' b  c ', 'd\ne', '*', '"q"', '\\n', '--bind']
    expect(launch(['-c', ...theirs]).args).toEqual(theirs)
  })

  it('keeps line ends and quotes in a value', () => {
    const ours = ['--env', 'A="x\ny"', '--env', "B='1'"]
    expect(launch(['--env', 'A="x\ny"', "--env=B='1'", 'a.sif']).ours).toEqual(ours)
  })

  it('is asked for help before the image only', () => {
    expect(launch(['-h']).help).toBe(true)
    expect(launch(['--contain', '--help', 'a.sif']).help).toBe(true)
    expect(launch(['--help=false', 'a.sif']).help).toBe(false)
  })
})

describe('another command', () => {
  it('takes its flags anywhere', () => {
    expect(plain(words('a.sif --contain b.def -B /x'))).toEqual({
      ours: ['--contain', 'true', '--bind', '/x'],
      args: ['a.sif', 'b.def'],
      help: false,
    })
  })

  it('takes everything behind -- as arguments', () => {
    expect(plain(words('a -- --contain -- b')).args).toEqual(['a', '--contain', '--', 'b'])
  })

  it('may use -h for a flag of its own', () => {
    const own = [{ name: 'human', short: 'h', kind: 'boolean', help: '' }] as const
    expect(cutCommand(['-h'], own, [], false)).toEqual({ ours: ['--human', 'true'], args: [], help: false })
    expect(cutCommand(['--help'], own, [], false).help).toBe(true)
  })
})

describe('the flags before the command', () => {
  it('end at the command', () => {
    expect(cutGlobals(words('-d --config x exec -c a.sif'), globalFlags)).toEqual({
      globals: ['--debug', 'true', '--config', 'x'],
      help: false,
      version: false,
      rest: ['exec', '-c', 'a.sif'],
    })
  })

  it('include --help and --version', () => {
    expect(cutGlobals(['--version'], globalFlags).version).toBe(true)
    expect(cutGlobals(['-h', 'exec'], globalFlags)).toMatchObject({ help: true, rest: ['exec'] })
  })
})

describe('a command line that cannot be understood', () => {
  it.each([
    ['--frobnicate a.sif', '--frobnicate', undefined],
    ['--binf /x a.sif', '--binf', 'Did you mean --bind?'],
    ['--fake a.sif', '--fake', 'Did you mean --fakeroot?'],
    ['--debug a.sif', '--debug', '--debug is a global option: write it before the command'],
    ['-cX a.sif', '-X in -cX', undefined],
    ['--bind', '--bind', undefined],
    ['-cB', '-B', undefined],
    ['--contain=maybe a.sif', '--contain', undefined],
    ['--pids-limit=many a.sif', '--pids-limit', undefined],
    ['--pids-limit=1e3 a.sif', '--pids-limit', undefined],
    ['--=x a.sif', '--', undefined],
  ])('names what is wrong in %j', (line, part, hint) => {
    const error = failure(() => launch(words(line)))
    expect(error.code).toBe('USAGE')
    expect(error.status).toBe(1)
    expect(error.message).toContain(part)
    expect(error.hint).toBe(hint)
  })

  it('cannot command the terminal', () => {
    expect(failure(() => launch(['--\u001b[2J'])).message).not.toContain('\u001b')
  })

  it.each([
    [[], [1, 1], 'needs 1 argument, got 0'],
    [['a'], [0, 0], 'needs no arguments, got 1'],
    [['a'], [2, Number.POSITIVE_INFINITY], 'needs at least 2 arguments, got 1'],
    [[], [1, Number.POSITIVE_INFINITY], 'needs at least 1 argument, got 0'],
    [['a', 'b', 'c'], [1, 2], 'needs 1 to 2 arguments, got 3'],
  ] as const)('with %j for %j says how many arguments there may be', (args, count, sentence) => {
    expect(failure(() => checkCount(args, count)).message).toBe(sentence)
  })

  it('is none when the number of arguments fits', () => {
    expect(() => checkCount(['a', 'b'], [1, 2])).not.toThrow()
    expect(() => checkCount(['a', 'b', 'c'], [2, Number.POSITIVE_INFINITY])).not.toThrow()
  })
})

describe('values', () => {
  it('are booleans in the spellings of Go', () => {
    for (const word of ['1', 't', 'T', 'TRUE', 'true', 'True']) expect(parseBoolean(word)).toBe(true)
    for (const word of ['0', 'f', 'F', 'FALSE', 'false', 'False']) expect(parseBoolean(word)).toBe(false)
    for (const word of ['yes', 'no', 'on', '', 'tRUE', '2']) expect(parseBoolean(word)).toBeUndefined()
  })

  it('are whole numbers', () => {
    expect(parseInteger('-1')).toBe(-1)
    expect(parseInteger('+12')).toBe(12)
    for (const word of ['', '1.5', '0x10', '1e3', '9007199254740993', 'many'])
      expect(parseInteger(word)).toBeUndefined()
  })
})
