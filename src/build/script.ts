/** Running a script of a build, heard: what it writes is told as it comes, and when it fails the message says where. */

import { SingError, shown } from '../core/errors.ts'
import { LineReader, settledLine } from '../core/lines.ts'
import { Trail } from '../definition/trail.ts'
import type { Hear } from '../runtime/output.ts'
import type { BuildTools } from './request.ts'

/** As many of the last lines are told again. */
const lastLines = 20
/** Characters of each. */
const widest = 500

export type Script = {
  /** What it is called: `%post`, `RUN make`. */
  readonly title: string
  readonly text: string
  /** Its file, as the program that runs it knows it. */
  readonly path: string
  /** The file of the definition, for messages. */
  readonly definition: string
  /** Its line there, and that of each line of the text: see `Section`. */
  readonly line: number
  readonly lines: readonly number[]
}

export type ScriptTools = Pick<BuildTools, 'report' | 'signal'> & {
  readonly request: Pick<BuildTools['request'], 'onError'>
}

/** The last lines that a program wrote. */
export class LastLines {
  readonly #lines = { stdout: [] as string[], stderr: [] as string[] }
  #count = 0

  push(stream: 'stdout' | 'stderr', line: string): void {
    const lines = this.#lines[stream]
    this.#count += 1
    lines.push(settledLine(line, false).slice(0, widest))
    if (lines.length > lastLines) lines.shift()
  }

  /** What to tell again: nothing while all of it still stands above. Of two streams half of each, because their order is lost. */
  get again(): string | undefined {
    if (this.#count <= lastLines) return undefined
    const { stdout, stderr } = this.#lines
    const half = lastLines / 2
    const ofErrors = Math.max(half, lastLines - stdout.length)
    const ofOutput = Math.max(half, lastLines - stderr.length)
    const told = [...stdout.slice(-ofOutput), ...stderr.slice(-ofErrors)]
    return [`The last ${told.length} lines of its output:`, ...told.map((line) => `  ${line}`)].join('\n')
  }
}

function advice(status: number): string | undefined {
  if (status === 137) return 'Status 137 is a SIGKILL, often for lack of memory'
  return undefined
}

function failure(script: Script, status: number, trail: Trail, last: LastLines): SingError {
  const told = trail.line === undefined ? 0 : script.lines[trail.line - 1]
  const line = told || script.line
  const place = line > 0 ? `${script.definition}:${line}` : script.definition
  const hint = [last.again, advice(status)].filter(Boolean).join('\n')
  return new SingError('SECTION', `${shown(script.title)} failed with status ${status} (${shown(place)})`, {
    hint: hint === '' ? undefined : hint,
  })
}

/** Where a program reads and writes: it is heard, or it has the terminal. */
export type Streams = { readonly hear: Hear } | { readonly stdin: 'inherit' }

/** Starts the program of a script, or `shell` in its place. Resolves with its status. */
export type Start = (streams: Streams, shell?: string[]) => Promise<number>

/**
 * Run a script. When it fails and the request wants that, a person looks around where it failed.
 * @throws SingError SECTION when its status is not 0
 */
export async function runScript(script: Script, tools: ScriptTools, start: Start): Promise<void> {
  const { report, signal, request } = tools
  const trail = new Trail(script.text, script.path)
  const last = new LastLines()
  const readers = { stdout: readerOf('stdout', trail, last), stderr: readerOf('stderr', trail, last) }
  const hear: Hear = (stream, bytes) => {
    report({ kind: 'output', stream, bytes })
    readers[stream].push(bytes)
  }
  const status = await start({ hear })
  signal.throwIfAborted()
  for (const reader of Object.values(readers)) reader.end()
  if (status === 0) return
  const error = failure(script, status, trail, last)
  if (request.onError === 'shell') await offerShell(script, error, tools, start)
  throw error
}

/** The image may have one shell or the other. With a prompt of its own, nobody takes it for the host's. */
const shell = "export PS1='build> '; command -v bash >/dev/null 2>&1 && exec bash --norc -i; exec sh -i"

/** Let the person look at what failed, in the place and the environment of the script. */
async function offerShell(
  script: Script,
  { message }: SingError,
  { report, signal }: ScriptTools,
  start: Start,
): Promise<void> {
  report({ kind: 'handover' })
  const where = script.path === '' ? '' : ` The script is ${script.path}.`
  const text = `${message}\nThis is a shell in the place where it ran.${where} Leave it with exit: the build ends then.`
  report({ kind: 'warning', text })
  await start({ stdin: 'inherit' }, ['/bin/sh', '-c', shell])
  signal.throwIfAborted()
}

function readerOf(stream: 'stdout' | 'stderr', trail: Trail, last: LastLines): LineReader {
  return new LineReader((line) => {
    trail.push(line)
    last.push(stream, line)
  })
}
