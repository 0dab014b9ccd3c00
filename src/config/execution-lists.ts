/** The execution control lists of the peers on this machine, as texts: no parser is needed to see that one is not activated. */

import { findFile, readText } from './files.ts'

const files = ['/etc/apptainer/ecl.toml', '/etc/singularity/ecl.toml']

export type ListText = { readonly file: string; readonly text: string }

/** Nothing but comments and `activated = false`, as the peers install it. */
export const isIdle = (text: string): boolean =>
  text.split('\n').every((line) => /^\s*(#.*)?$|^\s*activated\s*=\s*false\s*$/.test(line))

/** Those that may say something. @throws SingError when one cannot be read: then nothing is started */
export function readExecutionTexts(): ListText[] {
  return files
    .filter((file) => findFile(file) !== undefined)
    .map((file) => ({ file, text: readText(file) }))
    .filter(({ text }) => !isIdle(text))
}
