/**
 * Pipes for what programs write. Those of the engines are sockets, which nobody can open again: `echo oops > /dev/stderr` would fail.
 */

import { getSystemErrorName } from 'node:util'
import { SingError } from '../core/errors.ts'
import { addonPath } from './paths.ts'

type Addon = { readonly makePipe: () => readonly [number, number] | number }

export type Pipe = { readonly read: number; readonly write: number }

/** A new pipe: two descriptors, close-on-exec. The caller closes both. */
export function makePipe(): Pipe {
  const module = { exports: {} as Addon }
  process.dlopen(module, addonPath())
  const ends = module.exports.makePipe()
  if (typeof ends === 'number') {
    throw new SingError('IO', `cannot make a pipe: ${getSystemErrorName(-ends)}`)
  }
  return { read: ends[0], write: ends[1] }
}
