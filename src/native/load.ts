/** Loads the addon for who writes and reads images. */

import { createRequire } from 'node:module'
import { SingError } from '../core/errors.ts'
import { addonPath } from './paths.ts'

let loaded: unknown

/** The addon is loaded by the first call that needs it: most commands do not. The caller knows its classes. */
export function addon<T>(): T {
  if (loaded) return loaded as T
  const path = addonPath()
  try {
    loaded = createRequire(path)(path)
    return loaded as T
  } catch (cause) {
    throw new SingError('INTERNAL', `cannot load ${path}: ${(cause as Error).message}`, {
      hint: 'It was built for another machine or is incomplete: build or install it again',
      cause,
    })
  }
}
