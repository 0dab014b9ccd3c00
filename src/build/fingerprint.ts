/** What files and trees of the host are, as hashes: by what they hold, or, for trees that are only looked at, by their numbers. */

import { createHash, type Hash } from 'node:crypto'
import { lstatSync, readdirSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { type DigestOptions, partDigest } from './digest.ts'
import { type BytePath, onDisk } from './inside.ts'

export type ContentOptions = DigestOptions & {
  /** What links lead to counts, or where they lead. One at the beginning is followed. */
  readonly links: 'follow' | 'keep'
  /** Device and inode of a directory that is left out wherever it turns up: where the build itself works. */
  readonly without?: string
}

export const fileId = ({ dev, ino }: Stats): string => `${dev}:${ino}`

function typeOf(stats: Stats): string {
  if (stats.isDirectory()) return 'directory'
  if (stats.isFile()) return 'file'
  return stats.isSymbolicLink() ? 'link' : 'other'
}

async function addEntry(
  hash: Hash,
  path: BytePath,
  name: BytePath,
  above: ReadonlySet<string>,
  options: ContentOptions,
) {
  options.signal.throwIfAborted()
  const isFollowed = options.links === 'follow' || above.size === 0
  const stats = isFollowed ? statSync(onDisk(path)) : lstatSync(onDisk(path))
  const id = fileId(stats)
  if (id === options.without) return
  if (above.has(id)) throw new Error('a link leads back above itself')
  // Copies of files of the host are without the bits above.
  const mode = stats.mode & (options.links === 'follow' ? 0o777 : 0o7777)
  hash.update(JSON.stringify([name, typeOf(stats), mode]))
  if (stats.isSymbolicLink()) hash.update(JSON.stringify(readlinkSync(onDisk(path), 'latin1')))
  if (stats.isFile()) hash.update(await partDigest(onDisk(path), { offset: 0, size: stats.size }, options))
  if (!stats.isDirectory()) return
  const names = readdirSync(onDisk(path), { encoding: 'latin1' }).sort()
  for (const child of names) await addEntry(hash, `${path}/${child}`, child, new Set([...above, id]), options)
  hash.update('end')
}

/**
 * What a file or tree of the host is: names, types, modes and what files hold, not when they were changed. @throws the system's error for what cannot be read
 */
export async function contentHash(path: BytePath, options: ContentOptions): Promise<string> {
  const hash = createHash('sha256')
  await addEntry(hash, path, '', new Set(), options)
  return hash.digest('hex')
}

/** As many files are looked at. */
const mostFiles = 20_000

/**
 * What a tree of the host looks like from outside: names, sizes and times, links not followed below. Undefined for one that has too many
 * files, or cannot be looked at.
 */
export function lookHash(path: string, most = mostFiles): string | undefined {
  const hash = createHash('sha256')
  const pending = [path]
  let count = 0
  try {
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      count += 1
      if (count > most) return undefined
      const stats = next === path ? statSync(next) : lstatSync(next)
      const { mode, size, mtimeMs, ctimeMs, ino } = stats
      const isDirectory = stats.isDirectory()
      hash.update(JSON.stringify([next, mode, isDirectory ? 0 : size, mtimeMs, ctimeMs, ino]))
      if (stats.isSymbolicLink()) hash.update(JSON.stringify(readlinkSync(next)))
      if (isDirectory)
        pending.push(
          ...readdirSync(next)
            .sort()
            .map((name) => `${next}/${name}`),
        )
    }
    return hash.digest('hex')
  } catch {
    return undefined
  }
}
