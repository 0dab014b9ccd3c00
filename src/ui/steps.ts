/** The screen of a build: a line for each step, and what the programs of steps write, behind the step's number on a terminal. */

import { shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { LineReader, settledLine } from '../core/lines.ts'
import { formatDuration } from '../core/units.ts'
import { isAnswerTerminal, isErrorTerminal, writeNotice, writeOutput } from './output.ts'
import { createScreen, levels, type Screen, type Verbosity } from './report.ts'

export type Step = { readonly number: number; readonly total: number; readonly title: string }
type State = 'begun' | 'cached' | 'done' | 'failed'
type Stream = 'stdout' | 'stderr'

const place = ({ number, total }: Step): string => `[${number}/${total}]`

/** The line of a step: `[2/5] %post  12.3 s`. */
export function stepLine(step: Step, state: State, milliseconds: number): string {
  const time = formatDuration(milliseconds)
  const said = { begun: '', cached: '  cached', done: `  ${time}`, failed: `  failed after ${time}` }
  return `${place(step)} ${shown(step.title)}${said[state]}`
}

/** What a program writes into one stream, as lines behind a prefix. */
export class Prefixed {
  readonly #reader: LineReader
  #text = ''

  constructor(prefix: string, colours: boolean) {
    this.#reader = new LineReader((line) => {
      this.#text += `${prefix}${settledLine(line, colours)}\n`
    })
  }

  /** The lines that these bytes make whole. */
  push(bytes: Uint8Array): string {
    this.#reader.push(bytes)
    return this.#taken()
  }

  /** What is left when nothing comes any more. */
  end(): string {
    this.#reader.end()
    return this.#taken()
  }

  /** The beginning of the next line, such as a progress bar. */
  get rest(): string {
    return settledLine(this.#reader.rest, false)
  }

  #taken(): string {
    const text = this.#text
    this.#text = ''
    return text
  }
}

const TICK_MS = 200
const PATIENCE_MS = 1000

/** The step that runs, from its beginning to its end. */
class RunningStep {
  readonly #step: Step
  readonly #begun: number
  readonly #screen: Screen
  readonly #verbosity: Verbosity
  readonly #now: () => number
  readonly #streams = new Map<Stream, Prefixed>()
  readonly #tick: NodeJS.Timeout
  #announced = false

  constructor(step: Step, screen: Screen, verbosity: Verbosity, now: () => number) {
    this.#step = step
    this.#begun = now()
    this.#screen = screen
    this.#verbosity = verbosity
    this.#now = now
    this.#tick = setInterval(() => {
      if (screen.isDrawn()) screen.redraw()
      else if (now() - this.#begun >= PATIENCE_MS) this.#announce()
    }, TICK_MS)
    this.#tick.unref()
  }

  /** The lines that change while it runs. */
  get lines(): string[] {
    const rests = [...this.#streams.values()].map(({ rest }) => rest).filter(Boolean)
    return [...rests.map((rest) => `${place(this.#step)} ${rest}`), this.#line('done')]
  }

  hear(stream: Stream, bytes: Uint8Array): void {
    this.#announce()
    const prefixed = this.#prefixed(stream)
    const text = prefixed ? prefixed.push(bytes) : bytes
    if (text.length > 0) this.#screen.write(() => writeOutput(stream, text))
    this.#screen.redraw()
  }

  end(state: Exclude<State, 'begun'>): void {
    clearInterval(this.#tick)
    for (const [stream, prefixed] of this.#streams) {
      this.#screen.write(() => writeOutput(stream, prefixed.end()))
    }
    this.#streams.clear()
    this.#screen.write(() => this.#say(this.#line(state)))
  }

  #line(state: State): string {
    return stepLine(this.#step, state, this.#now() - this.#begun)
  }

  #say(line: string): void {
    if (this.#verbosity.level >= levels.info) writeNotice(`${line}\n`)
  }

  /** Say what runs before its output, or when it lets people wait. */
  #announce(): void {
    if (this.#announced) return
    this.#announced = true
    this.#screen.write(() => this.#say(this.#line('begun')))
  }

  /** Bytes go on as they are where no person reads them, and where steps are not told. */
  #prefixed(stream: Stream): Prefixed | undefined {
    const { level, colour } = this.#verbosity
    const isTerminal = stream === 'stdout' ? isAnswerTerminal() : isErrorTerminal()
    if (!isTerminal || level < levels.info) return undefined
    const known = this.#streams.get(stream)
    if (known) return known
    const sign = place(this.#step)
    const made = new Prefixed(colour ? `\u001b[2m${sign}\u001b[0m ` : `${sign} `, colour)
    this.#streams.set(stream, made)
    return made
  }
}

/** A listener for the events of a build. */
export function createStepReport(verbosity: Verbosity, now: () => number = () => performance.now()): Report {
  let running: RunningStep | undefined
  const screen = createScreen(verbosity, now, () => running?.lines ?? [])
  return (event) => {
    if (event.kind === 'output') {
      if (running) running.hear(event.stream, event.bytes)
      else screen.write(() => writeOutput(event.stream, event.bytes))
    } else if (event.kind === 'handover') {
      running?.end('failed')
      running = undefined
    } else if (event.kind !== 'step') {
      screen.report(event)
    } else if (event.state === 'begun') {
      running = new RunningStep(event, screen, verbosity, now)
      screen.redraw()
    } else if (running) {
      running.end(event.state)
      running = undefined
    } else if (verbosity.level >= levels.info) {
      screen.write(() => writeNotice(`${stepLine(event, event.state, 0)}\n`))
    }
  }
}
