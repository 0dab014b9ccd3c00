/** Files that come through a pipe, as `<(command)` and /dev/stdin do: they can be read once. */

import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { SingError, shown } from '../core/errors.ts'

const stretch = 64 * 1024

export function isStream(path: string): boolean {
  try {
    const stats = statSync(path)
    return stats.isFIFO() || stats.isSocket()
  } catch {
    return false
  }
}

/** The descriptor that a path names, which need not be opened again; sockets cannot be. */
function descriptorOf(path: string): number | undefined {
  const [, stdin, number] = /^\/(?:(dev\/stdin)|(?:dev|proc\/self)\/fd\/(\d+))$/.exec(path) ?? []
  if (stdin) return 0
  return number === undefined ? undefined : Number(number)
}

/** Everything that comes, up to `limit` bytes. @throws SingError IO for more; what reading throws */
export function readStream(path: string, limit: number): Buffer {
  const known = descriptorOf(path)
  const fd = known ?? openSync(path, 'r')
  try {
    const parts: Buffer[] = []
    let size = 0
    for (;;) {
      const part = Buffer.alloc(stretch)
      const count = readSync(fd, part, 0, stretch, null)
      if (count === 0) return Buffer.concat(parts)
      size += count
      if (size > limit) throw new SingError('IO', `${shown(path)}: more than ${limit} bytes come from it`)
      parts.push(part.subarray(0, count))
    }
  } finally {
    if (known === undefined) closeSync(fd)
  }
}
