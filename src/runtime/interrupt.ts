/** Signals that end long work: they become an abort signal, so that everything is cleaned up before the end. */

import { constants } from 'node:os'
import { SingError } from '../core/errors.ts'

const deadly = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** An abort signal that fires when the user interrupts the work; its reason is the error to throw. */
export type Interruption = Disposable & { readonly signal: AbortSignal }

/** Catch the deadly signals until disposed. `work` is what the message calls it: "the build". */
export function catchInterruption(work: string): Interruption {
  const controller = new AbortController()
  const stop = (name: (typeof deadly)[number]): void => {
    const status = 128 + constants.signals[name]
    controller.abort(new SingError('INTERRUPTED', `${work} was interrupted (${name})`, { status }))
  }
  for (const name of deadly) process.on(name, stop)
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of deadly) process.off(name, stop)
    },
  }
}
