/** `config global` on the text of a `singularity.conf`, and `config fakeroot` on that of /etc/subuid. */

import { describe, expect, it } from 'vitest'
import { confValues, findConfDirective, resetConf, setConf, unsetConf } from '../../../src/config/confedit.ts'
import {
  addRange,
  disableRange,
  enableRange,
  freeRange,
  hasRange,
  removeRange,
} from '../../../src/config/subids.ts'

const text = '# binds\nbind path = /a\nBIND  PATH = /b\n\nmount dev = yes\n# end\n'
const binds = findConfDirective('bind  path')
const dev = findConfDirective('mount dev')

describe('a directive', () => {
  it.each([
    ['bind path', ['/a', '/b']],
    ['Mount Dev', ['yes']],
    ['mount home', ['yes']],
    ['sessiondir max size', ['0']],
    ['always use nv', ['no']],
    ['limit container owners', []],
    ['allow setuid', ['']],
  ])('%s has the value %j', (name, values) => {
    expect(confValues(text, findConfDirective(name))).toEqual(values)
  })

  it('that nobody knows is refused with the nearest', () => {
    expect(() => findConfDirective('bind paht')).toThrow('"bind paht" is no directive')
    expect(() => findConfDirective('constructor')).toThrow('is no directive')
  })

  it('is set in its place', () => {
    expect(setConf(text, dev, 'minimal')).toBe(text.replace('mount dev = yes', 'mount dev = minimal'))
    expect(setConf(text, binds, '/c')).toBe(
      '# binds\nbind path = /a\nbind path = /b\nbind path = /c\n\nmount dev = yes\n# end\n',
    )
    expect(setConf(text, binds, '/a')).toContain('= /b\nbind path = /a\n')
    expect(setConf('', binds, '/c')).toBe(
      'bind path = /etc/localtime\nbind path = /etc/hosts\nbind path = /c\n',
    )
    expect(setConf('# x', findConfDirective('always use nv'), 'yes')).toBe('# x\nalways use nv = yes\n')
    expect(setConf('', findConfDirective('allow setuid'), 'no')).toBe('allow setuid = no\n')
  })

  it('takes only values that it can have', () => {
    expect(() => setConf(text, dev, 'all')).toThrow('mount dev = all: expected yes or no or minimal')
    expect(() => setConf(text, binds, '/a\nmount home = no')).toThrow('bind path = /a\\nmount home = no')
    expect(() => setConf(text, findConfDirective('tmp sandbox'), 'x')).toThrow('expected yes or no')
    expect(() => setConf(text, findConfDirective('allow setuid'), 'a\nb')).toThrow('expected one line')
  })

  it('is unset value by value, or as a whole', () => {
    expect(unsetConf(text, binds, '/a')).toBe('# binds\nbind path = /b\n\nmount dev = yes\n# end\n')
    expect(unsetConf('bind path = /a\n', binds, '/a')).toBe('bind path =\n')
    expect(confValues('bind path =\n', binds)).toEqual([])
    expect(unsetConf(text, dev, undefined)).toBe(text.replace('mount dev = yes\n', ''))
    expect(resetConf(text, binds)).toBe('# binds\n\nmount dev = yes\n# end\n')
    expect(() => unsetConf(text, binds, '/z')).toThrow('bind path has no value "/z"')
    expect(() => unsetConf(text, binds, undefined)).toThrow('has no value ""')
  })
})

describe('a range of subordinate ids', () => {
  const ann = { name: 'ann', uid: 1000 }
  const bob = { name: 'bob', uid: 1001 }
  const given = 'ann:100000:65536\n!1001:4294836224:65536\nodd line\n'

  it('is found by name or number, disabled or not', () => {
    expect(hasRange(given, ann)).toBe(true)
    expect(hasRange(given, bob)).toBe(true)
    expect(hasRange(given, { name: 'odd line', uid: 5 })).toBe(false)
  })

  it('is the highest that nobody has', () => {
    expect(freeRange(['', ''])).toBe(4294836224)
    expect(freeRange([given, 'x:4294770000:1000\n'])).toBe(4294639616)
    expect(freeRange(['x:0:4294967295\n'])).toBeUndefined()
  })

  it('is added once', () => {
    expect(addRange(given, { name: 'eve', uid: 7 }, 65536)).toBe(`${given}7:65536:65536\n`)
    expect(addRange(given, ann, 65536)).toBe(given)
    expect(addRange('', ann, 65536)).toBe('1000:65536:65536\n')
  })

  it('is disabled, enabled and removed', () => {
    expect(disableRange(given, ann)).toBe(`!${given}`)
    expect(disableRange(given, bob)).toBe(given)
    expect(enableRange(given, bob)).toBe(given.replace('!', ''))
    expect(removeRange(given, bob)).toBe('ann:100000:65536\nodd line\n')
  })
})
