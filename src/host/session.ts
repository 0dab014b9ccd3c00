/** Where processes of one user on one machine leave each other notes. */

import { statSync } from 'node:fs'
import { join } from 'node:path'

export type Session = { readonly uid: number; readonly environment: Readonly<Record<string, string>> }

/**
 * The memory file system of the user's session where there is one, else a directory of the user's own in /tmp, which may not be there
 * yet. Batch systems bring the variable along to machines that have no such session.
 */
export function sessionPlace({ uid, environment }: Session): string {
  const { XDG_RUNTIME_DIR: session } = environment
  const isOurs = (path: string) => statSync(path, { throwIfNoEntry: false })?.uid === uid
  return session?.startsWith('/') && isOurs(session) ? join(session, 'sing') : `/tmp/sing-${uid}`
}
