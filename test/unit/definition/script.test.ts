import { describe, expect, it } from 'vitest'
import { distance } from '../../../src/core/suggest.ts'
import { parseLabels } from '../../../src/definition/labels.ts'
import { imageScript, sectionCommand } from '../../../src/definition/script.ts'
import { nearest } from '../../../src/definition/suggest.ts'

const section = (text: string, ...words: string[]) => ({ text, arguments: words, line: 1, lines: [] })

describe('the script file of a section', () => {
  const cases: [string, ReturnType<typeof section>, string][] = [
    ['is run by /bin/sh', section('  echo hi\n\n'), '#!/bin/sh\n\n  echo hi\n'],
    ['keeps its own interpreter', section('\n  #!/bin/sh -x  \necho\n'), '#!/bin/sh -x\n\necho\n'],
    [
      'hands the arguments of the section to the interpreter',
      section('echo\n', '-e', '-u'),
      '#!/bin/sh -e -u\n\necho\n',
    ],
    [
      'does so too with its own interpreter',
      section('#!/bin/sh -x\necho\n', '-e'),
      '#!/bin/sh -x -e\n\necho\n',
    ],
    [
      'is run by the program behind -c',
      section('echo\n', '-c', '/bin/bash', '-l'),
      '#!/bin/bash -l\n\necho\n',
    ],
    ['may be nothing but an interpreter', section('#!/bin/true'), '#!/bin/true\n\n\n'],
    ['may be empty', section(''), '#!/bin/sh\n\n\n'],
    ['has no interpreter further down', section('# x\n#!/bin/bash\n'), '#!/bin/sh\n\n# x\n#!/bin/bash\n'],
  ]
  it.each(cases)('%s', (_what, input, output) => {
    expect(imageScript(input)).toBe(output)
  })
})

describe('the command of a section', () => {
  it('is a shell that stops at the first failure', () => {
    expect(sectionCommand(section('', '-u'))).toEqual(['/bin/sh', '-ex', '-u'])
  })

  it('is what -c says', () => {
    expect(sectionCommand(section('', '-c', '/bin/busybox', 'sh'))).toEqual(['/bin/busybox', 'sh'])
  })
})

describe('labels', () => {
  it('keep the rest of the line as it is', () => {
    expect(parseLabels('  A  b c \n\n# no\nQ "x" # y\nSingle\nK=v\n')).toEqual([
      ['A', 'b c'],
      ['Q', '"x" # y'],
      ['Single', ''],
      ['K=v', ''],
    ])
  })
})

describe('suggestions', () => {
  it('count insertions, deletions, changes and swaps', () => {
    expect(distance('psot', 'post')).toBe(1)
    expect(distance('runscrpt', 'runscript')).toBe(1)
    expect(distance('', 'abc')).toBe(3)
    expect(distance('kitten', 'sitting')).toBe(3)
  })

  it('offer nothing that is far away', () => {
    expect(nearest('xyz', ['post', 'pre'])).toBeUndefined()
    expect(nearest('enviroment', ['environment', 'post'])).toBe('environment')
  })
})
