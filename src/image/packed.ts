/** A file system that was packed into a file which has no name yet. */

import type { Slot } from '../sif/write.ts'
import type { Window } from './open.ts'

export const packedIn = ({ fd, offset }: Slot, size: number): Window => ({
  file: `/proc/self/fd/${fd}`,
  offset,
  size,
})
