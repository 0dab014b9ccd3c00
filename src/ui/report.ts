/**
 * What happens, told to the person on standard error: lines with the usual prefixes, and a progress line for each task.
 */

import { SingError, shown } from '../core/errors.ts'
import type { Event, Report } from '../core/events.ts'
import { isAsking } from './asking.ts'
import { isErrorTerminal, writeNotice } from './output.ts'
import { Drawing, progressText, type Task } from './progress.ts'

/** Numbers of the peers' MESSAGELEVEL variable: a line is told when its level is at most the chosen one. */
export const levels = { fatal: -4, error: -3, warning: -2, info: 1, verbose: 4, debug: 5 } as const

export type Verbosity = {
  /** One of `levels`, or a number between them. */
  readonly level: number
  /** Colours may be used where a terminal shows them. */
  readonly colour: boolean
}

export type VerbosityOptions = {
  readonly debug: boolean
  readonly verbose: boolean
  readonly quiet: boolean
  readonly silent: boolean
  readonly nocolor: boolean
}

/** How much to tell: flags first, then the MESSAGELEVEL variables, then INFO and worse. */
export function chooseVerbosity(
  options: VerbosityOptions,
  environment: Readonly<Record<string, string>>,
): Verbosity {
  const variable =
    environment.SING_MESSAGELEVEL ||
    environment.APPTAINER_MESSAGELEVEL ||
    environment.SINGULARITY_MESSAGELEVEL
  const asked = variable && /^-?\d+$/.test(variable.trim()) ? Number(variable) : levels.info
  const level = options.debug
    ? levels.debug
    : options.verbose
      ? levels.verbose
      : options.silent
        ? levels.error
        : options.quiet
          ? levels.warning
          : asked
  return { level, colour: !options.nocolor && !environment.NO_COLOR }
}

const prefixes = {
  fatal: 'FATAL:',
  error: 'ERROR:',
  warning: 'WARNING:',
  info: 'INFO:',
  verbose: 'VERBOSE:',
  debug: 'DEBUG:',
} as const
const colours = { fatal: 31, error: 31, warning: 33, info: 34, verbose: 36, debug: 90 } as const
const PREFIX_WIDTH = 9

type Level = keyof typeof prefixes

/**
 * A message with its prefix; further lines stand below the first word. Control characters cannot reach the
 * terminal.
 */
function toLines(level: Level, text: string, colour: boolean): string {
  const [first = '', ...more] = text.split('\n').map((line) => shown(line.replaceAll('\t', '    ')))
  const prefix = prefixes[level].padEnd(PREFIX_WIDTH)
  const head = colour && isErrorTerminal() ? `\u001b[${colours[level]}m${prefix}\u001b[0m` : prefix
  return [head + first, ...more.map((line) => ' '.repeat(PREFIX_WIDTH) + line), ''].join('\n')
}

const REDRAW_MS = 100
const PATIENCE_MS = 1000

/** What stands on the screen, for who shows more than messages and tasks. */
export type Screen = {
  readonly report: Report
  /** Whether lines are drawn that change in place. */
  readonly isDrawn: () => boolean
  /** Write something that stays, above what is drawn. */
  readonly write: (output: () => void) => void
  /** Draw again what changed; at most ten times a second. */
  readonly redraw: () => void
}

/**
 * A screen. On a terminal every task has a line, and they are redrawn; elsewhere a task is told once when it takes longer than a second.
 * `now` gives milliseconds; `above` has the lines that are drawn above those of the tasks.
 */
export function createScreen(
  { level, colour }: Verbosity,
  now: () => number,
  above: () => readonly string[] = () => [],
): Screen {
  const isDrawn = () => level >= levels.info && isErrorTerminal()
  const tasks = new Map<string, Task>()
  const drawing = new Drawing()
  let drawnAt = Number.NEGATIVE_INFINITY

  const write = (output: () => void) => {
    drawing.erase()
    drawnAt = Number.NEGATIVE_INFINITY
    output()
  }
  const say = (kind: Level, text: string) => {
    if (levels[kind] <= level) write(() => writeNotice(toLines(kind, text, colour)))
  }
  const redraw = () => {
    const time = now()
    if (!isDrawn() || isAsking() || time - drawnAt < REDRAW_MS) return
    drawnAt = time
    drawing.draw([...above(), ...[...tasks.values()].map(progressText)])
  }
  const draw = (task: Task) => {
    if (isDrawn()) redraw()
    else if (!task.told && now() - task.begun >= PATIENCE_MS) {
      task.told = true
      say('info', task.label)
    }
  }
  const advance = (task: string, done: number) => {
    const known = tasks.get(task)
    if (!known) return
    known.done = done
    draw(known)
  }

  const report = (event: Event) => {
    switch (event.kind) {
      case 'info':
      case 'error':
      case 'warning':
      case 'verbose':
      case 'debug':
        return say(event.kind, event.text)
      case 'started': {
        const { task, label, total, unit, isPart = false } = event
        tasks.set(task, { label, total, bytes: unit === 'bytes', done: 0, begun: now(), told: isPart })
        return advance(task, 0)
      }
      case 'advanced':
        return advance(event.task, event.done)
      case 'finished':
        tasks.delete(event.task)
        drawing.erase()
        drawnAt = Number.NEGATIVE_INFINITY
        return event.text === undefined ? undefined : say('info', event.text)
      case 'step':
      case 'handover':
      case 'output':
        // Builds have a screen that shows these: see `steps`.
        return undefined
    }
  }
  return { report, isDrawn, write, redraw }
}

/** A listener for events of the lower rooms, with the screen of most commands. */
export function createReport(verbosity: Verbosity, now: () => number = () => performance.now()): Report {
  return createScreen(verbosity, now).report
}

function causes(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 8) return error === undefined ? [] : [String(error)]
  return [error.stack ?? error.message, ...causes(error.cause, depth + 1).map((text) => `caused by ${text}`)]
}

/** Tell an error that ended the command: sentence, hint, and where it came from when debugging. */
export function reportFatal(error: unknown, { level, colour }: Verbosity): void {
  const known = error instanceof SingError
  const sentence = known
    ? error.message
    : `an error inside the program: ${error instanceof Error ? error.message : String(error)}`
  const hint = known ? error.hint : 'Run the command again with --debug, and report what it prints'
  writeNotice(toLines('fatal', hint ? `${sentence}\n${hint}` : sentence, colour))
  if (level >= levels.debug) for (const text of causes(error)) writeNotice(toLines('debug', text, colour))
}

/** Tell that a command line could not be understood, with the line that shows how it is written. */
export function reportUsage(error: SingError, command: string, usage: string, program: string): void {
  const help = command === program ? `${program} --help` : `${program} ${command} --help`
  const hint = error.hint ? `${error.hint}\n` : ''
  writeNotice(
    `Error for command "${command}": ${shown(error.message)}\n${hint}\nUsage:\n  ${usage}\n\nRun '${help}' for more.\n`,
  )
}
