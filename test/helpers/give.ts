/** Files that the tests made as root for the ordinary user. */

import { spawnSync } from 'node:child_process'
import { testUser } from './sing.ts'

/** Make everything from `path` down the property of the user of `sing()`. */
export function give(path: string): void {
  const { uid, gid } = testUser()
  if (process.getuid?.() !== 0) return
  spawnSync('chown', ['-hR', `${uid}:${gid}`, path])
}
