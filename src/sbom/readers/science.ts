/** Packages of R and Julia, wherever their libraries and depots lie. */

import type { Reader } from '../types.ts'
import { headOf, line, named, webAddress } from './text.ts'

export const r: Reader = {
  what: 'the description of a package of R',
  matches: /\/R\/((site-)?library|[^/]+-library\/[^/]+)\/[^/]+\/DESCRIPTION$/,
  limit: 1024 * 1024,
  read(bytes, place) {
    const fields = headOf(bytes.toString())
    return named({
      ecosystem: 'cran',
      name: fields.get('package'),
      version: fields.get('version'),
      licence: line(line(fields.get('license'))?.replace(/\s*[+|]\s*file LICEN[CS]E\s*$/i, '')),
      supplier: line(fields.get('maintainer'), 256),
      summary: line(fields.get('title')),
      homepage: webAddress(fields.get('url')?.split(/[,\s]/)[0]),
      place,
    })
  },
}

export const julia: Reader = {
  what: 'the description of a package of Julia',
  matches: /\/packages\/[^/]+\/[A-Za-z0-9]{5}\/Project\.toml$/,
  limit: 1024 * 1024,
  read(bytes, place) {
    const [head = ''] = bytes.toString().split(/^[ \t]*\[/m, 1)
    const value = (key: string): string | undefined =>
      new RegExp(`^[ \\t]*${key}[ \\t]*=[ \\t]*"([^"\\\\]*)"`, 'm').exec(head)?.[1]
    return named({
      ecosystem: 'julia',
      name: value('name'),
      version: value('version'),
      qualifiers: { uuid: line(value('uuid'), 64) },
      place,
    })
  },
}
