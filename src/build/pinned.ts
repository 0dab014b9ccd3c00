/** Files that a build reads again and again: what another process puts in their places meanwhile is another file. */

import { closeSync, openSync } from 'node:fs'
import type { Window } from '../image/open.ts'
import type { Scratch } from './scratch.ts'

/** The same window in the file as it is now, for as long as the scratch directory is there. */
export function pinned(window: Window, scratch: Pick<Scratch, 'hold'>): Window {
  const fd = openSync(window.file, 'r')
  scratch.hold({ [Symbol.dispose]: () => closeSync(fd) })
  return { ...window, file: `/proc/self/fd/${fd}` }
}
