/** Secrets that a command hands to its second life through a pipe, because environments can be looked at. */

import { closeSync, readFileSync } from 'node:fs'

/** The variable that names the descriptor. */
export const secretsVariable = 'SING_SECRETS'

/** What lies in the pipe, which is closed; nothing when there is none. */
export function takeSecrets(descriptor: string | undefined): Record<string, string> {
  if (!/^\d{1,5}$/.test(descriptor ?? '')) return {}
  const pipe = Number(descriptor)
  try {
    const found = JSON.parse(readFileSync(pipe, 'utf8')) as Record<string, unknown>
    closeSync(pipe)
    return Object.fromEntries(
      Object.entries(found).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
    )
  } catch {
    // Somebody else has set the variable.
    return {}
  }
}
