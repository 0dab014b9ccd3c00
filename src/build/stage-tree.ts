/** The files of a stage while its steps are taken: what every kind of tree can do. */

import type { PackOptions } from '../native/addon.ts'
import type { Step } from './steps.ts'

export interface StageTree {
  /** A hash of everything that made the files what they are; undefined where nothing is kept. */
  readonly address: string | undefined
  /** Change the files as the step does: by its known result, or by running it, at `open` at the latest. */
  take(step: Step): Promise<void>
  /** The root of the files, all steps done. Changes from now on belong to no step. */
  open(): Promise<string>
  /** The same as files of a directory, which a sandbox can be made of. */
  unpack(): Promise<string>
  /** What of the open tree lies somewhere packed. */
  readonly base: PackOptions['base']
}
