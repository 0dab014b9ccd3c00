/**
 * The words that front ends and the engine of builds share. A front end (a definition, a Dockerfile) makes plans of stages;
 * the engine takes their steps one after the other, from the cache where it knows the result.
 */

import type { Window } from '../image/open.ts'
import type { Attachment } from './sources/index.ts'

/** One step: it changes the tree that it stands on. */
export type Step = {
  /** How people know it, on one line: `%post`, `%files from build`, `RUN make install`. */
  readonly title: string
  /** The line of the definition where it begins, 0 when it has none. */
  readonly line: number
  /**
   * Everything that decides what it does, beside the tree it stands on. Undefined when that cannot be told before it has run
   * (`%setup` sees the whole host): it runs each time, and the tree behind it is known by what it holds.
   */
  readonly identity: () => Promise<readonly string[] | undefined>
  /** Change the tree. @throws SingError with the line of the definition */
  readonly run: (root: string) => Promise<void>
}

/** The first files of a stage. */
export type StageBase =
  /** Image files of this machine that may stay packed, the topmost first. */
  | { readonly kind: 'packed'; readonly layers: readonly Window[]; readonly identity: readonly string[] }
  /** An earlier stage as it was at its end. */
  | { readonly kind: 'stage'; readonly name: string }
  /** What a step makes in an empty directory: debootstrap, busybox, a sandbox that is copied, nothing at all. */
  | { readonly kind: 'made'; readonly step: Step }

/** What a front end wants done for one stage. */
export type StagePlan = {
  readonly name: string | undefined
  /** What happens before there is a tree (%pre). */
  readonly before: () => Promise<void>
  readonly base: () => Promise<{
    readonly base: StageBase
    /** JSON objects that the descendants of the base carry on. */
    readonly attachments: readonly Attachment[]
    /** When the base was made, in seconds since 1970; undefined when it is made just now. */
    readonly time: number | undefined
  }>
  /** Known when the base is: what it says about itself may decide what is to be done. */
  readonly steps: () => Promise<readonly Step[]>
  /** Write what the image says about itself. Only for the stage that becomes the image, or is copied from. */
  readonly describe: (root: string, architecture: string) => Promise<void>
  /** Run the %test of the finished tree. */
  readonly test: (root: string) => Promise<void>
}
