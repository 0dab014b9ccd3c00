/** Build arguments as people give them: on the command line, and in files of `NAME=value` lines. */

import { SingError, shown } from '../core/errors.ts'
import { excerpt, isIdle } from './lines.ts'
import { type Arguments, mistake } from './types.ts'

const assignment = /^\s*(\w+)\s*=(.*)$/s

/** The parts of `A=1,B=2`; one part for a value that merely holds commas. */
function parts(flag: string): string[] {
  const pieces = flag.split(',')
  return pieces.every((piece) => assignment.test(piece)) ? pieces : [flag]
}

/**
 * The values of `--build-arg` flags, later ones winning. Each is `NAME=value`; several in one flag are divided by commas,
 * when every part has that form. Blanks around a value do not belong to it.
 * Throws USAGE for anything else.
 */
export function parseBuildArguments(flags: readonly string[]): Arguments {
  const values = new Map<string, string>()
  for (const part of flags.flatMap(parts)) {
    const match = assignment.exec(part)
    if (!match) {
      throw new SingError('USAGE', `--build-arg ${shown(excerpt(part))}: expected NAME=value`, {
        hint: 'names are made of letters, digits and underscores',
      })
    }
    values.set(match[1] as string, (match[2] as string).trim())
  }
  return Object.fromEntries(values)
}

/**
 * The values in the text of a `--build-arg-file`: a `NAME=value` on each line, empty lines and `#` comments between.
 * Throws DEFINITION naming file and line.
 */
export function parseArgumentFile(text: string, name: string): Arguments {
  const values = new Map<string, string>()
  for (const [index, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    if (isIdle(line)) continue
    const match = assignment.exec(line)
    if (!match) throw mistake(name, index + 1, `expected NAME=value, got ${excerpt(line)}`)
    values.set(match[1] as string, (match[2] as string).trim())
  }
  return Object.fromEntries(values)
}
