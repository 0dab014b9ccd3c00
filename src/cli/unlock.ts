/** Hands on what opens encrypted images; what does it is loaded for the first one that comes. */

import type { Unlock } from '../image/open.ts'
import type { Call } from './command.ts'

/** For all images that a command opens: nobody is asked twice. */
export function unlockFor(call: Call): Unlock {
  let unlock: Promise<Unlock> | undefined
  return async (locked) => {
    unlock ??= import('./encryption.ts').then(({ unlocking }) => unlocking(call))
    return (await unlock)(locked)
  }
}
