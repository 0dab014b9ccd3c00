/** `%files`: from patterns and destinations to copies inside the root file system, out of the host or an earlier stage. */

import { existsSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { FileCopy } from '../definition/types.ts'
import { plainWord } from '../definition/words.ts'
import { type ContentOptions, contentHash } from './fingerprint.ts'
import { expandPattern } from './glob.ts'
import { type BytePath, look, makeDirectoryBytes, resolveBytes, resolveInside, toBytes } from './inside.ts'
import { transfer } from './transfer.ts'

export type CopyFilesOptions = {
  /** The tree of the stage that the files come from; undefined: the host. */
  readonly fromRoot?: string
  readonly root: string
  /** Where relative sources on the host begin. */
  readonly cwd: string
  /** A directory of the image in which all destinations lie (for apps). */
  readonly base?: string
  /** Variables that sources may name. */
  readonly environment?: Readonly<Record<string, string>>
  /** How messages call the definition. */
  readonly name?: string
  readonly report: Report
  readonly signal?: AbortSignal
}

/**
 * Perform the copies in their order.
 *
 * A destination that ends with a slash, that is a directory, or that several sources go to, takes the sources into it; any
 * other is the new name. Without a destination a source keeps its path. Missing directories are made, and links in the image
 * are followed inside it. From the host links are followed; from a stage only a link that is named itself.
 *
 * Throws BUILD or DEFINITION with the line of the definition, DISK_FULL when there is no room.
 */
export async function copyFiles(copies: readonly FileCopy[], options: CopyFilesOptions): Promise<void> {
  for (const copy of copies) {
    try {
      await performCopy(copy, options)
    } catch (error) {
      throw error instanceof SingError ? located(error, copy.line, options.name) : error
    }
  }
}

function located(error: SingError, line: number, name: string | undefined): SingError {
  const place = name === undefined ? `%files, line ${line}` : `${name}:${line}`
  return new SingError(error.code, line > 0 ? `${place}: ${error.message}` : error.message, {
    hint: error.hint,
    cause: error,
  })
}

/**
 * What decides what the copies from the host do, beside the tree that they go to; undefined when something is missing or cannot be
 * read, which the copying tells better. `without`: see `ContentOptions`.
 */
export async function copiesIdentity(
  copies: readonly FileCopy[],
  options: CopyFilesOptions,
  content: ContentOptions,
): Promise<readonly string[] | undefined> {
  const words: string[] = [options.base ?? '']
  try {
    for (const { source, destination } of copies) {
      words.push(destination)
      for (const found of findSources(source, options))
        words.push(found, await contentHash(sourcePlace(found, options), content))
    }
    return words
  } catch {
    content.signal.throwIfAborted()
    return undefined
  }
}

/** Whether a pattern may stand for `/.singularity.d` of a stage, which has the text of the definition too. */
export function mayReachMetadata(pattern: string): boolean {
  return /^[/.]*($|singularity)|^\/*[^/]*[*?[{$\\]|\.\./.test(pattern)
}

async function performCopy(copy: FileCopy, options: CopyFilesOptions): Promise<void> {
  const { destination, source } = copy
  const text = destination === '' ? '' : ` to ${shown(destination)}`
  options.report({ kind: 'info', text: `Copying ${shown(plainWord(source))}${text}` })
  const sources = findSources(source, options)
  const root = toBytes(options.root.replace(/\/$/, ''))
  for (const one of sources) {
    const target = targetOf(one, destination, sources.length > 1, root, options)
    const place = resolveBytes(root, target)
    makeDirectoryBytes(root, posix.dirname(place.slice(root.length) || '/'))
    const kind = options.fromRoot === undefined ? 'host' : 'stage'
    await transfer(sourcePlace(one, options), place, {
      root,
      kind,
      report: options.report,
      signal: options.signal,
    })
  }
}

/** The paths that a source stands for; at least one, and all exist. */
export function findSources(
  pattern: string,
  options: Pick<CopyFilesOptions, 'fromRoot' | 'cwd' | 'environment'>,
): string[] {
  const { fromRoot, cwd, environment } = options
  const isStage = fromRoot !== undefined
  const place = (path: string) => (isStage ? resolveInside(fromRoot, path) : hostPlace(path, cwd))
  const found = expandPattern(pattern, {
    variable: (name) => (environment && Object.hasOwn(environment, name) ? environment[name] : undefined),
    list: (directory) => namesIn(place(directory || (isStage ? '/' : '.'))),
    exists: (path) => existsSync(place(path)),
  })
  const hint = isStage ? 'names begin at the root of that stage' : `relative names begin in ${cwd}`
  if (found.length === 0) {
    throw new SingError('BUILD', `cannot copy ${shown(plainWord(pattern))}: nothing matches it`, { hint })
  }
  for (const path of found) {
    if (existsSync(place(path))) continue
    throw new SingError('BUILD', `cannot copy ${shown(path)}: no such file or directory`, { hint })
  }
  return found
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    // As in a shell: what cannot be listed matches nothing.
    return []
  }
}

/** Not normalised: `link/..` is where the link leads. */
function hostPlace(path: string, cwd: string): string {
  return path.startsWith('/') ? path : `${cwd}/${path}`
}

function sourcePlace(path: string, { fromRoot, cwd }: CopyFilesOptions): BytePath {
  return fromRoot === undefined
    ? toBytes(hostPlace(path, cwd))
    : resolveBytes(toBytes(fromRoot), toBytes(path))
}

/** Where in the image a source goes. */
function targetOf(
  source: string,
  destination: string,
  isOneOfMany: boolean,
  root: BytePath,
  { base = '/' }: CopyFilesOptions,
): BytePath {
  if (destination === '') return toBytes(`${base}/${source}`)
  const directory = toBytes(`${base}/${destination}`)
  const name = posix.basename(source)
  // The content of `.` and the like has no name to be put under.
  if (name === '' || name === '.' || name === '..') return directory
  const isDirectory =
    destination.endsWith('/') || isOneOfMany || look(resolveBytes(root, directory))?.isDirectory()
  return isDirectory ? `${directory}/${toBytes(name)}` : directory
}
