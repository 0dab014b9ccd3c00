/** Keys of the configuration as the user writes them: `mount.home`, `launch.bind`, `profiles.mpi.nv`, `profile`. */

import { type Node, resolveHostPath, type Start } from '../config/document.ts'
import { word, wordList } from '../config/edit.ts'
import { type Directive, directives } from '../config/schema.ts'
import { SingError, shown } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import { allLaunchFlags, type Flag } from './options.ts'

export type Key = {
  /** The key as files have it. */
  readonly name: string
  readonly path: readonly string[]
} & (
  | { readonly kind: 'directive'; readonly directive: Directive }
  | { readonly kind: 'launch'; readonly flag: Flag }
  | { readonly kind: 'profile-flag'; readonly profile: string; readonly flag: Flag }
  /** A whole profile. */
  | { readonly kind: 'profile'; readonly profile: string }
  /** The profiles that are on. */
  | { readonly kind: 'chosen' }
)

const settable = (): Flag[] => allLaunchFlags.filter(({ once }) => !once)

function unknownKey(asked: string): SingError {
  const flags = settable().map(({ name }) => `launch.${name}`)
  const near = suggest(asked, [...directives.keys(), ...flags, 'profile'])
  const hint = near ? `Did you mean ${near}?` : 'See: sing config list'
  return new SingError('USAGE', `there is no key ${shown(asked)}`, { status: 255, hint })
}

function findFlag(asked: string, name: string): Flag {
  const flag = settable().find((row) => row.name === name || row.aliases?.includes(name))
  if (flag) return flag
  const near = suggest(
    name,
    settable().map((row) => row.name),
  )
  throw new SingError('USAGE', `there is no key ${shown(asked)}: no flag has the name ${shown(name)}`, {
    status: 255,
    hint: near ? `Did you mean ${near}?` : 'See: sing help exec',
  })
}

/**
 * What a key names; directives also by their name in a `singularity.conf`.
 * @throws SingError naming the nearest key for one that there is not
 */
export function findKey(asked: string): Key {
  const found = [...directives].find(([name, { conf }]) => name === asked || conf === asked.toLowerCase())
  if (found) {
    const [name, directive] = found
    return { kind: 'directive', name, path: name.split('.'), directive }
  }
  if (asked === 'profile') return { kind: 'chosen', name: asked, path: [asked] }
  const [, flagName] = /^launch\.(.+)$/.exec(asked) ?? []
  if (flagName !== undefined) {
    const flag = findFlag(asked, flagName)
    return { kind: 'launch', name: `launch.${flag.name}`, path: ['launch', flag.name], flag }
  }
  const [, profile, inProfile] = /^profiles\.([^.]+(?:\.[^.]+)*?)(?:\.([a-z-]+))?$/.exec(asked) ?? []
  if (profile === undefined) throw unknownKey(asked)
  if (inProfile === undefined) return { kind: 'profile', name: asked, path: ['profiles', profile], profile }
  const flag = findFlag(asked, inProfile)
  const name = `profiles.${profile}.${flag.name}`
  return { kind: 'profile-flag', name, path: ['profiles', profile, flag.name], profile, flag }
}

const isList = (key: Key): boolean => {
  switch (key.kind) {
    case 'directive':
      return key.directive.type.list ?? false
    case 'launch':
    case 'profile-flag':
      return key.flag.kind === 'list'
    case 'chosen':
      return true
    case 'profile':
      return false
  }
}

/** A path that was typed here means the same in whatever file it is written to. */
function typedPath(key: Key, text: string, start: Start): string {
  const { hostPath, escapes } =
    key.kind === 'directive'
      ? { hostPath: key.directive.hostPaths, escapes: false }
      : 'flag' in key
        ? key.flag
        : { hostPath: false, escapes: false }
  return hostPath ? resolveHostPath(text, { ...start, escapes }) : text
}

/**
 * Words of the command line as the value of a key. `start` is where they were typed.
 * @throws SingError USAGE when there are too many
 */
export function toNode(key: Key, words: readonly string[], start: Start): Node {
  if (key.kind === 'profile') {
    throw new SingError('USAGE', `${key.name} is a profile: name one of its flags, ${key.name}.FLAG`)
  }
  const values = words.map((text) => typedPath(key, text, start))
  if (isList(key)) return wordList(values)
  const [value = '', ...more] = values
  if (more.length > 0) throw new SingError('USAGE', `${key.name} takes one value, not ${words.length}`)
  return word(value)
}
