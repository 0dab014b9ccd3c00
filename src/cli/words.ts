/** The words of a command line: values of flags that are text, and what is said of those that cannot be. */

import { SingError } from '../core/errors.ts'
import type { Flags } from './command.ts'

/** The value of a flag that takes a text; undefined for an empty one as well. */
export function wordOf(flags: Flags, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A wrong command line, in commands whose peers end with 255 then. */
export const usageError = (sentence: string, hint?: string): SingError =>
  new SingError('USAGE', sentence, { status: 255, hint })
