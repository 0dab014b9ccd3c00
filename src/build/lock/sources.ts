/** Digests of files and directories of the host that become a part of an image. */

import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Stage } from '../../definition/types.ts'
import { plainWord } from '../../definition/words.ts'
import { partDigest } from '../digest.ts'
import { findSources } from '../files.ts'
import { contentHash } from '../fingerprint.ts'
import { toBytes } from '../inside.ts'
import type { BuildTools } from '../request.ts'

/** `sha256:` and the digest of the file; of a directory that of the names, types, modes and contents in it. */
export async function contentDigest(
  path: string,
  links: 'follow' | 'keep',
  signal: AbortSignal,
): Promise<string> {
  const stats = statSync(path)
  const digest = stats.isFile()
    ? await partDigest(path, { offset: 0, size: stats.size }, { signal })
    : await contentHash(toBytes(path), { links, signal })
  return `sha256:${digest}`
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
