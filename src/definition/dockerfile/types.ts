/** What a Dockerfile says, as values: stages with instructions, nothing expanded yet. Lines count from 1. */

import type { SingError } from '../../core/errors.ts'
import { mistake } from '../types.ts'

/** A text that stands in the Dockerfile below the instruction that uses it. */
export type Heredoc = {
  readonly name: string
  /** Lines with their ends; of `<<-` with their tabs. */
  readonly text: string
  /** The line of the Dockerfile where the text begins. */
  readonly line: number
  /** The name was not quoted, so variables count. */
  readonly expands: boolean
  /** `<<-`: tabs at the beginning of lines go. */
  readonly strips: boolean
}

/** A command line: of words, or for the shell. */
export type Command =
  | { readonly form: 'exec'; readonly words: readonly string[] }
  | { readonly form: 'shell'; readonly text: string }

/** `--name=value` in front of what an instruction is given. */
export type Flag = { readonly name: string; readonly value: string | undefined }

export type Pair = readonly [name: string, value: string]

export type Health =
  | { readonly kind: 'none' }
  | { readonly kind: 'command'; readonly command: Command; readonly flags: readonly Flag[] }

/** What COPY and ADD take. */
export type Transfer = {
  readonly flags: readonly Flag[]
  /** Names and patterns. */
  readonly sources: readonly string[]
  /** Files that stand in the Dockerfile itself. */
  readonly texts: readonly Heredoc[]
  readonly destination: string
}

export type Act =
  | { readonly kind: 'arg'; readonly values: readonly (readonly [name: string, value: string | undefined])[] }
  | { readonly kind: 'env'; readonly values: readonly Pair[] }
  | { readonly kind: 'label'; readonly values: readonly Pair[] }
  | {
      readonly kind: 'run'
      readonly command: Command
      readonly flags: readonly Flag[]
      readonly texts: readonly Heredoc[]
    }
  | ({ readonly kind: 'copy' } & Transfer)
  | ({ readonly kind: 'add' } & Transfer)
  | { readonly kind: 'workdir' | 'user' | 'stopsignal' | 'maintainer'; readonly text: string }
  | { readonly kind: 'cmd' | 'entrypoint'; readonly command: Command }
  | { readonly kind: 'shell'; readonly words: readonly string[] }
  | { readonly kind: 'expose' | 'volume'; readonly words: readonly string[] }
  | { readonly kind: 'onbuild'; readonly text: string }
  | { readonly kind: 'healthcheck'; readonly health: Health }

export type Instruction = Act & {
  readonly line: number
  /** As it stands in the file, on one line, its texts left out. */
  readonly title: string
}

export type DockerStage = {
  /** Behind AS, in lower case. */
  readonly name: string | undefined
  readonly from: string
  readonly platform: string | undefined
  readonly line: number
  readonly title: string
  readonly instructions: readonly Instruction[]
}

export type Escape = '\\' | '`'

export type Dockerfile = {
  /** How messages call it. */
  readonly name: string
  readonly text: string
  readonly escaper: Escape
  /** Behind `# syntax=`. */
  readonly syntax: string | undefined
  /** ARG in front of the first FROM. */
  readonly arguments: readonly Instruction[]
  readonly stages: readonly DockerStage[]
}

/** Where in a Dockerfile something is. */
export type Place = { readonly name: string; readonly line: number; readonly escaper: Escape }

/** A mistake in a Dockerfile. */
export function wrong({ name, line }: Pick<Place, 'name' | 'line'>, text: string, hint?: string): SingError {
  return mistake(name, line, text, hint)
}
