/** Counts the steps of a build aloud, over all its stages, and knows from which one on nothing known is taken. */

import { SingError, shown } from '../core/errors.ts'
import type { Event, Report } from '../core/events.ts'
import type { BuildRequest } from './request.ts'

type Counted = { readonly number: number; readonly total: number; readonly title: string }
type State = Extract<Event, { kind: 'step' }>['state']

/** Whether somebody means a step by this word: its number, its title, or the first words of that. */
function isMeant(word: string, title: string, number: number): boolean {
  return word === String(number) || word === title || title.startsWith(`${word} `)
}

/** @throws SingError USAGE for a word that means none of the steps */
function requireMeant(word: string, titles: readonly string[]): void {
  if (titles.some((title, index) => isMeant(word, title, index + 1))) return
  throw new SingError('USAGE', `--from-step ${shown(word)}: there is no such step`, {
    hint: `Steps: ${titles.map((title, index) => `${index + 1} ${shown(title)}`).join(', ')}`,
    status: 255,
  })
}

/** A step within a step is part of it, and known when that is. Those without a title are not counted. */
export class StepCounter {
  readonly #from: string | undefined
  readonly #report: Report
  #total = 0
  #number = 0
  #running: { known: boolean } | undefined
  #isAnew: boolean

  constructor({ takeKnown, fromStep }: Pick<BuildRequest, 'takeKnown' | 'fromStep'>, report: Report) {
    this.#from = fromStep
    this.#report = report
    this.#isAnew = !takeKnown
  }

  /** There will be these steps, as far as can be told. @throws SingError USAGE when the one to begin with is not among them */
  expect(titles: readonly string[]): void {
    if (this.#from !== undefined) requireMeant(this.#from, titles)
    this.#total += titles.length
  }

  /** A step runs that others are part of. */
  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Whether the next step runs although its result is known. */
  mustRun(title: string): boolean {
    const number = this.#running ? this.#number : this.#number + 1
    if (this.#from !== undefined && title !== '') this.#isAnew ||= isMeant(this.#from, title, number)
    return this.#isAnew
  }

  /** A step whose result is known. */
  cached(title: string): void {
    if (this.#running) this.#running.known = true
    else if (title !== '') this.#tell(this.#next(title), 'cached')
  }

  /** Do the work of a step. */
  async run<Result>(title: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#running || title === '') return await work()
    const step = this.#next(title)
    const running = { known: false }
    this.#running = running
    this.#tell(step, 'begun')
    try {
      const result = await work()
      this.#tell(step, running.known ? 'cached' : 'done')
      return result
    } catch (error) {
      this.#tell(step, 'failed')
      throw error
    } finally {
      this.#running = undefined
    }
  }

  #next(title: string): Counted {
    this.#number += 1
    this.#total = Math.max(this.#total, this.#number)
    return { number: this.#number, total: this.#total, title }
  }

  #tell(step: Counted, state: State): void {
    this.#report({ kind: 'step', ...step, state })
  }
}
