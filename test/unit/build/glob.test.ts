import { describe, expect, it } from 'vitest'
import { expandBraces } from '../../../src/build/braces.ts'
import { expandPattern, expandVariables, type Surroundings } from '../../../src/build/glob.ts'

/** A world of files given by their paths. */
function world(...paths: string[]): Surroundings {
  const entries = new Set(
    paths.flatMap((path) => path.split('/').map((_, end, all) => all.slice(0, end + 1).join('/'))),
  )
  return {
    variable: (name) => ({ HOME: '/home/jane', STAR: 'a*', EMPTY: '' })[name],
    exists: (path) => entries.has(path.replace(/\/$/, '')),
    list: (directory) =>
      [...entries]
        .filter((entry) => entry.startsWith(directory) && !entry.slice(directory.length).includes('/'))
        .map((entry) => entry.slice(directory.length))
        .filter((name) => name !== ''),
  }
}

describe('wildcards', () => {
  const files = world(
    'src/a1',
    'src/a2',
    'src/b1',
    'src/.hidden',
    'src/sub/a3',
    'src/a*',
    'src/über',
    'src/x]',
    '/etc/a',
  )
  const cases: [string, string[]][] = [
    ['src/a?', ['src/a*', 'src/a1', 'src/a2']],
    ['src/*', ['src/a*', 'src/a1', 'src/a2', 'src/b1', 'src/sub', 'src/x]', 'src/über']],
    ['src/.*', ['src/.hidden']],
    ['src/a\\*', ['src/a*']],
    ['src/[ab]1', ['src/a1', 'src/b1']],
    ['src/[!a]1', ['src/b1']],
    ['src/[^a]1', ['src/b1']],
    ['src/[a-b][0-9]', ['src/a1', 'src/a2', 'src/b1']],
    ['src/[[:alpha:]][[:digit:]]', ['src/a1', 'src/a2', 'src/b1']],
    ['src/x[]]', ['src/x]']],
    ['src/[a', ['src/[a']],
    ['src/?ber', ['src/über']],
    ['*/*/a*', ['src/sub/a3']],
    ['src/*/a3', ['src/sub/a3']],
    ['src/*/none', []],
    ['none/*', []],
    ['none', ['none']],
    ['/e*/a', ['/etc/a']],
    ['src/s*/', ['src/sub/']],
    ['src/*1', ['src/a1', 'src/b1']],
    ['src/{b,a}1', ['src/b1', 'src/a1']],
    ['src/{a?,none}', ['src/a*', 'src/a1', 'src/a2', 'src/none']],
  ]
  it.each(cases)('%s', (pattern, paths) => {
    expect(expandPattern(pattern, files)).toEqual(paths)
  })

  it('are matched in no time however many stars there are', () => {
    const name = `${'a'.repeat(250)}b`
    const pattern = `${'*a'.repeat(100)}c`
    expect(expandPattern(pattern, world(name))).toEqual([])
  })

  it('of a length out of proportion are refused', () => {
    expect(() => expandPattern('*'.repeat(10_000), world())).toThrow('longer than 8192')
  })
})

describe('variables in patterns', () => {
  const expand = (pattern: string) => expandVariables(pattern, world().variable)

  it('are put in as plain text', () => {
    expect(expand('$HOME/x')).toBe('/home/jane/x')
    expect(expand(`\${HOME}x/*`)).toBe('/home/janex/*')
    expect(expand('~/x')).toBe('/home/jane/x')
    expect(expand('$STAR')).toBe('a\\*')
    expect(expand(`a\${EMPTY}b`)).toBe('ab')
  })

  it('can be escaped', () => {
    expect(expand('\\$HOME/\\~ $ ')).toBe('\\$HOME/\\~ $ ')
    expect(expand('a~/x')).toBe('a~/x')
  })

  it('must be set', () => {
    expect(() => expand('$NOPE/x')).toThrow('the variable NOPE is not set')
  })

  it('are no commands', () => {
    expect(() => expand('$(id)')).toThrow('commands are not run')
  })
})

describe('braces', () => {
  const cases: [string, string[]][] = [
    ['a', ['a']],
    ['a{b,c}d', ['abd', 'acd']],
    ['{a,b}{c,d}', ['ac', 'ad', 'bc', 'bd']],
    ['{a,{b,c}d}e', ['ae', 'bde', 'cde']],
    ['{a,}', ['a', '']],
    ['{a}', ['{a}']],
    ['{}', ['{}']],
    ['{a,b', ['{a,b']],
    ['a,b}', ['a,b}']],
    ['\\{a,b}', ['\\{a,b}']],
    ['{a\\,b,c}', ['a\\,b', 'c']],
    [`\${a,b}`, [`\${a,b}`]],
    ['{1..3}', ['1', '2', '3']],
    ['{3..1}', ['3', '2', '1']],
    ['{08..10}', ['08', '09', '10']],
    ['{-1..1}', ['-1', '0', '1']],
    ['{1..10..4}', ['1', '5', '9']],
    ['{a..e..2}', ['a', 'c', 'e']],
    ['{1..a}', ['{1..a}']],
    ['{{1..2},x}', ['1', '2', 'x']],
  ]
  it.each(cases)('%s', (pattern, words) => {
    expect(expandBraces(pattern)).toEqual(words)
  })

  it('stand for a bounded number of words', () => {
    expect(() => expandBraces('{1..999999999}')).toThrow('more than 4096')
    expect(() => expandBraces('{a,b}'.repeat(30))).toThrow('more than 4096')
    expect(expandBraces('{'.repeat(8000))).toEqual(['{'.repeat(8000)])
    expect(expandBraces(`${'{a,'.repeat(2000)}b${'}'.repeat(2000)}`)).toHaveLength(2001)
  })
})
