/** The user that an OCI configuration names: `user`, `uid`, `user:group` or `uid:gid`, looked up in the image's own files. */

import { SingError, shown } from '../core/errors.ts'
import type { Image } from './open.ts'
import { type Contents, openContents } from './reader.ts'

export type ImageUser = {
  readonly uid: number
  readonly gid: number
  readonly name: string
  readonly home: string
}

const fileLimit = 16 * 1024 * 1024
const mostId = 2 ** 32 - 2

async function readRecords(contents: Contents, path: string): Promise<string[][]> {
  const text = (await contents.read(path, fileLimit))?.toString() ?? ''
  return text.split('\n').map((line) => line.split(':'))
}

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

/**
 * Look up the user of an image. Who is only a number needs no record.
 * @throws SingError IMAGE_FORMAT for a name that the image does not know
 */
export async function readImageUser(image: Image, text: string): Promise<ImageUser> {
  const [word = '', group] = text.split(':')
  await using contents = await openContents(image)
  const record = recordOf(await readRecords(contents, '/etc/passwd'), word)
  const uid = safeId(record?.[2]) ?? idOf(word)
  const gid = group ? await groupOf(contents, group) : (safeId(record?.[3]) ?? 0)
  if (uid === undefined || gid === undefined) {
    const file = uid === undefined ? '/etc/passwd' : '/etc/group'
    throw new SingError(
      'IMAGE_FORMAT',
      `cannot start ${shown(image.path)} as ${shown(text)}, as it wants: its ${file} does not have that name`,
      { hint: 'To start it as yourself, leave --oci out' },
    )
  }
  const home = record?.[5]?.startsWith('/') ? record[5] : '/'
  return { uid, gid, name: record?.[0] || String(uid), home }
}

async function groupOf(contents: Contents, word: string): Promise<number | undefined> {
  return safeId(recordOf(await readRecords(contents, '/etc/group'), word)?.[2]) ?? idOf(word)
}
