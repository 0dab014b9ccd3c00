/** Asks the person for a login. */

import { shown } from '../core/errors.ts'
import { Conversation } from '../ui/prompt.ts'

/** User and password at a registry, from the terminal; what is known already is not asked for. */
export async function askLogin(
  registry: string,
  known: { readonly username?: string | undefined; readonly password?: string | undefined } = {},
  hint = `Log in first: sing registry login ${shown(registry)}`,
): Promise<{ username: string; password: string }> {
  using conversation = new Conversation(hint)
  const username = known.username ?? (await conversation.line(`User name at ${shown(registry)}: `)).trim()
  const password = known.password ?? (await conversation.secret(`Password of ${shown(username)}: `))
  return { username, password }
}
