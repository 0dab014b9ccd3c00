/** Packages of Alpine: paragraphs of lines with one letter each, upper case and lower case being different ones. */

import { Buffer } from 'node:buffer'
import type { Package, PackagedFile, Reader } from '../types.ts'
import { line, named, partsOf, webAddress } from './text.ts'

/** `Q1` and the digest in base64. */
function sha1Of(text: string): PackagedFile['checksums'] {
  const digest = text.startsWith('Q1') ? Buffer.from(text.slice(2), 'base64') : Buffer.alloc(0)
  return digest.length === 20 ? [{ algorithm: 'SHA1', value: digest.toString('hex') }] : []
}

function filesOf(lines: readonly string[]): PackagedFile[] {
  const files: PackagedFile[] = []
  let directory = ''
  let path: string | undefined
  for (const text of lines) {
    const value = text.slice(2)
    if (text.startsWith('F:')) directory = value === '' ? '' : `/${value}`
    else if (text.startsWith('R:')) {
      path = `${directory}/${value}`
      files.push({ path, checksums: [] })
    } else if (text.startsWith('Z:') && path !== undefined)
      files.splice(-1, 1, { path, checksums: sha1Of(value) })
  }
  return files
}

function packageOf(paragraph: string, place: string, withFiles: boolean): Package[] {
  const lines = paragraph.split('\n')
  const field = (letter: string): string | undefined =>
    lines.find((one) => one.startsWith(`${letter}:`))?.slice(2)
  const origin = line(field('o'), 256)
  return named({
    ecosystem: 'apk',
    name: field('P'),
    version: field('V'),
    architecture: line(field('A'), 64),
    licence: line(field('L')),
    supplier: line(field('m'), 256),
    summary: line(field('T')),
    homepage: webAddress(field('U')),
    qualifiers: { upstream: origin === field('P') ? undefined : origin },
    ...(withFiles ? { files: filesOf(lines) } : {}),
    place,
  })
}

export const apk: Reader = {
  what: 'the list of apk',
  matches: /^\/(usr\/)?lib\/apk\/db\/installed$/,
  limit: 256 * 1024 * 1024,
  *read(bytes, path, { withFiles }) {
    for (const paragraph of partsOf(bytes.toString(), /\n{2,}/g)) yield* packageOf(paragraph, path, withFiles)
  },
}
