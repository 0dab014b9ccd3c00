/** COPY, and ADD of what lies on this machine: files of the context, of a stage or of the Dockerfile itself come into the tree. */

import { randomUUID } from 'node:crypto'
import { lchownSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { errnoOf, SingError, shown } from '../../core/errors.ts'
import type { Action } from '../../definition/dockerfile/actions.ts'
import { isPattern } from '../../definition/dockerfile/glob.ts'
import { ignorePatterns } from '../../definition/dockerfile/ignore.ts'
import { type BytePath, look, makeDirectoryBytes, onDisk, resolveBytes, toBytes, toText } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { transfer } from '../transfer.ts'
import { findSources, hashSources, leavesOut, type Origin, type Source, treeOrigin } from './context.ts'
import { modeOf, ownerIn } from './owner.ts'

export type Copy = Extract<Action, { kind: 'copy' | 'add' }>

/** Where files come from: the context, or the tree of a stage. */
export type Giver = {
  /** What made the files, where an earlier stage did and somebody knows. Absent: the files have to be read. */
  readonly known?: { readonly identity: readonly string[] | undefined }
  readonly open: () => Promise<Origin>
}

type Owner = { readonly uid: number; readonly gid: number }

/** What an image has so that runtimes of the family know it: it belongs to that image, not to one that its files are copied to. */
const ofImages = /^\.singularity\.d$|^(singularity|environment|\.(run|exec|test|shell))$/

/** All that the words stand for. @throws SingError BUILD when one stands for nothing */
export function sourcesOf({ sources }: Pick<Copy, 'sources'>, origin: Origin): Source[] {
  return sources.flatMap((word) => {
    const found = findSources(word, origin)
    if (found.length > 0) return found
    const what = isPattern(word) ? 'nothing matches it' : `it is not in ${origin.name}`
    const hint = origin.ignore.isEmpty ? undefined : 'Look at .dockerignore, too'
    throw new SingError('BUILD', `cannot copy ${shown(word)}: ${what}`, { hint })
  })
}

/** What of a source is not copied: what is ignored, what `--exclude` names, and what makes an image of the tree of a stage. */
function leftOut(
  { excluded: patterns, line }: Pick<Copy, 'excluded' | 'line'>,
  source: Source,
  origin: Origin,
): (place: BytePath) => boolean {
  const excluded = ignorePatterns(patterns, '--exclude', line)
  const start = source.place.length + 1
  return (place) => {
    const name = toText(place.slice(start))
    if (origin.kind === 'stage' && source.place === origin.root && isOfImage(name, place)) return true
    return leavesOut(origin, place) || (!excluded.isEmpty && excluded.ignores(name))
  }
}

function isOfImage(name: string, place: BytePath): boolean {
  if (ofImages.test(name)) return name === '.singularity.d' || (look(place)?.isSymbolicLink() ?? false)
  return /^etc\/(hosts|resolv\.conf)$/.test(name) && look(place)?.size === 0
}

/** Everything that decides what the copy does; undefined where that cannot be told. */
export async function copyIdentity(
  copy: Copy,
  giver: Giver,
  tools: BuildTools,
): Promise<readonly string[] | undefined> {
  const { line: _, title: __, ...words } = copy
  const files = copy.sources.length === 0 ? [] : await filesIdentity(copy, giver, tools)
  return files && [copy.kind, JSON.stringify(words), ...files]
}

async function filesIdentity(
  copy: Copy,
  { known, open }: Giver,
  { signal, results }: BuildTools,
): Promise<readonly string[] | undefined> {
  if (known) return known.identity
  const origin = await open()
  const hashes: string[] = []
  for (const source of sourcesOf(copy, origin)) {
    const options = { leavesOut: leftOut(copy, source, origin), facts: results?.facts, signal }
    hashes.push(await hashSources([source], options))
  }
  return hashes
}

export class Copier {
  readonly #copy: Copy
  readonly #root: BytePath
  readonly #owner: Owner | undefined
  readonly #mode: number | undefined
  readonly #tools: BuildTools

  constructor(copy: Copy, root: string, tools: BuildTools) {
    this.#copy = copy
    this.#root = toBytes(root.replace(/\/$/, ''))
    this.#owner = copy.owner === undefined ? undefined : ownerIn(root, copy.owner)
    this.#mode = copy.mode === undefined ? undefined : modeOf(copy.mode)
    this.#tools = tools
  }

  /** A directory, and those above it, where they do not exist; new ones belong to who the copies belong to. */
  directory(path: BytePath): BytePath {
    const missing: BytePath[] = []
    const place = resolveBytes(this.#root, path)
    for (let above = place; above.length > this.#root.length && !look(above); above = posix.dirname(above))
      missing.push(above)
    makeDirectoryBytes(this.#root, path)
    if (this.#owner) for (const one of missing) this.#give(one, this.#owner)
    return place
  }

  #give(place: BytePath, { uid, gid }: Owner): void {
    try {
      lchownSync(onDisk(place), uid, gid)
    } catch (error) {
      // An id that the user namespace does not have; transfer() warns of it.
      if (errnoOf(error) !== 'EPERM' && errnoOf(error) !== 'EINVAL') throw error
    }
  }

  /** The path of the image that something of this name gets. */
  #target(name: string, isOneOfMany: boolean): BytePath {
    const { destination } = this.#copy
    const path = toBytes(destination)
    const isDirectory =
      destination.endsWith('/') || isOneOfMany || look(resolveBytes(this.#root, path))?.isDirectory()
    return isDirectory ? `${path}/${toBytes(name)}` : path
  }

  /** Copy one source: of a directory what is in it, a file into the destination or in its place. */
  async take(source: Source, origin: Origin, isOneOfMany: boolean): Promise<void> {
    const { report, signal } = this.#tools
    const to = this.#targetOf(source, isOneOfMany)
    const isDirectory = source.stats.isDirectory()
    this.directory(isDirectory ? to : posix.dirname(to))
    await transfer(source.place, resolveBytes(this.#root, to, isDirectory ? 'follow' : 'keep'), {
      root: this.#root,
      kind: origin.kind,
      owner: this.#owner,
      mode: this.#mode,
      leavesOut: leftOut(this.#copy, source, origin),
      report,
      signal,
    })
  }

  #targetOf(source: Source, isOneOfMany: boolean): BytePath {
    const { destination, keepsParents } = this.#copy
    if (keepsParents) return `${toBytes(destination)}/${source.path}`
    if (source.stats.isDirectory()) return toBytes(destination)
    return this.#target(toText(posix.basename(source.path)), isOneOfMany)
  }

  /** A file of this build's own, under a name that it does not have itself. */
  async file(file: string, name: string, isOneOfMany: boolean): Promise<void> {
    const place = toBytes(file)
    const origin = treeOrigin(dirname(file), 'the build', 'context')
    await this.take({ path: toBytes(name), place, stats: statSync(file) }, origin, isOneOfMany)
  }

  /** A file that stands in the Dockerfile. */
  async text(name: string, text: string, isOneOfMany: boolean): Promise<void> {
    const file = join(this.#tools.scratch.path, `text-${randomUUID()}`)
    writeFileSync(file, text, { mode: 0o644 })
    await this.file(file, name, isOneOfMany)
  }
}

/** Several things go into a directory, which is to be written as one. */
export function requireDirectory({ kind, destination }: Copy, count: number): void {
  if (count < 2 || destination.endsWith('/') || destination === '/') return
  throw new SingError(
    'DEFINITION',
    `${kind.toUpperCase()} of ${count} sources needs a directory as its destination`,
    {
      hint: `Write a slash behind it: ${shown(destination)}/`,
    },
  )
}
