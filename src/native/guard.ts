/** Keeps the memory of this process from others of the same user, while it holds a secret. */

import { addonPath } from './paths.ts'

type Addon = { readonly guardSecrets: () => number }

let isGuarded = false

/**
 * From here on nobody but root can attach to this process or read its memory, and it leaves no core dump. Programs that it starts
 * begin without this. Children that make user namespaces are to be started before: files of /proc about this process are root's.
 */
export function guardSecrets(): void {
  if (isGuarded) return
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  module.exports.guardSecrets()
  isGuarded = true
}
