/** Small looks at files of the machine, for which not being there is an answer. */

import { accessSync, constants, readFileSync, statSync } from 'node:fs'

/** The text of a file; empty when there is none that can be read. */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Whether the caller has these rights to it (access(2)). */
export function isUsable(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}

/** Whether it is a file that the caller may start. */
export const isProgram = (path: string): boolean =>
  isUsable(path, constants.X_OK) && (statSync(path, { throwIfNoEntry: false })?.isFile() ?? false)

/** Programs of a name, in the order of the directories; only absolute ones are looked into. */
export const programsIn = (name: string, directories: readonly string[]): string[] =>
  directories
    .filter((directory) => directory.startsWith('/'))
    .map((directory) => `${directory}/${name}`)
    .filter(isProgram)

/** Programs of a name in PATH, and in directories that the PATH of users often lacks. */
export const findPrograms = (name: string, path: string): string[] =>
  programsIn(name, [...path.split(':'), '/usr/bin', '/usr/sbin', '/bin', '/sbin'])

/** The first of them; undefined when there is none. */
export const findProgram = (name: string, path: string): string | undefined => findPrograms(name, path)[0]
