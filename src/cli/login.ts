/** Asks the person for a login. */

import { shown } from '../core/errors.ts'
import { askLine, askPassphrase } from '../ui/prompt.ts'

export const askUser = (registry: string): Promise<string> => askLine(`User name at ${shown(registry)}:`)
export const askPassword = (username: string): Promise<string> =>
  askPassphrase(`Password of ${shown(username)}:`)

/** User and password at a registry, from the terminal. */
export async function askLogin(registry: string): Promise<{ username: string; password: string }> {
  const username = await askUser(registry)
  return { username, password: await askPassword(username) }
}
