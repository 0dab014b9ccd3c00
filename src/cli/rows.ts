/** Short ways to write rows of flags. */

import type { Flag } from './options.ts'

type More = Omit<Flag, 'name' | 'kind' | 'help'>

/** `no-home` has the environment key `NO_HOME` unless the row names others. */
const twin = (name: string): readonly string[] => [name.toUpperCase().replaceAll('-', '_')]

const row =
  (kind: Flag['kind'], placeholder?: string) =>
  (name: string, help: string, more: More = {}): Flag => ({
    name,
    kind,
    help,
    env: twin(name),
    ...(placeholder && { placeholder }),
    ...more,
  })

export const toggle = row('boolean')
export const text = row('string', 'text')
export const path = row('string', 'path')
export const list = row('list', 'list')
export const number = row('number', 'number')

/** The flags below one heading of the help. */
export const grouped = (group: string, flags: readonly Flag[]): Flag[] =>
  flags.map((flag) => ({ ...flag, group }))
