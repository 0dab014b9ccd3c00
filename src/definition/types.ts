/** What a definition file says, as values. Lines count from 1; 0 where there was no line to point at. */

import { SingError, shown } from '../core/errors.ts'

/** One section; a section given several times is one, its texts joined. */
export type Section = {
  /** The lines below the section's name, each ended by a line feed. */
  readonly text: string
  /** Words behind the name, comments cut; those of the last occurrence that has any. */
  readonly arguments: readonly string[]
  readonly line: number
  /** For each line of the text its line of the definition, 0 where it has none; what is not here has none either. */
  readonly lines: readonly number[]
}

export type FileCopy = {
  /** A pattern: blanks are plain, a backslash takes the meaning from the sign behind it. */
  readonly source: string
  /** A plain path; empty: the same path as the source. */
  readonly destination: string
  readonly line: number
}

/** One `%files`; without `from` the files come from the host. */
export type FilesBlock = {
  readonly from?: string
  readonly copies: readonly FileCopy[]
  readonly line: number
}

export type App = {
  readonly name: string
  readonly files: readonly FileCopy[]
  readonly install?: Section
  readonly environment?: Section
  readonly labels?: Section
  readonly run?: Section
  readonly start?: Section
  readonly test?: Section
  readonly help?: Section
}

export const stageSections = [
  'pre',
  'setup',
  'post',
  'environment',
  'runscript',
  'startscript',
  'test',
  'labels',
  'help',
] as const

export type StageSection = (typeof stageSections)[number]

export type Stage = {
  readonly name?: string
  /** Keys in lower case, `bootstrap` among them. */
  readonly header: Readonly<Record<string, string>>
  readonly headerLines: Readonly<Record<string, number>>
  readonly sections: { readonly [name in StageSection]?: Section }
  readonly files: readonly FilesBlock[]
  /** In the order of their first appearance. */
  readonly apps: readonly App[]
  readonly line: number
}

export type Definition = {
  readonly stages: readonly Stage[]
  /** The text with build arguments filled in, as the image keeps it. */
  readonly text: string
}

/** Values for `{{ NAME }}`. */
export type Arguments = Readonly<Record<string, string>>

/** Largest definition that is read. */
export const largestDefinition = 16 * 1024 * 1024

/** A mistake in a definition, at a line of it (0: the whole). */
export function mistake(name: string, line: number, text: string, hint?: string): SingError {
  return new SingError('DEFINITION', shown(line > 0 ? `${name}:${line}: ${text}` : `${name}: ${text}`), {
    hint,
  })
}
