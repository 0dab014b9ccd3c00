/** Secrets of this process, and how they go to another one. */

import type { Buffer } from 'node:buffer'
import { SingError } from '../core/errors.ts'
import { addon } from './load.ts'

type Addon = {
  hideProcess(): number
  keepSecret(bytes: Buffer): number
}

const refuse = (what: string, errno: number): SingError =>
  new SingError('ENCRYPTION', `cannot ${what}: errno ${errno}`)

/**
 * From here on only root can look into this process, and it leaves no core. The programs that it starts, and the one that it
 * becomes, are not hidden.
 */
export function hideProcess(): void {
  const errno = addon<Addon>().hideProcess()
  if (errno !== 0) throw refuse('keep others from looking into this process', errno)
}

/**
 * The descriptor of a file in memory with these bytes, which nobody can change and no program that is started gets unless it is
 * named to it. It stays open until the end of the process.
 */
export function keepSecret(bytes: Buffer): number {
  const fd = addon<Addon>().keepSecret(bytes)
  if (fd < 0) throw refuse('keep a key in memory', -fd)
  return fd
}
