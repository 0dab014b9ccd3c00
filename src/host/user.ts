/** Accounts by their names. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export type Account = { readonly name: string; readonly uid: number }

/** The account of a name; asks the name service when /etc/passwd lacks it. */
export function findAccount(name: string): Account | undefined {
  const find = (text: string) => text.split('\n').find((line) => line.startsWith(`${name}:`))
  const asked = () =>
    spawnSync('getent', ['passwd', '--', name], { encoding: 'utf8', timeout: 10_000 }).stdout
  const line = find(readFileSync('/etc/passwd', 'utf8')) ?? find(asked() ?? '')
  const uid = Number(line?.split(':')[2])
  return line && Number.isSafeInteger(uid) ? { name, uid } : undefined
}
