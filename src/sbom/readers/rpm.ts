/** Packages of rpm, whichever of its three kinds of databases there is. */

import type { Buffer } from 'node:buffer'
import type { Algorithm, Package, PackagedFile, Reader } from '../types.ts'
import { bdbHeaders } from './bdb.ts'
import { ndbHeaders } from './ndb.ts'
import { Header } from './rpm-header.ts'
import { tableRows } from './sqlite.ts'
import { line, named, webAddress } from './text.ts'

/** Fedora since 36, RHEL since 10 and SUSE have it in the second place. */
const places = '^/(var/lib|usr/lib/sysimage)/rpm/'
const largestDatabase = 512 * 1024 * 1024
/** Marks of files that a package owns and does not bring: they have no content of its own. */
const GHOST = 1 << 6

/** RFC 4880, 9.4 */
const algorithms: Readonly<Record<number, Algorithm>> = {
  1: 'MD5',
  2: 'SHA1',
  8: 'SHA256',
  9: 'SHA384',
  10: 'SHA512',
}
const lengths: Readonly<Record<Algorithm, number>> = {
  MD5: 32,
  SHA1: 40,
  SHA256: 64,
  SHA384: 96,
  SHA512: 128,
}

function filesOf(header: Header): PackagedFile[] {
  const directories = header.texts('directories')
  const directoryOf = header.numbers('directoryOf')
  const digests = header.texts('digests')
  const flags = header.numbers('flags')
  const algorithm = algorithms[header.numbers('digestAlgorithm')[0] ?? 1]
  return header.texts('baseNames').flatMap((name, index) => {
    const value = digests[index] ?? ''
    const isWhole =
      algorithm !== undefined && value.length === lengths[algorithm] && /^[0-9a-f]+$/.test(value)
    // Directories and links have no digest.
    if (value === '' || ((flags[index] ?? 0) & GHOST) !== 0) return []
    const path = `${directories[directoryOf[index] ?? -1] ?? '/'}${name}`
    return [{ path, checksums: isWhole ? [{ algorithm, value }] : [] }]
  })
}

function packageOf(bytes: Buffer, place: string, withFiles: boolean): Package[] {
  const header = new Header(bytes)
  const name = header.text('name')
  // Keys that were imported are no packages.
  if (name === 'gpg-pubkey') return []
  const [version, release] = [header.text('version'), header.text('release')]
  const [epoch] = header.numbers('epoch')
  return named({
    ecosystem: 'rpm',
    name,
    version: version && release && `${version}-${release}`,
    architecture: line(header.text('architecture'), 64),
    licence: line(header.text('licence')),
    supplier: line(header.text('vendor'), 256) ?? line(header.text('packager'), 256),
    summary: line(header.text('summary')),
    homepage: webAddress(header.text('url')),
    qualifiers: {
      epoch: epoch === undefined ? undefined : String(epoch),
      upstream: line(header.text('source'), 256),
      rpmmod: line(header.text('modularity'), 256),
    },
    ...(withFiles ? { files: filesOf(header) } : {}),
    place,
  })
}

function* sqliteHeaders(file: Buffer): Generator<Buffer> {
  for (const [, blob] of tableRows(file, 'Packages'))
    if (typeof blob === 'object' && blob !== null) yield blob
}

const reader = (file: string, headers: (bytes: Buffer) => Iterable<Buffer>): Reader => ({
  what: 'the database of rpm',
  matches: new RegExp(`${places}${file}$`),
  limit: largestDatabase,
  *read(bytes, path, { withFiles }) {
    for (const header of headers(bytes)) yield* packageOf(header, path, withFiles)
  },
})

export const rpm: readonly Reader[] = [
  reader(String.raw`rpmdb\.sqlite`, sqliteHeaders),
  reader(String.raw`Packages\.db`, ndbHeaders),
  reader('Packages', bdbHeaders),
]
