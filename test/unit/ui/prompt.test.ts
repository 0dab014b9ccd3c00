/** Questions at a terminal, answered by somebody who types. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pty from '@lydell/node-pty'
import { describe, expect, it } from 'vitest'

const prompt = fileURLToPath(new URL('../../../src/ui/prompt.ts', import.meta.url))

const program = (question: string): string[] => [
  '--input-type=module',
  '-e',
  `import { askPassphrase, confirm, Conversation } from '${prompt}'
  const text = await ${question}.then((value) => 'got ' + JSON.stringify(value), (error) => error.status + ' ' + error.message)
  process.stdout.write('<' + text + '>'); process.exit(0)`,
]

/** Answer each question when it appears; everything that the terminal showed. */
function answeredOneByOne(question: string, answers: Readonly<Record<string, string>>): Promise<string> {
  const terminal = pty.spawn(process.execPath, program(question), { cols: 200 })
  let shown = ''
  const open = Object.entries(answers)
  return new Promise((resolve) => {
    terminal.onData((text) => {
      shown += text
      const [next] = open
      if (!next || !shown.includes(next[0])) return
      open.shift()
      terminal.write(next[1])
    })
    terminal.onExit(() => resolve(shown))
  })
}

/** Answer the question when it appears; everything that the terminal showed. */
const answered = (question: string, typed: string): Promise<string> =>
  answeredOneByOne(question, { '?': typed })

describe('a question', () => {
  it.each([
    ['y\r', true],
    ['Yes\r', true],
    ['n\r', false],
    ['\r', false],
    ['yeah\r', false],
    ['\u0004', false],
  ])('answered with %j is %j', async (typed, expected) => {
    expect(await answered(`confirm('Overwrite it?')`, typed)).toContain(`<got ${expected}>`)
  })

  it('is an error without a terminal', () => {
    const { stdout } = spawnSync(
      'setsid',
      ['--wait', process.execPath, ...program(`confirm('Overwrite it?')`)],
      {
        encoding: 'utf8',
      },
    )
    expect(stdout).toBe('<255 cannot ask "Overwrite it?": there is no terminal>')
  })
})

describe('a passphrase', () => {
  it('is not shown', async () => {
    const shown = await answered(`askPassphrase('Passphrase?').then((text) => text.length)`, 'secret\r')
    expect(shown).toContain('<got 6>')
    expect(shown).not.toContain('secret')
  })

  it('can be corrected while it is typed', async () => {
    expect(await answered(`askPassphrase('Passphrase?')`, 'aäx\u007f\u007fb\r')).toContain('<got "ab">')
  })

  it('can be given up', async () => {
    expect(await answered(`askPassphrase('Passphrase?')`, 'abc\u0003')).toContain('<130 interrupted>')
  })
})

describe('a conversation', () => {
  it.each(['line', 'secret'])('is given up at the end of input: %s', async (kind) => {
    const question = `(async () => {
      using conversation = new Conversation()
      return await conversation.${kind}('Name? ')
    })()`
    expect(await answered(question, '\u0004')).toContain('<130 interrupted>')
  })

  it.each(['alice\rsecret\r', 'alice\nsecret\n'])(
    'asks several questions, also of who types ahead: %j',
    async (typed) => {
      const question = `(async () => {
      using conversation = new Conversation()
      return [await conversation.line('Name? '), await conversation.secret('Password? ')]
    })()`
      expect(await answered(question, typed)).toContain('<got ["alice","secret"]>')
    },
  )

  it('leaves what is typed for others to them', async () => {
    const question = `(async () => {
      const { spawn } = await import('node:child_process')
      const first = await askPassphrase('First?')
      process.stdout.write('Child?')
      const child = spawn('head', ['-n1'], { stdio: ['inherit', 'pipe', 'inherit'] })
      const words = await child.stdout.toArray()
      return [first, String(words).trim(), await askPassphrase('Second?')]
    })()`
    const answers = { 'First?': 'one\r', 'Child?': 'two\r', 'Second?': 'three\r' }
    expect(await answeredOneByOne(question, answers)).toContain('<got ["one","two","three"]>')
  })
})
