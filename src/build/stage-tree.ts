/** The files of a stage while its steps are taken: what every kind of tree can do. */

import type { PackOptions } from '../native/addon.ts'
import type { Way } from './address.ts'
import type { StepResults } from './step-results.ts'
import type { Step } from './steps.ts'

/** Where the results of steps are kept, and the tree that the stage begins with. */
export type Keeping = {
  readonly results: StepResults
  readonly way: Way
  readonly address: string
  /** @throws SingError when the base is not any more what the address says */
  readonly requireBase: () => Promise<void>
}

export interface StageTree {
  /** A hash of everything that made the files what they are; undefined where nothing is kept. */
  readonly address: string | undefined
  /** Change the files as the step does: by its known result, or by running it, at `open` at the latest. */
  take(step: Step): Promise<void>
  /** The root of the files, all steps done. Changes from now on belong to no step. */
  open(): Promise<string>
  /** The same as files of a directory, which a sandbox can be made of. */
  unpack(): Promise<string>
  /** A tree that begins as this one is, in another empty directory; undefined where its files must be copied. */
  fork(root: string): StageTree | undefined
  /** What of the open tree lies somewhere packed. */
  readonly base: PackOptions['base']
}
