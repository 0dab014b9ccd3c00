/** Which line of a script runs: cases of traces, and every shell of this machine asked. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Trail } from '../../../src/definition/trail.ts'

function follow(script: readonly string[], output: readonly string[]): number | undefined {
  const trail = new Trail(script.map((line) => `${line}\n`).join(''), '/x.script')
  for (const line of output) trail.push(line)
  return trail.line
}

describe('the line that a trace tells', () => {
  it.each([
    { name: 'nothing yet', script: ['a'], output: [], line: undefined },
    { name: 'a plain command', script: ['true', 'exit 3'], output: ['+ true', '+ exit 3'], line: 2 },
    {
      name: 'the second of two equal ones',
      script: ['make', 'cd x', 'make'],
      output: ['+ make', '+ cd x', '+ make'],
      line: 3,
    },
    {
      name: 'the shorter of two similar ones',
      script: ['make install', 'make'],
      output: ['+ make'],
      line: 2,
    },
    {
      name: 'one with variables',
      script: ['apt-get update', 'apt-get install -y $PACKAGES'],
      output: ['+ apt-get update', '+ apt-get install -y gcc make libc6-dev'],
      line: 2,
    },
    {
      name: 'one whose program is a variable',
      script: ['echo', '$PYTHON setup.py'],
      output: ['+ python3 setup.py'],
      line: 2,
    },
    {
      name: 'the first line of several',
      script: ['true', 'cp \\', '  a \\', '  b'],
      output: ['+ true', '+ cp a b'],
      line: 2,
    },
    {
      name: 'one inside a loop that comes round',
      script: ['for i in 1 2', 'do', '  make $i', '  test $i', 'done'],
      output: ['+ make 1', '+ test 1', '+ make 2'],
      line: 3,
    },
    {
      name: 'one inside a function above',
      script: ['f() {', '  make all', '}', 'echo x', 'f'],
      output: ['+ echo x', '+ f', '+ make all'],
      line: 2,
    },
    {
      name: 'one of a substitution in bash',
      script: ['true', 'x=$(cat /none)'],
      output: ['+ true', '++ cat /none', '+ x='],
      line: 2,
    },
    {
      name: 'one with quotes of the shell',
      script: ['true', '[ "$a" = 1 ]'],
      output: ["+ '[' '' = 1 ']'"],
      line: 2,
    },
    {
      name: 'nothing of other programs',
      script: ['true', 'diff a b'],
      output: ['+ diff a b', '+ something else', '+3'],
      line: 2,
    },
    {
      name: 'nothing once traces are off',
      script: ['true', 'set +x', 'secret'],
      output: ['+ true', '+ set +x'],
      line: undefined,
    },
    {
      name: 'what follows when they are on again',
      script: ['set +x', 'set -x', 'make'],
      output: ['+ set +x', '+ make'],
      line: 3,
    },
  ])('is right for $name', ({ script, output, line }) => {
    expect(follow(script, output)).toBe(line)
  })

  it.each([
    '/x.script: 2: nosuch: not found',
    '/x.script: line 2: nosuch: command not found',
    '  File "/x.script", line 2, in <module>',
    'Died at /x.script line 2.',
    "/x.script:2:in `f': undefined method",
  ])('is the one that the interpreter names: %s', (text) => {
    expect(follow(['a', 'b', 'c'], ['+ a', text])).toBe(2)
  })

  it('goes on behind a complaint that did not end the script', () => {
    expect(follow(['nosuch || true', 'exit 3'], ['/x.script: 1: nosuch: not found', '+ exit 3'])).toBe(2)
  })

  it('is found in time in a script of many equal lines', () => {
    const script = Array.from({ length: 5000 }, () => 'echo x >> /file')
    expect(follow(script, ['+ echo x', '+ echo x'])).toBe(1)
    expect(follow([...script, 'false'], [...script.map(() => '+ echo x'), '+ false'])).toBe(5001)
  })
})

const folder = mkdtempSync(join(tmpdir(), 'sing-trail-'))
afterAll(() => rmSync(folder, { recursive: true }))

const shells = [['dash'], ['bash', '--posix'], ['busybox', 'sh']].filter(
  ([program = '']) => !spawnSync(program, ['-c', ':']).error && program !== '',
)

describe.each(shells)('a script that %s runs', (...shell) => {
  const preamble = ['# one', 'x=a', 'f() {', '  ls / > /dev/null', '  test "$1" != bad', '}', 'f good']
  it.each([
    { name: 'a command', script: ['ls /nowhere'], line: 8 },
    { name: 'an exit', script: ['true', 'exit 3'], line: 9 },
    { name: 'a function', script: ['f bad'], line: 5 },
    { name: 'a loop', script: ['for i in 1 2 3; do', '  echo $i', '  [ $i -lt 2 ]', 'done'], line: 10 },
    { name: 'a pipeline', script: ['echo a |', '  { sleep 0.1; grep b; }'], line: 8 },
    { name: 'a condition', script: ['if [ $x = a ]; then', '  cd /nowhere', 'fi'], line: 9 },
    { name: 'a command over several lines', script: ['true', 'ls \\', '  -l \\', '  /nowhere'], line: 9 },
    { name: 'a program that is not there', script: ['true', 'nosuch $x'], line: 9 },
    { name: 'a mistake of grammar', script: ['true', 'fi'], line: 9 },
    { name: 'a subshell', script: ['( cd /', '  ls nowhere )'], line: 9 },
    {
      name: 'a text of several lines',
      script: ['cat > /dev/null <<END', 'ls /nowhere', 'END', 'cat /nowhere'],
      line: 11,
    },
  ])('is followed to $name that fails', ({ script, line }) => {
    const text = `${[...preamble, ...script].join('\n')}\n`
    const path = join(folder, 'x.script')
    writeFileSync(path, text)
    const [program = '', ...options] = shell
    const { stderr, status } = spawnSync(program, [...options, '-ex', path], { encoding: 'utf8' })
    expect(status).not.toBe(0)
    const trail = new Trail(text, path)
    for (const said of stderr.split('\n')) trail.push(said)
    expect(trail.line).toBe(line)
  })
})
