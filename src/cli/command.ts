/** What a command file exports and what it is given. Types only. */

import type { Settings } from '../config/layers.ts'
import type { Report } from '../core/events.ts'
import type { Verbosity } from '../ui/report.ts'
import type { Flag } from './options.ts'

/** Values of the command's own flags, by long name without dashes; absent flags are undefined. */
export type Flags = Readonly<Record<string, string | boolean | number | readonly string[] | undefined>>

/** Where the values of flags come from, by long name: one origin, or one for each entry of a list. */
export type Origins = Readonly<Record<string, readonly string[]>>

/** What every command may use beside its flags. */
export type Context = {
  readonly report: Report
  /** The environment the caller had, without the variables that `bin/sing` adds. */
  readonly environment: Readonly<Record<string, string>>
  /** Variables that it had beside those, which open encrypted images. */
  readonly secrets: Readonly<Record<string, string>>
  /** Soft limit of open files before the engine raised it; undefined when unknown. */
  readonly openFiles: number | undefined
  /** Descriptors besides 0 to 2 that the caller handed in. */
  readonly descriptors: readonly number[]
  /** The configuration that holds here, read when it is asked for. */
  readonly settings: () => Promise<Settings>
  /** The file of --config. */
  readonly configFile: string | undefined
  /** The name the program was called by. */
  readonly calledAs: 'sing' | 'singularity'
  readonly debug: boolean
  readonly verbosity: Verbosity
  /** Write an answer to stdout, text or bytes as they are. */
  readonly print: (content: string | Uint8Array) => void
}

export type Call = {
  readonly flags: Flags
  readonly origins: Origins
  /** Positional arguments; for actions: the image, then what belongs to the container. */
  readonly args: readonly string[]
  /** The words that chose the command: `exec`, or `sif list`. */
  readonly words: readonly string[]
  /** The command line as given, for running the same command again in a namespace. */
  readonly argv: readonly string[]
  readonly context: Context
  /** The first argument is an image that was fetched: what to call it, and whether somebody waits for the end to remove it. */
  readonly fetched?: { readonly name: string; readonly isTemporary: boolean }
}

export type Command = {
  /** `exec [options] <image> <command> [argument...]` */
  readonly usage: string
  readonly summary: string
  /** One or more paragraphs below the usage line. */
  readonly description?: string
  readonly examples?: readonly string[]
  readonly flags: readonly Flag[]
  /** An old name that is still understood. */
  readonly hidden?: boolean
  /** Positional arguments: at least and at most. */
  readonly args: readonly [least: number, most: number]
  /** Everything after the first positional argument belongs to the container. */
  readonly action?: boolean
  /** Returns the exit status. */
  readonly run: (call: Call) => Promise<number>
}
