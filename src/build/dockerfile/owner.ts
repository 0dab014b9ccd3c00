/** Users and permissions that instructions name: `USER`, `--chown`, `--chmod`. */

import { SingError, shown } from '../../core/errors.ts'
import { findUser, type ImageUser } from '../../image/user.ts'
import { readInside } from '../inside.ts'

const largestFile = 16 * 1024 * 1024

/** Who a name or number is in the tree. @throws SingError BUILD for a name that its files do not have */
export function userIn(root: string, text: string): ImageUser {
  const read = (path: string) => readInside(root, path, largestFile) ?? ''
  const found = findUser(text, { passwd: read('/etc/passwd'), group: read('/etc/group') })
  if (typeof found !== 'string') return found
  throw new SingError('BUILD', `there is no ${shown(text)} in ${found} of the image`, {
    hint: 'Make it before, or name numbers: 1000:1000',
  })
}

/** Whose copies are: of a lone number also the group, as Docker has it. */
export function ownerIn(root: string, text: string): { uid: number; gid: number } {
  const number = /^\d+$/.test(text) ? `${text}:${text}` : text
  const { uid, gid } = userIn(root, number)
  return { uid, gid }
}

/** @throws SingError DEFINITION for what is no octal number */
export function modeOf(text: string): number {
  if (/^[0-7]{3,4}$/.test(text)) return Number.parseInt(text, 8)
  throw new SingError('DEFINITION', `--chmod=${shown(text)}: expected an octal number such as 755`)
}
