/** A person at a terminal who answers questions. */

import { spawn } from '@lydell/node-pty'
import { commandLine, environment, program } from './sing.ts'

export type Turn = {
  /** What is waited for, as it stands behind everything that was read before. */
  readonly question: string
  /** Without the end of the line; undefined: Ctrl-C. */
  readonly answer?: string | undefined
}

export type Talk = { readonly status: number; readonly output: string; readonly pid: number }

/** Run `sing` at a terminal of its own and answer its questions in turn. `during` is called before the first answer. */
export async function talk(
  args: readonly string[],
  turns: readonly Turn[],
  { env, during }: { env?: Record<string, string>; during?: (pid: number) => Promise<void> } = {},
): Promise<Talk> {
  const [file = '', ...rest] = commandLine([program, ...args])
  const terminal = spawn(file, rest, { env: environment({ env: env ?? {} }), cwd: '/', cols: 200 })
  let output = ''
  let read = 0
  let arrived = Promise.withResolvers<void>()
  let isOver = false
  terminal.onData((data) => {
    output += data
    arrived.resolve()
  })
  const ended = new Promise<number>((resolve) => {
    terminal.onExit(({ exitCode, signal }) => {
      isOver = true
      arrived.resolve()
      resolve(signal ? 128 + signal : exitCode)
    })
  })
  const waitFor = async (question: string): Promise<void> => {
    for (;;) {
      const at = output.indexOf(question, read)
      if (at >= 0) {
        read = at + question.length
        return
      }
      if (isOver) throw new Error(`it ended without asking "${question}":\n${output}`)
      arrived = Promise.withResolvers<void>()
      await arrived.promise
    }
  }
  for (const [index, { question, answer }] of turns.entries()) {
    await waitFor(question)
    if (index === 0) await during?.(terminal.pid)
    terminal.write(answer === undefined ? '\u0003' : `${answer}\r`)
  }
  return { status: await ended, output, pid: terminal.pid }
}
