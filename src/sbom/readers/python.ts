/** Packages of Python wherever they lie: `.dist-info` with METADATA, and what is older, `.egg-info`. */

import { Buffer } from 'node:buffer'
import { posix } from 'node:path'
import type { Checksum, PackagedFile, Reader, Tree } from '../types.ts'
import { type Fields, headOf, line, named, webAddress } from './text.ts'

const largestRecord = 16 * 1024 * 1024
const sizes: Readonly<Record<string, number>> = { sha256: 32, sha384: 48, sha512: 64 }

/** `License-Expression` is one of SPDX; `License` may be a whole text, of which the first line says little. */
function licenceOf(fields: Fields, text: string): string | undefined {
  const expression = line(fields.get('license-expression'), 256)
  if (expression) return expression
  const free = fields.get('license') ?? ''
  if (free !== '' && free !== 'UNKNOWN' && !free.includes('\n') && free.length <= 128) return line(free)
  const head = text.slice(0, text.search(/\r?\n\r?\n/) + 1 || undefined)
  const classified = [...head.matchAll(/^Classifier: License ::(.{1,256})$/gm)]
    .flatMap(([, names = '']) => line(names.slice(names.lastIndexOf('::') + 2 || 0)) ?? [])
    .filter((name) => name !== 'OSI Approved')
  return classified.length > 0 ? classified.join(' AND ') : undefined
}

function supplierOf(fields: Fields): string | undefined {
  const [name, address] = [line(fields.get('author'), 128), line(fields.get('author-email'), 128)]
  if (name === undefined || name === 'UNKNOWN') return address
  return address && !address.includes('<') && !address.includes(',') ? `${name} <${address}>` : name
}

function checksumsOf(text: string): Checksum[] {
  const [name = '', value = ''] = text.split('=')
  const digest = Buffer.from(value, 'base64url')
  if (digest.length !== sizes[name]) return []
  return [{ algorithm: name.toUpperCase() as Checksum['algorithm'], value: digest.toString('hex') }]
}

/** RECORD: `path,algorithm=digest,size` lines, a path with a comma in quotes; paths begin where the package lies. */
function filesOf(tree: Tree, directory: string): PackagedFile[] {
  const text = tree.read(`${directory}/RECORD`, largestRecord)?.toString() ?? ''
  return [...text.matchAll(/^(?:"((?:[^"\n]|"")+)"|([^,"\n]+)),([^,\n]*),\d*\r?$/gm)].map(
    ([, quoted, plain = '', digest = '']) => ({
      path: posix.resolve(directory, '..', quoted?.replaceAll('""', '"') ?? plain),
      checksums: checksumsOf(digest),
    }),
  )
}

export const python: Reader = {
  what: 'the metadata of a package of Python',
  matches: /\/[^/]+(\.dist-info\/METADATA|\.egg-info(\/PKG-INFO)?)$/,
  limit: 16 * 1024 * 1024,
  read(bytes, place, tree) {
    const text = bytes.toString()
    const fields = headOf(text)
    return named({
      ecosystem: 'pypi',
      name: fields.get('name'),
      version: fields.get('version'),
      licence: licenceOf(fields, text),
      supplier: supplierOf(fields),
      summary: line(fields.get('summary')),
      homepage: webAddress(fields.get('home-page')),
      ...(tree.withFiles && place.endsWith('/METADATA')
        ? { files: filesOf(tree, posix.dirname(place)) }
        : {}),
      place,
    })
  },
}
