/** Trees of a few files for readers of lists of packages. */

import { Buffer } from 'node:buffer'
import type { Package, Reader, Tree } from '../../../src/sbom/types.ts'

export type Files = Readonly<Record<string, string | Buffer>>

export const treeOf = (files: Files, withFiles = false): Tree => ({
  withFiles,
  read: (path, limit) => {
    const bytes = files[path] === undefined ? undefined : Buffer.from(files[path])
    return bytes && bytes.length <= limit ? bytes : undefined
  },
})

/** What the reader makes of the file at `path`. */
export function read(reader: Reader, path: string, files: Files, withFiles = false): Package[] {
  if (!reader.matches.test(path)) throw new Error(`${path} is not for this reader`)
  return [...reader.read(Buffer.from(files[path] ?? ''), path, treeOf(files, withFiles))]
}

/** A package without what is not said of it. */
export const said = (one: object): object =>
  Object.fromEntries(
    Object.entries(one)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, key === 'qualifiers' ? said(value as object) : value]),
  )
