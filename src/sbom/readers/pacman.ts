/** Packages of Arch: a directory for each, with a file of `%KEY%` lines and the values below them. */

import type { Reader } from '../types.ts'
import { line, named, webAddress } from './text.ts'

export const pacman: Reader = {
  what: 'the description of a package of pacman',
  matches: /^\/var\/lib\/pacman\/local\/[^/]+\/desc$/,
  limit: 16 * 1024 * 1024,
  read(bytes, place) {
    const values = new Map<string, string[]>()
    for (const part of bytes.toString().split(/\n{2,}/)) {
      const [key = '', ...lines] = part.trim().split('\n')
      values.set(key, lines)
    }
    const field = (key: string): string | undefined => values.get(`%${key}%`)?.[0]
    const [base, name] = [line(field('BASE'), 256), line(field('NAME'), 256)]
    return named({
      ecosystem: 'alpm',
      name,
      version: field('VERSION'),
      architecture: line(field('ARCH'), 64),
      licence: line(values.get('%LICENSE%')?.join(' AND ')),
      supplier: line(field('PACKAGER'), 256),
      summary: line(field('DESC')),
      homepage: webAddress(field('URL')),
      qualifiers: { upstream: base === name ? undefined : base },
      place,
    })
  },
}
