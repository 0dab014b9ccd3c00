/** Counts the steps of a build aloud, over all its stages. */

import type { Event, Report } from '../core/events.ts'

type Counted = { readonly number: number; readonly total: number; readonly title: string }
type State = Extract<Event, { kind: 'step' }>['state']

/** A step within a step is part of it, and known when that is. Those without a title are not counted. */
export class StepCounter {
  readonly #report: Report
  #total = 0
  #number = 0
  #running: { known: boolean } | undefined

  constructor(report: Report) {
    this.#report = report
  }

  /** There will be so many more steps, as far as can be told; or fewer. */
  add(steps: number): void {
    this.#total += steps
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
