/** What lower rooms may tell the person. They emit values; only `ui` prints. */

export type Event =
  | { kind: 'info'; text: string }
  | { kind: 'error'; text: string }
  | { kind: 'warning'; text: string }
  | { kind: 'verbose'; text: string }
  | { kind: 'debug'; text: string }
  /** Work over a second has begun; `total` in `unit` when it is known. A part is only drawn, never told in words. */
  | {
      kind: 'started'
      task: string
      label: string
      total?: number
      unit?: 'bytes' | 'entries'
      isPart?: boolean
    }
  | { kind: 'advanced'; task: string; done: number }
  | { kind: 'finished'; task: string; text?: string }
  /** A step of a build; one begins when the one before is known or has ended. */
  | {
      kind: 'step'
      number: number
      total: number
      title: string
      state: 'begun' | 'cached' | 'done' | 'failed'
    }
  /** The step has failed, and a person gets the terminal to look why. */
  | { kind: 'handover' }
  /** What a program of the step wrote. */
  | { kind: 'output'; stream: 'stdout' | 'stderr'; bytes: Uint8Array }

export type Report = (event: Event) => void

/** Listens to nothing: work is the same with nobody watching. */
export const silent: Report = () => {}
