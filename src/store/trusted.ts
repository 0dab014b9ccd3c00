/** Who else can change a cache: nobody may, because its images are believed and the names in it are followed. */

import { type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Root can change everything anyway. */
const isForeign = ({ uid }: Stats): boolean => uid !== 0 && uid !== process.geteuid?.()

const othersMayWrite = ({ mode }: Stats): boolean => (mode & 0o022) !== 0

/**
 * Why a directory that lies at a path, perhaps, cannot be trusted: another user could have put anything into it, or could put
 * another one into its place. Undefined when it can.
 */
export function distrust(directory: string): string | undefined {
  const above = statSync(dirname(directory), { throwIfNoEntry: false })
  const own = statSync(directory, { throwIfNoEntry: false })
  if ([above, own].some((stats) => stats && isForeign(stats))) return 'belongs to another user'
  return own && othersMayWrite(own) ? 'can be changed by other users' : undefined
}
