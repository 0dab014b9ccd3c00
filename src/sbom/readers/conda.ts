/** Packages of conda: a document for each in the `conda-meta` of its environment. */

import { posix } from 'node:path'
import type { Algorithm, Checksum, PackagedFile, Reader } from '../types.ts'
import { jsonObject, line, listOf, member, named, webAddress } from './text.ts'

function checksums(value: unknown, keys: Readonly<Record<string, Algorithm>>): Checksum[] {
  return Object.entries(keys).flatMap(([key, algorithm]) => {
    const digest = member(value, key)
    return typeof digest === 'string' && /^([0-9a-f]{32}|[0-9a-f]{64})$/.test(digest)
      ? [{ algorithm, value: digest }]
      : []
  })
}

/** The digest of a file as it lies there; where paths were written into it, that differs from the one in the archive. */
function filesOf(document: unknown, environment: string): PackagedFile[] {
  return listOf(member(member(document, 'paths_data'), 'paths')).flatMap((one) => {
    const path = member(one, '_path')
    if (typeof path !== 'string') return []
    const installed = checksums(one, { sha256_in_prefix: 'SHA256' })
    return [
      {
        path: posix.join(environment, path),
        checksums: installed.length > 0 ? installed : checksums(one, { sha256: 'SHA256' }),
      },
    ]
  })
}

/** `https://conda.example/conda-forge/linux-64` and names of that kind: the last part that is no platform. */
function channelOf(channel: unknown): string | undefined {
  const parts = line(channel, 1024)?.split('/').filter(Boolean) ?? []
  const isPlatform = /^(noarch|(linux|osx|win)-\w+)$/.test(parts.at(-1) ?? '')
  return (isPlatform ? parts.slice(0, -1) : parts).at(-1)
}

export const conda: Reader = {
  what: 'the record of a package of conda',
  matches: /\/conda-meta\/[^/]+\.json$/,
  limit: 64 * 1024 * 1024,
  read(bytes, place, { withFiles }) {
    const record = jsonObject(bytes)
    const url = webAddress(record.url)
    return named({
      ecosystem: 'conda',
      name: record.name,
      version: record.version,
      licence: line(record.license),
      download: url,
      checksums: checksums(record, { md5: 'MD5', sha256: 'SHA256' }),
      qualifiers: {
        build: line(record.build, 128),
        channel: channelOf(record.channel),
        subdir: line(record.subdir, 64),
        type: url && /\.(conda|tar\.bz2)$/.exec(url)?.[1],
      },
      ...(withFiles ? { files: filesOf(record, posix.resolve(place, '../..')) } : {}),
      place,
    })
  },
}
