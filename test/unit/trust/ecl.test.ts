/** Execution control lists: what they may say, which rule is about an image, and what it makes of signatures. */

import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { readRule, ruleText } from '../../../src/config/signers.ts'
import { objection, readExecutionList, ruleFor } from '../../../src/trust/ecl.ts'

const [A, B, C] = ['A', 'B', 'C'].map((letter) => letter.repeat(40)) as [string, string, string]
const read = (text: string) => readExecutionList(parse(text), 'ecl.toml')
const group = (text: string) => `activated = true\n[[execgroup]]\n${text}`

describe('an ecl.toml', () => {
  it('that is not activated holds no list', () => {
    expect(read('')).toBeUndefined()
    expect(read(group(`mode = "nonsense"`).replace('true', 'false'))).toBeUndefined()
  })

  it('is read as the peers read it', () => {
    const text = `activated = true
legacyinsecure = true
[[execgroup]]
  tagname = "group1"
  mode = "whitestrict"
  dirpath = "/var/cache/containers"
  keyfp = ["${A.toLowerCase()}", "${B}"]
[[execgroup]]
  mode = "blacklist"
`
    expect(read(text)).toEqual({
      file: 'ecl.toml',
      legacy: true,
      rules: [
        { mode: 'whitestrict', directory: '/var/cache/containers', below: false, fingerprints: [A, B] },
        { mode: 'blacklist', directory: undefined, below: false, fingerprints: [] },
      ],
    })
  })

  it.each([
    ['activated = 1', 'ecl.toml: activated: expected true or false'],
    ['Activated = true', 'ecl.toml: unknown key Activated; known are activated, legacyinsecure, execgroup'],
    ['activated = true\nexecgroup = 3', 'execgroup: expected [[execgroup]]'],
    ['activated = true\nexecgroup = [3]', 'execgroup: expected tables, [[execgroup]]'],
    [
      group('tagname = "g"\nmode = "white"'),
      'execgroup g: mode: expected whitelist, whitestrict or blacklist, got "white"',
    ],
    [group(''), 'execgroup 1: mode: expected whitelist, whitestrict or blacklist, got ""'],
    [
      group('mode = "whitelist"\nkeyfps = []'),
      'execgroup 1: unknown key keyfps; known are tagname, mode, dirpath, keyfp',
    ],
    [
      group('mode = "whitelist"\nkeyfp = ["AB"]'),
      'keyfp: expected fingerprints of 40 hexadecimal digits, got AB',
    ],
    [group('mode = "whitelist"\nkeyfp = "AB"'), 'keyfp: expected fingerprints of 40 hexadecimal digits'],
    [
      group('mode = "whitelist"\ndirpath = "a"'),
      'dirpath: expected an absolute path without . and .., got a',
    ],
    [group('mode = "whitelist"\ndirpath = "/a/../b"'), 'dirpath: expected an absolute path without'],
    [group('mode = "whitelist"\ndirpath = "/a/"'), 'dirpath: expected an absolute path without'],
    [group('mode = "whitelist"\ndirpath = 1'), 'dirpath: expected a text'],
    [
      group('mode = "whitelist"\ndirpath = "/a"\n[[execgroup]]\nmode = "blacklist"\ndirpath = "/a"'),
      'two rules are about /a',
    ],
    [
      group('mode = "whitelist"\n[[execgroup]]\nmode = "blacklist"\n'),
      'two rules are about all other directories',
    ],
  ])('%j is refused', (text, sentence) => {
    expect(() => read(text)).toThrow(sentence)
  })
})

describe('a rule of the site configuration', () => {
  it.each([
    [
      `whitelist /srv/images ${A} ${B}`,
      { mode: 'whitelist', directory: '/srv/images', below: true, fingerprints: [A, B] },
    ],
    [
      `blacklist 0x${A.toLowerCase()}`,
      { mode: 'blacklist', directory: undefined, below: true, fingerprints: [A] },
    ],
  ])('%s is read and written', (text, rule) => {
    expect(readRule(text)).toEqual(rule)
    expect(readRule(ruleText(rule as never))).toEqual(rule)
  })

  it.each([
    '',
    'whitelist',
    'whitelist /srv',
    `white /srv ${A}`,
    `whitelist srv ${A}`,
    `whitelist /srv/../x ${A}`,
    `whitelist /srv ${A} AB`,
    `whitelist /srv /data ${A}`,
  ])('%j is none', (text) => {
    expect(readRule(text)).toBeUndefined()
  })
})

describe('the rule about an image', () => {
  const rule = (text: string, below: boolean) => ({ ...readRule(text), below }) as never
  const exact = { rules: [rule(`whitelist /a ${A}`, false), rule(`whitelist /a/b ${B}`, false)] }
  const wide = { rules: [rule(`whitelist / ${A}`, true), rule(`whitelist /a/b ${B}`, true)] }
  const other = { rules: [...exact.rules, rule(`blacklist ${C}`, false)] }

  it.each([
    ['/a', exact, '/a'],
    ['/a/b', exact, '/a/b'],
    ['/a/b/c', exact, undefined],
    ['/ab', wide, '/'],
    ['/a/b/c', wide, '/a/b'],
    ['/a/bc', wide, '/'],
    ['/c', other, undefined],
  ])('in %s', (place, list, directory) => {
    expect(ruleFor(place, list)?.directory).toBe(directory)
  })

  it('is the one for all others where there is one', () => {
    expect(ruleFor('/c', other)?.mode).toBe('blacklist')
    expect(ruleFor('/c', exact)).toBeUndefined()
  })
})

describe('signatures and a rule', () => {
  const signed = (parts: string[][], named: string[] = parts.flat()) => ({
    parts: parts.map((signers) => new Set(signers)),
    named: new Set(named),
  })

  it.each([
    ['whitelist', [A, B], signed([[A]]), undefined],
    ['whitelist', [A, B], signed([[B, C]]), undefined],
    ['whitelist', [A, B], signed([[C]]), `it is not signed by any of ${A}, ${B}`],
    // One signer of all parts, not one of each.
    ['whitelist', [A, B], signed([[A], [B]]), `it is not signed by any of ${A}, ${B}`],
    ['whitelist', [A, B], signed([[A, C], [A]]), undefined],
    ['whitelist', [], signed([[A]]), 'it is not signed by any of '],
    ['whitelist', [A], signed([]), `it is not signed by any of ${A}`],
    // Named, and not valid.
    ['whitelist', [A], signed([[B]], [A, B]), `it is not signed by any of ${A}`],
    ['whitestrict', [A, B], signed([[A]]), `it is not signed by ${B}`],
    ['whitestrict', [A, B], signed([[A, B]]), undefined],
    ['whitestrict', [A, B], signed([[A, B], [A]]), `it is not signed by ${B}`],
    ['whitestrict', [], signed([[A]]), undefined],
    ['blacklist', [A], signed([[B]]), undefined],
    ['blacklist', [A], signed([[A, B]]), `it is signed by ${A}`],
    // Whom a signature names counts here, whether it is valid or not.
    ['blacklist', [A], signed([[B]], [A, B]), `it is signed by ${A}`],
    ['blacklist', [A], signed([[B], [A]]), `it is signed by ${A}`],
  ] as const)('%s of %j with %j', (mode, fingerprints, signatures, reason) => {
    expect(objection({ mode, directory: undefined, below: false, fingerprints }, signatures)).toBe(reason)
  })
})
