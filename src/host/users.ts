/** The people of this machine, as the name service knows them. */

import { spawnSync } from 'node:child_process'

export type User = { readonly name: string; readonly uid: number; readonly home: string }

function entries(args: readonly string[]): User[] {
  const { stdout } = spawnSync('getent', ['passwd', ...args], { encoding: 'utf8', timeout: 10_000 })
  return (stdout ?? '').split('\n').flatMap((line) => {
    const [name, , uid, , , home] = line.split(':')
    return name && uid && /^\d+$/.test(uid) && home?.startsWith('/') ? [{ name, uid: Number(uid), home }] : []
  })
}

/** The user of this name; undefined when there is none. */
export const findUser = (name: string): User | undefined =>
  name.startsWith('-') ? undefined : entries(['--', name])[0]

/** All users that the name service lists. */
export const allUsers = (): User[] => entries([])
