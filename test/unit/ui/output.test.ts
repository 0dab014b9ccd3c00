/** What a person sees of a command: lines on standard error, answers on standard output. */

import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pty from '@lydell/node-pty'
import { describe, expect, it } from 'vitest'
import { chooseVerbosity, levels } from '../../../src/ui/report.ts'
import { toColumns } from '../../../src/ui/table.ts'

const source = (path: string): string => fileURLToPath(new URL(`../../../src/${path}`, import.meta.url))

/** Run some code in a process of its own, where standard output and error can be looked at. */
function printed(code: string): { stdout: string; stderr: string; status: number | null } {
  const program = `
    import { createReport, reportFatal } from '${source('ui/report.ts')}'
    import { writeAnswer } from '${source('ui/output.ts')}'
    import { SingError } from '${source('core/errors.ts')}'
    ${code}`
  return spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
}

const report = (level: number) => `const report = createReport({ level: ${level}, colour: true }, () => clock)
  let clock = 0`
const everyKind = `for (const kind of ['error', 'warning', 'info', 'verbose', 'debug']) report({ kind, text: 'text' })`

describe('a line on standard error', () => {
  it('begins with the prefix that scripts look for', () => {
    const { stdout, stderr } = printed(`${report(5)}\n${everyKind}`)
    expect(stdout).toBe('')
    expect(stderr).toBe('ERROR:   text\nWARNING: text\nINFO:    text\nVERBOSE: text\nDEBUG:   text\n')
  })

  it.each([
    [levels.error, 'ERROR:   text\n'],
    [levels.warning, 'ERROR:   text\nWARNING: text\n'],
    [levels.info, 'ERROR:   text\nWARNING: text\nINFO:    text\n'],
    [levels.verbose, 'ERROR:   text\nWARNING: text\nINFO:    text\nVERBOSE: text\n'],
  ])('is told from level %d as far as it matters', (level, expected) => {
    expect(printed(`${report(level)}\n${everyKind}`).stderr).toBe(expected)
  })

  it('cannot command the terminal', () => {
    const { stderr } = printed(`${report(1)}\nreport({ kind: 'info', text: 'a\\u001b[2Jb\\nc\\r' })`)
    expect(stderr).toBe('INFO:    a\\x1b[2Jb\n         c\\x0d\n')
  })

  it('tells work once when it takes longer than a second', () => {
    const work = `report({ kind: 'started', task: 'a', label: 'Packing', total: 10 })
      clock = 500; report({ kind: 'advanced', task: 'a', done: 1 })
      clock = 1500; report({ kind: 'advanced', task: 'a', done: 2 }); report({ kind: 'advanced', task: 'a', done: 3 })
      report({ kind: 'finished', task: 'a', text: 'Packed' })
      report({ kind: 'advanced', task: 'a', done: 9 })`
    expect(printed(`${report(1)}\n${work}`).stderr).toBe('INFO:    Packing\nINFO:    Packed\n')
  })

  it('tells nothing of a part of the work', () => {
    const work = `report({ kind: 'started', task: 'a', label: 'Layer 1', isPart: true })
      clock = 1500; report({ kind: 'advanced', task: 'a', done: 1 }); report({ kind: 'finished', task: 'a' })`
    expect(printed(`${report(1)}\n${work}`).stderr).toBe('')
  })
})

describe('progress on a terminal', () => {
  /** What a terminal of this size receives. */
  async function drawn(code: string, cols = 40, rows = 5): Promise<string> {
    const program = `
      import { createReport } from '${source('ui/report.ts')}'
      ${report(1)}
      const tell = (kind, task, more) => report({ kind, task, ...more })
      ${code}`
    const terminal = pty.spawn(process.execPath, ['--input-type=module', '-e', program], { cols, rows })
    let text = ''
    terminal.onData((data) => {
      text += data
    })
    await new Promise<void>((resolve) => terminal.onExit(() => resolve()))
    return text.replaceAll('\r\n', '\n')
  }
  const begin = (...names: string[]) =>
    names
      .map((name) => `clock += 100; tell('started', '${name}', { label: '${name}', total: 10 })`)
      .join('\n')

  it('has a line for each task, which takes the place of the one before', async () => {
    const text = await drawn(`${begin('a', 'b')}
      clock += 100; tell('advanced', 'b', { done: 5 })
      tell('finished', 'a'); tell('advanced', 'b', { done: 9 }); tell('finished', 'b', { text: 'done' })`)
    expect(text).toBe(
      'a: 0% of 10' +
        '\r\u001b[Ja: 0% of 10\nb: 0% of 10' +
        '\r\u001b[1A\u001b[Ja: 0% of 10\nb: 50% of 10' +
        '\r\u001b[1A\u001b[Jb: 90% of 10' +
        '\r\u001b[J\u001b[34mINFO:    \u001b[0mdone\n',
    )
  })

  it('gives way to a message and comes back below it', async () => {
    const text = await drawn(`${begin('a')}
      report({ kind: 'warning', text: 'look' }); clock += 100; tell('advanced', 'a', { done: 1 })`)
    expect(text).toBe('a: 0% of 10\r\u001b[J\u001b[33mWARNING: \u001b[0mlook\na: 10% of 10')
  })

  it('stays within the terminal', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => name.repeat(50))
    const text = await drawn(begin(...names))
    const last = text.slice(text.lastIndexOf('\u001b[J') + 3).split('\n')
    expect(last).toEqual(names.slice(0, 4).map((name) => name.slice(0, 39)))
  })
})

describe('a failure', () => {
  const fatal = (level: number, error: string) =>
    printed(`reportFatal(${error}, { level: ${level}, colour: false })`).stderr

  it('is told with what to do about it, also to the silent', () => {
    const error = `new SingError('IO', 'cannot do it', { hint: 'Do this\\nor that' })`
    expect(fatal(levels.error, error)).toBe('FATAL:   cannot do it\n         Do this\n         or that\n')
  })

  it('shows its causes when debugging', () => {
    const text = fatal(
      levels.debug,
      `new SingError('IO', 'cannot do it', { cause: new Error('the disk is gone') })`,
    )
    expect(text).toContain('DEBUG:   caused by Error: the disk is gone')
  })

  it('of the program itself asks for a report', () => {
    expect(fatal(1, `new TypeError('x is not a function')`)).toMatch(
      /^FATAL: {3}an error inside.*\n {9}.*--debug/,
    )
  })
})

describe('verbosity', () => {
  const none = { debug: false, verbose: false, quiet: false, silent: false, nocolor: false }

  it('comes from flags first, the most telling one', () => {
    const level = (options: object, environment = {}) =>
      chooseVerbosity({ ...none, ...options }, environment).level
    expect(level({})).toBe(levels.info)
    expect(level({ debug: true, silent: true })).toBe(levels.debug)
    expect(level({ quiet: true }, { SINGULARITY_MESSAGELEVEL: '5' })).toBe(levels.warning)
    expect(level({ silent: true, quiet: true })).toBe(levels.error)
  })

  it('comes from the variables of the peers next', () => {
    const level = (environment: Record<string, string>) => chooseVerbosity(none, environment).level
    expect(level({ SINGULARITY_MESSAGELEVEL: '5' })).toBe(5)
    expect(level({ APPTAINER_MESSAGELEVEL: '-4', SINGULARITY_MESSAGELEVEL: '5' })).toBe(-4)
    expect(level({ SINGULARITY_MESSAGELEVEL: 'x' })).toBe(levels.info)
  })

  it('leaves colours out when asked', () => {
    expect(chooseVerbosity(none, {}).colour).toBe(true)
    expect(chooseVerbosity({ ...none, nocolor: true }, {}).colour).toBe(false)
    expect(chooseVerbosity(none, { NO_COLOR: '1' }).colour).toBe(false)
  })
})

describe('an answer', () => {
  it('is complete however large it is and however slowly it is read', async () => {
    const code = `import { writeAnswer } from '${source('ui/output.ts')}'
      writeAnswer('x'.repeat(3_000_000)); process.exit(0)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let length = 0
    for await (const bytes of child.stdout) length += bytes.length
    expect(length).toBe(3_000_000)
  })

  it('that cannot be written is an error with its reason', () => {
    const code = `import { writeAnswer } from '${source('ui/output.ts')}'
      try { writeAnswer('x') } catch (error) { process.stderr.write(error.message) }`
    const command = '"$0" --input-type=module -e "$1" >/dev/full'
    const { stderr } = spawnSync('sh', ['-c', command, process.execPath, code], { encoding: 'utf8' })
    expect(stderr).toBe('cannot write to standard output: no space left on device')
  })
})

describe('a table', () => {
  it('has aligned columns and no blanks at line ends', () => {
    expect(
      toColumns([
        ['ID', 'NAME'],
        ['1', 'größe'],
        ['100', ''],
      ]),
    ).toBe('ID    NAME\n1     größe\n100\n')
    expect(toColumns([])).toBe('')
  })

  it('cannot command the terminal', () => {
    expect(toColumns([['\u001b[2J']])).toBe('\\x1b[2J\n')
  })
})
