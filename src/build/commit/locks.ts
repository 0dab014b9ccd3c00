/** Overlays that nobody may write to while they are read: the locks that containers have on them. */

import { closeSync, constants, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import { shareLock, shareRange } from '../../native/lock.ts'

/** As long as a container that has just ended may need to write everything down. */
const patience = 150
const pause = 20

/** The part of a file that is locked; a directory as a whole. */
export type Part = { readonly offset: number; readonly size: number } | undefined

/** Keep writers out until disposed. @throws SingError OVERLAY when somebody writes there */
export async function keepWritersOut(path: string, part: Part): Promise<Disposable> {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY)
  } catch (cause) {
    throw new SingError('OVERLAY', `cannot read the overlay ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
  const take = () => (part ? shareRange(fd, part.offset, part.size) : shareLock(fd))
  for (let attempt = 0; attempt < patience; attempt += 1) {
    if (take()) return { [Symbol.dispose]: () => closeSync(fd) }
    await sleep(pause)
  }
  closeSync(fd)
  throw new SingError(
    'OVERLAY',
    `cannot commit the overlay ${shown(path)}: it is in use by another process`,
    {
      hint: 'End the container that writes to it first',
    },
  )
}
