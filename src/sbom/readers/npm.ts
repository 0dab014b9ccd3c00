/** Packages of Node: the `package.json` of each directory below a `node_modules`. */

import type { Reader } from '../types.ts'
import { jsonObject, line, listOf, member, named, webAddress } from './text.ts'

const textOf = (value: unknown, key: string): string | undefined =>
  typeof value === 'string' ? line(value, 256) : line(member(value, key), 256)

/** One licence, or what is older: one with its type, or a list of such. */
function licenceOf(document: Readonly<Record<string, unknown>>): string | undefined {
  const one = textOf(document.license, 'type')
  if (one) return one.replace(/^SEE LICEN[CS]E IN .*/i, '') || undefined
  const many = listOf(document.licenses).flatMap((each) => textOf(each, 'type') ?? [])
  return many.length > 0 ? many.join(' OR ') : undefined
}

function supplierOf(author: unknown): string | undefined {
  const name = textOf(author, 'name')?.replace(/\s*\(https?:.*\)$/, '')
  const address = typeof author === 'string' ? undefined : line(member(author, 'email'), 128)
  return name && address ? `${name} <${address}>` : name
}

export const npm: Reader = {
  what: 'the description of a package of npm',
  matches: /\/node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/,
  limit: 4 * 1024 * 1024,
  read(bytes, place) {
    const document = jsonObject(bytes)
    return named({
      ecosystem: 'npm',
      name: document.name,
      version: document.version,
      licence: licenceOf(document),
      supplier: supplierOf(document.author),
      summary: line(document.description),
      homepage: webAddress(document.homepage),
      place,
    })
  },
}
