/** The user that an OCI configuration names: `user`, `uid`, `user:group` or `uid:gid`, looked up in the image's own files. */

import { SingError, shown } from '../core/errors.ts'
import type { Image } from './open.ts'
import { openContents } from './reader.ts'

export type ImageUser = {
  readonly uid: number
  readonly gid: number
  readonly name: string
  readonly home: string
  /** Groups that name the user as a member, where no group was named. */
  readonly groups: readonly number[]
}

const fileLimit = 16 * 1024 * 1024
const mostId = 2 ** 32 - 2

const recordsOf = (text: string): string[][] => text.split('\n').map((line) => line.split(':'))

/** A number as it is; undefined for a name. */
function idOf(word: string): number | undefined {
  if (!/^\d{1,10}$/.test(word) || Number(word) > mostId) return undefined
  return Number(word)
}

/** The record whose name is the word, or else whose number it is. */
function recordOf(records: readonly string[][], word: string): string[] | undefined {
  return records.find(([name]) => name === word) ?? records.find(([, , id]) => id === word)
}

const safeId = (text: string | undefined): number | undefined => idOf(text ?? '')

/** The texts of the files that know users and groups. */
export type UserFiles = { readonly passwd: string; readonly group: string }

/** Who `user`, `uid`, `user:group` or `uid:gid` is; the file that lacks the name when nobody is. Numbers need no record. */
export function findUser(text: string, files: UserFiles): ImageUser | '/etc/passwd' | '/etc/group' {
  const [word = '', group] = text.split(':')
  const record = recordOf(recordsOf(files.passwd), word)
  const groups = recordsOf(files.group)
  const uid = safeId(record?.[2]) ?? idOf(word)
  if (uid === undefined) return '/etc/passwd'
  const gid = group ? (safeId(recordOf(groups, group)?.[2]) ?? idOf(group)) : (safeId(record?.[3]) ?? 0)
  if (gid === undefined) return '/etc/group'
  const home = record?.[5]?.startsWith('/') ? record[5] : '/'
  const name = record?.[0] || String(uid)
  const others = group ? [] : groups.filter(([, , , members = '']) => members.split(',').includes(name))
  return { uid, gid, name, home, groups: others.flatMap(([, , id]) => safeId(id) ?? []) }
}

/**
 * Look up the user of an image.
 * @throws SingError IMAGE_FORMAT for a name that the image does not know
 */
export async function readImageUser(image: Image, text: string): Promise<ImageUser> {
  await using contents = await openContents(image)
  const read = async (path: string) => (await contents.read(path, fileLimit))?.toString() ?? ''
  const found = findUser(text, { passwd: await read('/etc/passwd'), group: await read('/etc/group') })
  if (typeof found !== 'string') return found
  throw new SingError(
    'IMAGE_FORMAT',
    `cannot start ${shown(image.path)} as ${shown(text)}, as it wants: its ${found} does not have that name`,
    { hint: 'To start it as yourself, leave --oci out' },
  )
}
