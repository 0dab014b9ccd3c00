/** What a person sees of the steps of a build, on a terminal and elsewhere. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pty from '@lydell/node-pty'
import { describe, expect, it } from 'vitest'
import { stepLine } from '../../../src/ui/steps.ts'

const source = fileURLToPath(new URL('../../../src/ui/steps.ts', import.meta.url))

function program(code: string, level = 1): string {
  return `
    import { createStepReport } from '${source}'
    let clock = 0
    const report = createStepReport({ level: ${level}, colour: false }, () => clock)
    const step = (state, number = 2, title = '%post') => report({ kind: 'step', number, total: 5, title, state })
    const say = (text, stream = 'stderr') => report({ kind: 'output', stream, bytes: Buffer.from(text) })
    ${code}
    process.exit(0)`
}

/** What the two streams get where no terminal is. */
function written(code: string, level?: number): { stdout: string; stderr: string } {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', program(code, level)],
    { encoding: 'latin1' },
  )
  return { stdout, stderr }
}

/** What stays on a terminal once everything that is drawn in place has gone, and what was drawn on the way. */
async function drawn(code: string, level?: number): Promise<{ stays: string; all: string }> {
  const args = ['--input-type=module', '-e', program(code, level)]
  const terminal = pty.spawn(process.execPath, args, { cols: 60, rows: 12 })
  let all = ''
  terminal.onData((data) => {
    all += data
  })
  await new Promise<void>((resolve) => terminal.onExit(() => resolve()))
  let stays = ''
  for (const piece of all.replaceAll('\r\n', '\n').split(/(\r(?:\u001b\[\d+A)?\u001b\[J)/)) {
    const erasure = /^\r(?:\u001b\[(\d+)A)?\u001b\[J$/.exec(piece)
    if (!erasure) stays += piece
    else
      stays = stays
        .split('\n')
        .slice(0, -1 - Number(erasure[1] ?? 0))
        .map((line) => `${line}\n`)
        .join('')
  }
  return { stays, all }
}

describe('the line of a step', () => {
  const step = { number: 2, total: 5, title: '%post' }
  it.each([
    ['begun', 0, '[2/5] %post'],
    ['cached', 0, '[2/5] %post  cached'],
    ['done', 40, '[2/5] %post  0.0 s'],
    ['done', 12_345, '[2/5] %post  12.3 s'],
    ['failed', 125_000, '[2/5] %post  failed after 2 min 05 s'],
    ['done', 3_720_000, '[2/5] %post  1 h 02 min'],
  ] as const)('that is %s after %d ms', (state, time, line) => {
    expect(stepLine(step, state, time)).toBe(line)
  })

  it('cannot command the terminal', () => {
    expect(stepLine({ ...step, title: 'docker \u001b[2J' }, 'cached', 0)).toBe(
      '[2/5] docker \\x1b[2J  cached',
    )
  })
})

describe('the steps in a file', () => {
  it('are said before their output, which stays as it is', () => {
    const { stdout, stderr } = written(`step('cached', 1, 'base'); step('begun')
      say('a\\rb \\u001b[2J', 'stdout'); say('+ x\\n'); report({ kind: 'output', stream: 'stdout', bytes: Uint8Array.of(255, 10) })
      clock = 12345; step('done'); step('begun', 3, '%files'); step('failed', 3, '%files')`)
    expect(stdout).toBe('a\rb \u001b[2J\u00ff\n')
    expect(stderr).toBe(
      '[1/5] base  cached\n[2/5] %post\n+ x\n[2/5] %post  12.3 s\n[3/5] %files  failed after 0.0 s\n',
    )
  })

  it('are said when they let people wait', () => {
    const wait =
      'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); await new Promise(setImmediate)'
    const { stderr } = written(`step('begun'); ${wait}; clock = 1500; ${wait}`)
    expect(stderr).toBe('[2/5] %post\n')
  })

  it('are said no more when they turned out to be known', () => {
    const wait =
      'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300); await new Promise(setImmediate)'
    const { stderr } = written(`step('begun'); step('cached'); clock = 1500; ${wait}; ${wait}`)
    expect(stderr).toBe('[2/5] %post  cached\n')
  })

  it('are not said to the quiet, and the output is', () => {
    const { stdout, stderr } = written(
      `step('cached', 1); step('begun'); say('a', 'stdout'); say('b'); step('done')`,
      -2,
    )
    expect({ stdout, stderr }).toEqual({ stdout: 'a', stderr: 'b' })
  })

  it('go on when nobody reads any more', () => {
    const command = '"$0" --input-type=module -e "$1" >/dev/full'
    const code = program(`step('begun'); say('a', 'stdout'); say('b\\n'); step('done')`)
    const { stderr, status } = spawnSync('sh', ['-c', command, process.execPath, code], { encoding: 'utf8' })
    expect(stderr).toBe('[2/5] %post\nb\n[2/5] %post  0.0 s\n')
    expect(status).toBe(0)
  })
})

describe('the steps on a terminal', () => {
  it('have their lines behind their number', async () => {
    const { stays } = await drawn(
      `step('begun'); say('one\\ntw'); say('o', 'stdout'); say('o\\n'); step('done')`,
    )
    expect(stays).toBe('[2/5] %post\n[2/5] one\n[2/5] two\n[2/5] o\n[2/5] %post  0.0 s\n')
  })

  it('show the time, and a line that is not whole, below what stays', async () => {
    const { stays, all } = await drawn(
      `step('begun'); say('10%\\r20%\\r'); clock = 5000; say('30%\\r'); say('done\\n'); step('done')`,
    )
    expect(all).toContain('[2/5] 20%\r\n[2/5] %post  0.0 s')
    expect(all).toContain('[2/5] 30%\r\n[2/5] %post  5.0 s')
    expect(stays).toBe('[2/5] %post\n[2/5] done\n[2/5] %post  5.0 s\n')
  })

  it('let no program move the cursor', async () => {
    const { all } = await drawn(
      `step('begun'); say('\\u001b[10Aup\\u001b[2J\\u001b[31mred\\n'); step('done')`,
    )
    expect(all).toContain('[2/5] upred\r\n')
  })

  it('show progress and warnings of a step in their places', async () => {
    const { stays, all } = await drawn(`step('begun', 1, 'docker x')
      report({ kind: 'started', task: 't', label: 'Layers', total: 10 })
      report({ kind: 'warning', text: 'look' }); clock = 200; report({ kind: 'advanced', task: 't', done: 5 })
      report({ kind: 'finished', task: 't' }); step('done', 1, 'docker x')`)
    expect(all).toContain('[1/5] docker x  0.2 s\r\nLayers: 50% of 10')
    expect(stays).toBe('WARNING: look\n[1/5] docker x  0.2 s\n')
  })

  it('are not seen by the quiet', async () => {
    expect((await drawn(`step('begun'); say('a\\n'); step('done')`, -2)).all).toBe('a\r\n')
  })
})
