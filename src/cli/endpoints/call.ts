/** What commands about endpoints and key servers share: their files, how to ask, what somebody logs in with. */

import { readFileSync } from 'node:fs'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { Place } from '../../endpoints/files.ts'
import type { AskOptions } from '../../endpoints/services.ts'
import { catchInterruption, type Interruption } from '../../runtime/interrupt.ts'
import type { Call } from '../command.ts'
import { usageError, wordOf } from '../words.ts'

/** The files that a call is about. */
export const placeOf = ({ flags, context: { environment, report } }: Call): Place => ({
  environment,
  report,
  file: wordOf(flags, 'config'),
})

/** Work that asks servers, until it is done or somebody interrupts it. */
export async function whileAsking<T>(
  { context: { environment, report } }: Call,
  what: string,
  work: (options: AskOptions) => Promise<T>,
): Promise<T> {
  using interruption: Interruption = catchInterruption(what)
  return await work({ environment, report, signal: interruption.signal })
}

/** Whether the file of the site is meant: always for root, who has no need of another one, as the peers do. */
export const isSite = ({ flags }: Call): boolean =>
  flags.global === true || (process.geteuid?.() === 0 && flags.config === undefined)

function readStandardInput(): string {
  try {
    return readFileSync(0, 'utf8')
  } catch (cause) {
    throw new SingError('IO', `cannot read from standard input: ${reasonOf(cause)}`, { cause })
  }
}

/** The longest token or password; the peers allow no more. */
const longestSecret = 4096

/** The first line, without its end. */
export function secretIn(text: string, what: string): string {
  const [line = ''] = text.split(/\r?\n/)
  if (line === '') throw usageError(`${what} is empty`)
  if (line.length > longestSecret)
    throw usageError(`${what} is too long: it has more than ${longestSecret} characters`)
  if (/\p{Cc}/u.test(line)) throw usageError(`${what} has characters that none has`)
  return line
}

/** Tokens stand in a header as they are. */
export function requireToken(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw usageError('the token has characters that none has')
}

/** What a file holds in its first line. */
export function secretOfFile(path: string, what: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SingError('IO', `cannot read ${what} in ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
  return secretIn(text, `${what} in ${shown(path)}`)
}

/** A password that came by flag, variable or standard input; undefined when none did. */
export function givenSecret({ flags, origins, context }: Call, what: string): string | undefined {
  const given = wordOf(flags, 'password')
  const isTyped = origins.password?.[0] === '--password'
  if (flags['password-stdin'] === true) {
    if (isTyped) throw usageError('--password and --password-stdin exclude each other')
    return secretIn(readStandardInput(), what)
  }
  if (isTyped) {
    const text = 'Others can see a password on the command line while it runs: --password-stdin hides it'
    context.report({ kind: 'warning', text })
  }
  return given === undefined ? undefined : secretIn(given, what)
}
