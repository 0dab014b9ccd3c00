/** Long work of the addon: its progress as events, and its end when somebody aborts it. */

import type { Report } from '../core/events.ts'

/** What the addon offers for work that a thread of its own does. */
type Watched = { progress(): number; cancel(): void }

export type Watch = {
  /** Key and words of the events. */
  readonly task: string
  readonly label: string
  readonly unit: 'bytes' | 'entries'
  readonly total?: number
  readonly isPart?: boolean
  readonly report: Report | undefined
  readonly signal: AbortSignal | undefined
}

/** Often enough to look smooth, seldom enough to cost nothing. */
const interval = 100

let tasks = 0

/**
 * Wait for `work`, telling how far `watched` is. Once `signal` is aborted the work is cancelled and, when it has ended, the
 * reason of the signal is thrown.
 */
export async function watch<T>(watched: Watched, options: Watch, work: () => Promise<T>): Promise<T> {
  const { label, unit, total, isPart = false, report, signal } = options
  signal?.throwIfAborted()
  tasks += 1
  const task = `${options.task}-${tasks}`
  const cancel = () => watched.cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  report?.({ kind: 'started', task, label, unit, isPart, ...(total === undefined ? {} : { total }) })
  const timer =
    report && setInterval(() => report({ kind: 'advanced', task, done: watched.progress() }), interval)
  try {
    return await work()
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    clearInterval(timer)
    signal?.removeEventListener('abort', cancel)
    report?.({ kind: 'finished', task })
  }
}
