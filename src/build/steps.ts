/**
 * The words that front ends and the engine of builds share. A front end (a definition, a Dockerfile) makes plans of stages;
 * the engine takes their steps one after the other, from the cache where it knows the result.
 */

import type { BaseImage } from '../image/labels.ts'
import type { Window } from '../image/open.ts'
import type { Attachment } from './sources/index.ts'
import type { StageTree } from './stage-tree.ts'

/** One step: it changes the tree that it stands on. */
export type Step = {
  /** How people know it, on one line: `%post`, `%files from build`, `RUN make install`. Empty: too small to be shown. */
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

/** A step was given something else than its identity said: files that somebody changed while they were copied. */
export const changedMeanwhile = new Error('a step is not what its identity said')

/** The first files of a stage. */
export type StageBase =
  /** Image files of this machine that may stay packed, the topmost first; without any the stage begins empty. */
  | {
      readonly kind: 'packed'
      readonly layers: readonly Window[]
      /** Asked for only where results are kept. */
      readonly identity: () => Promise<readonly string[]>
    }
  /** An earlier stage as it was at its end. */
  | { readonly kind: 'stage'; readonly name: string }
  /** What a step makes in an empty directory: debootstrap, busybox. */
  | { readonly kind: 'made'; readonly step: Step }
  /** A directory that is there and changes where it lies (--update). */
  | { readonly kind: 'directory'; readonly path: string }

/** What a stage begins with, and what is known of it. */
export type FoundBase = {
  readonly base: StageBase
  /** What comes on top of it before the steps, and is counted as a part of it. */
  readonly preparation?: Step
  /** JSON objects that the descendants of the base carry on. */
  readonly attachments: readonly Attachment[]
  /** The image of OCI that it is; undefined for all others, whose labels tell of theirs. */
  readonly image?: BaseImage | undefined
  /** When the base was made, in seconds since 1970; undefined when it is made just now. */
  readonly time: number | undefined
}

/** What a front end wants done for one stage. Called in this order, each once at most. */
export type StagePlan = {
  readonly name: string | undefined
  /** What it begins with, in a few words: `docker debian:12`. */
  readonly from: string
  /** The steps that will be shown, with %pre, base and test, as far as that can be told before anything is done. */
  readonly titles: readonly string[]
  /** What happens before there is a tree (%pre). */
  readonly before: (root: string) => Promise<void>
  readonly base: () => Promise<FoundBase>
  /** Known when the base is: what it says about itself may decide what is to be done. */
  readonly steps: () => Promise<readonly Step[]>
  /** Write what the image says about itself. For the stage that becomes the image, and those that are copied as they end. */
  readonly describe: (root: string, architecture: string) => Promise<void>
  /** What decides what `describe` writes, but for the time. */
  readonly description: readonly string[]
  /** Runs in the finished tree, and changes nothing. */
  readonly test: Step | undefined
}

/** An earlier stage, for steps that copy out of it. It is mounted or unpacked when one must run. */
export interface FinishedStage {
  /** A hash of everything that made its files what they are; undefined where nothing is kept. */
  readonly address: string | undefined
  /** The same with what it says about itself. */
  readonly identity: readonly string[] | undefined
  /** Its root as the last step left it. Steps only read there. */
  files(): Promise<string>
  /** Its root with what it says about itself. Not to be mixed with `files`. */
  described(): Promise<string>
  /** See `StageTree`. */
  fork(root: string): StageTree | undefined
}
export type FinishedStages = ReadonlyMap<string, FinishedStage>
