/** Who else can change a cache: nobody may, because its images are believed and the names in it are followed. */

import { type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Root can change everything anyway. */
const isForeign = ({ uid }: Stats): boolean => uid !== 0 && uid !== process.geteuid?.()

const othersMayWrite = ({ mode }: Stats): boolean => (mode & 0o022) !== 0

/** What is at the path; nothing, perhaps; or something behind a directory that is closed to us, for now. */
function look(path: string): Stats | 'hidden' | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return 'hidden'
  }
}

/**
 * Why a directory that lies at a path, perhaps, cannot be trusted: another user could have put anything into it, or could put
 * another one into its place. Undefined when it can.
 */
export function distrust(directory: string): string | undefined {
  const [above, own] = [look(dirname(directory)), look(directory)]
  if (above === 'hidden' || own === 'hidden') return 'cannot be looked into'
  if ([above, own].some((stats) => stats && isForeign(stats))) return 'belongs to another user'
  return own && othersMayWrite(own) ? 'can be changed by other users' : undefined
}
