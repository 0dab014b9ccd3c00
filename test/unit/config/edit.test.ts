/** `config set` and `unset` on the text of a YAML file. */

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changed, editText, meaning, word, wordList } from '../../../src/config/edit.ts'
import { parseYaml } from '../../../src/config/yaml.ts'

const set = (text: string, path: string, value: string | string[]): string => {
  const node = typeof value === 'string' ? word(value) : wordList(value)
  return editText(text, parseYaml(text, 'c'), path.split('.'), node)
}
const unset = (text: string, path: string): string =>
  editText(text, parseYaml(text, 'c'), path.split('.'), undefined)

describe('setting a key', () => {
  it.each([
    ['', 'passwd', 'no', 'passwd: no\n'],
    ['# mine\n', 'mount.home', 'no', '# mine\nmount:\n  home: no\n'],
    ['passwd: yes # sure\ngroup: no\n', 'passwd', 'no', 'passwd: no # sure\ngroup: no\n'],
    ['passwd: yes', 'group', 'no', 'passwd: yes\ngroup: no\n'],
    [
      'mount:\n  # why\n  tmp: no\n\ngroup: no\n',
      'mount.home',
      'no',
      'mount:\n  # why\n  tmp: no\n  home: no\n\ngroup: no\n',
    ],
    ['mount:\n    tmp: no\n', 'mount.tmp', 'yes', 'mount:\n    tmp: yes\n'],
    ['mount:\ngroup: no\n', 'mount.home', 'no', 'mount:\n  home: no\ngroup: no\n'],
    ['mount: { tmp: no, dev: yes } # x\n', 'mount.tmp', 'yes', 'mount: { tmp: yes, dev: yes } # x\n'],
    [
      'mount: { tmp: no,\n  dev: yes }\ngroup: no\n',
      'mount.home',
      'no',
      'mount: { tmp: no, dev: yes, home: no }\ngroup: no\n',
    ],
    [
      'launch:\n  bind:\n  - /a\n  # of b\n  - /b\n\n  nv: yes\n',
      'launch.bind',
      ['/c'],
      'launch:\n  bind: [/c]\n\n  nv: yes\n',
    ],
    ['a: |\n  x\n  y\nb: 1\n', 'a', 'z', 'a: z\nb: 1\n'],
  ])('in %j, %s: %j', (text, path, value, expected) => {
    expect(set(text, path, value)).toBe(expected)
  })

  it.each([
    'a b',
    'null',
    '',
    '#x',
    'a: b',
    '[x',
    "it's",
    '"',
    'a\nb',
    '-',
    '~',
    'x:',
    '*a',
    '&b',
    '/a:/b:ro',
    'A=$B',
  ])('writes %j so that it is read as the same', (value) => {
    const text = set('mount: { tmp: no }\n', 'launch.x', [value, value])
    expect(meaning(parseYaml(text, 'c'))).toEqual({ mount: { tmp: 'no' }, launch: { x: [value, value] } })
  })

  it('means the change and nothing else, whatever is written', () => {
    const texts = fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 })
    const paths = fc.constantFrom('a', 'a.b', 'c.d', 'c.e', 'f')
    fc.assert(
      fc.property(fc.array(fc.tuple(paths, texts), { maxLength: 6 }), (steps) => {
        let text = '# top\nc:\n  d: 1 # one\n  # between\n  e: [2]\n\nf: { g: 1 }\n'
        for (const [path, value] of steps) {
          const before = parseYaml(text, 'c')
          const node = value.length > 0 ? wordList(value) : undefined
          text = editText(text, before, path.split('.'), node)
          expect(meaning(parseYaml(text, 'c'))).toEqual(meaning(changed(before, path.split('.'), node)))
        }
      }),
    )
  })
})

describe('unsetting a key', () => {
  it.each([
    ['passwd: no\n# of group\ngroup: no\n', 'passwd', '# of group\ngroup: no\n'],
    ['mount:\n  tmp: no\n  # why\n  home: no\n', 'mount.tmp', 'mount:\n  # why\n  home: no\n'],
    ['# all\nmount:\n  tmp: no\ngroup: no\n', 'mount.tmp', '# all\ngroup: no\n'],
    ['mount: { tmp: no, dev: yes } # x\n', 'mount.tmp', 'mount: { dev: yes } # x\n'],
    ['mount: { tmp: no }\n', 'mount.tmp', ''],
    ['group: no\n', 'mount.tmp', 'group: no\n'],
    ['', 'mount.tmp', ''],
  ])('in %j, %s', (text, path, expected) => {
    expect(unset(text, path)).toBe(expected)
  })
})
