/** Digests of files and directories of the host that become a part of an image. */

import { createHash, type Hash } from 'node:crypto'
import { lstatSync, readdirSync, readlinkSync, type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Stage } from '../../definition/types.ts'
import { plainWord } from '../../definition/words.ts'
import { windowDigest } from '../digest.ts'
import { findSources } from '../files.ts'
import type { BuildTools } from '../request.ts'

/** `sha256:` and the digest of the file; of a directory that of the names, types, modes and contents in it. */
export async function contentDigest(
  path: string,
  links: 'follow' | 'keep',
  signal: AbortSignal,
): Promise<string> {
  const stats = statSync(path)
  if (stats.isFile()) return `sha256:${await fileDigest(path, stats, signal)}`
  const hash = createHash('sha256')
  await addEntry(hash, path, '.', links, signal)
  return `sha256:${hash.digest('hex')}`
}

const fileDigest = (file: string, { size }: Stats, signal: AbortSignal): Promise<string> =>
  windowDigest({ file, offset: 0, size }, { signal })

async function addEntry(
  hash: Hash,
  path: string,
  name: string,
  links: 'follow' | 'keep',
  signal: AbortSignal,
) {
  signal.throwIfAborted()
  const stats = links === 'follow' ? statSync(path) : lstatSync(path)
  const mode = (stats.mode & 0o7777).toString(8)
  if (stats.isSymbolicLink()) hash.update(`l ${name}\0${readlinkSync(path)}\0`)
  else if (stats.isFile()) hash.update(`f ${mode} ${name}\0${await fileDigest(path, stats, signal)}\0`)
  else if (!stats.isDirectory()) hash.update(`o ${mode} ${name}\0`)
  else {
    hash.update(`d ${mode} ${name}\0`)
    for (const child of readdirSync(path).sort())
      await addEntry(hash, `${path}/${child}`, `${name}/${child}`, links, signal)
  }
}

/** What the %files of all stages took from the host, by the words of the definition. */
export async function fileDigests(
  stages: readonly Stage[],
  tools: BuildTools,
): Promise<Record<string, string>> {
  const { facts, environment, request, signal } = tools
  const cwd = facts.cwd ?? '/'
  const blocks = request.sections.has('files') ? stages.flatMap(({ files }) => files) : []
  const copies = blocks.filter(({ from }) => from === undefined).flatMap((block) => block.copies)
  const digests: Record<string, string> = {}
  for (const { source } of copies) {
    const paths = findSources(source, { cwd, environment })
    const parts: string[] = []
    for (const path of paths) parts.push(await contentDigest(resolve(cwd, path), 'follow', signal))
    const together = createHash('sha256')
      .update([...paths, ...parts].join('\0'))
      .digest('hex')
    digests[plainWord(source)] = parts.length === 1 ? (parts[0] ?? '') : `sha256:${together}`
  }
  return digests
}
