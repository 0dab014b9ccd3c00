/**
 * What a converted image gets on top of its layers: what runtimes rely on and the layers lack, and what the OCI configuration
 * becomes. Pure: the merged tree is asked through `lookup`, nothing is written.
 */

import { Buffer } from 'node:buffer'
import { follow, type Node, nodeOf } from '../core/follow.ts'
import type { Entry } from '../native/addon.ts'
import type { ImageConfig } from '../oci/types.ts'
import { labelsFile, labelsText, parseLabelsFile } from './labels.ts'
import { ociEnvironmentFile, ociEnvironmentScript, ociLabels, ociRunscript } from './oci-scripts.ts'
import { baseDirectories, baseFiles, baseLinks } from './texts.ts'

/** The tree of the layers; links are not followed. */
export type Tree = {
  lookup(path: string): { readonly type: Entry['type']; readonly link?: string } | undefined
  /** The contents of the small files that were asked for. */
  readonly captured: ReadonlyMap<string, { readonly data: Buffer }>
}

export type Description = {
  readonly definition: string
  /** The keys of the definition. */
  readonly header: Readonly<Record<string, string>>
  readonly config: ImageConfig
  readonly version: string
  /** Seconds since 1970, of everything that is added. */
  readonly time: number
}

const folder = '/.singularity.d'
const definitionFile = `${folder}/Singularity`
const runscript = `${folder}/runscript`

/** Files whose contents have to be known before anything is added. */
export const capturedFiles = [labelsFile, definitionFile]

/**
 * A path of the tree without links in its part before the last component, or in all of it. What does not exist is taken by
 * name. Undefined when it leads through a file or in circles.
 */
export function resolvePath(tree: Tree, path: string, last: 'follow' | 'keep'): string | undefined {
  const look = (at: string): Node | undefined => {
    const found = tree.lookup(at)
    return found && nodeOf({ type: found.type, target: found.link })
  }
  const { state, path: found } = follow(path, look, last)
  return state === 'there' || state === 'missing' ? found : undefined
}

const owner = { uid: 0, gid: 0 }

function fileEntry(path: string, content: string | Uint8Array, mode: number, mtime: number): Entry {
  const data = Buffer.from(content)
  return { path, type: 'file', mode, ...owner, mtime, size: data.length, data: once(data) }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  if (data.length > 0) yield data
}

/** What images must have. What is there stays, links too; a link that leads nowhere gets the directory that it names. */
function missing(tree: Tree, mtime: number): Entry[] {
  const isFree = (place: string | undefined): place is string =>
    place !== undefined && tree.lookup(place) === undefined
  const directories = baseDirectories.flatMap(([path, mode]): Entry[] => {
    const place = resolvePath(tree, path, 'follow')
    return isFree(place) ? [{ path: place, type: 'directory', mode, ...owner, mtime, size: 0 }] : []
  })
  const files = baseFiles.flatMap(([path, text, mode]): Entry[] => {
    const place = resolvePath(tree, path, 'keep')
    return isFree(place) ? [fileEntry(place, text, mode, mtime)] : []
  })
  const links = baseLinks.flatMap(([path, link]): Entry[] => {
    const place = resolvePath(tree, path, 'keep')
    return isFree(place)
      ? [{ path: place, type: 'symlink', link, mode: 0o777, ...owner, mtime, size: 0 }]
      : []
  })
  return [...directories, ...files, ...links]
}

/** Programs that run the runscript: a runscript that runs them would never end. */
export const runners = [runscript, '/singularity', '/.run', `${folder}/actions/run`]

/** An image that was an image of this kind before keeps its runscript, unless its configuration names a program. */
function keepsRunscript(tree: Tree, { entrypoint, command }: ImageConfig): boolean {
  const [program] = [...entrypoint, ...command]
  return tree.lookup(runscript) !== undefined && (program === undefined || runners.includes(program))
}

/** The definition of what the image was before becomes the first file of its history. */
function historyOf(tree: Tree, definition: string): [string, Uint8Array][] {
  const previous = tree.captured.get(definitionFile)?.data
  if (previous === undefined || previous.equals(Buffer.from(definition))) return []
  let number = 0
  while (tree.lookup(`${folder}/bootstrap_history/Singularity${number}`)) number += 1
  return [[`${folder}/bootstrap_history/Singularity${number}`, previous]]
}

/** Everything that is put on top of the layers, in the order in which it is to be packed. */
export function additionsTo(tree: Tree, description: Description): Entry[] {
  const { definition, header, config, version, time } = description
  const base = parseLabelsFile(tree.captured.get(labelsFile)?.data.toString() ?? '') ?? new Map()
  const making = { version, time: new Date(time * 1000), arch: config.platform.architecture }
  const written: [string, string | Uint8Array, number][] = [
    ...historyOf(tree, definition).map(([path, data]): [string, Uint8Array, number] => [path, data, 0o644]),
    [definitionFile, definition, 0o644],
    [ociEnvironmentFile, ociEnvironmentScript(config), 0o755],
    [labelsFile, labelsText(ociLabels(base, config, making, header)), 0o644],
    ...(keepsRunscript(tree, config)
      ? []
      : [[runscript, ociRunscript(config), 0o755] as [string, string, number]]),
  ]
  const paths = new Set(written.map(([path]) => path))
  const own = written.map(([path, content, mode]) => {
    const place = resolvePath(tree, path, 'keep') ?? path
    return fileEntry(place, content, mode, time)
  })
  return [...missing(tree, time).filter(({ path }) => !paths.has(path)), ...own]
}
