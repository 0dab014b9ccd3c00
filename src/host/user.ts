/** Accounts and groups by their names. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

export type Entry = { readonly name: string; readonly id: number }

/** The entry of a name; asks the name service when the file lacks it. */
function findEntry(database: 'passwd' | 'group', name: string): Entry | undefined {
  const find = (text: string) => text.split('\n').find((line) => line.startsWith(`${name}:`))
  const asked = () =>
    spawnSync('getent', [database, '--', name], { encoding: 'utf8', timeout: 10_000 }).stdout
  const line = find(readFileSync(`/etc/${database}`, 'utf8')) ?? find(asked() ?? '')
  const id = Number(line?.split(':')[2])
  return line && Number.isSafeInteger(id) ? { name, id } : undefined
}

export const findAccount = (name: string): Entry | undefined => findEntry('passwd', name)
export const findGroup = (name: string): Entry | undefined => findEntry('group', name)
