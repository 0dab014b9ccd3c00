/** The directory that COPY and ADD take files from, or the tree of a stage: what is in it, for patterns, copies and hashes. */

import { createHash, type Hash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import { compilePattern, isPattern, matches } from '../../definition/dockerfile/glob.ts'
import { type Ignore, ignorePatterns, readIgnore } from '../../definition/dockerfile/ignore.ts'
import { type DigestOptions, partDigest } from '../digest.ts'
import { type BytePath, failure, look, onDisk, resolveBytes, toBytes, toText } from '../inside.ts'

export type Origin = {
  /** The directory, without a slash at its end. */
  readonly root: BytePath
  /** What of it does not exist for a build. */
  readonly ignore: Ignore
  readonly kind: 'context' | 'stage'
  /** The image that is built, when it lies in the context: no part of it. */
  readonly image?: BytePath | undefined
  /** For messages. */
  readonly name: string
}

/** A file or directory that an instruction names. */
export type Source = {
  /** As it was found, relative. */
  readonly path: BytePath
  /** On the host, links followed inside the origin. */
  readonly place: BytePath
  readonly stats: Stats
}

const largestIgnore = 4 * 1024 * 1024
const nothingIgnored = ignorePatterns([], '', 0)

/** The context of a Dockerfile, with the .dockerignore that belongs to it: `NAME.dockerignore`, or that of the context. */
export function openContext(directory: string, dockerfile: string, image?: string): Origin {
  const own = `${dockerfile}.dockerignore`
  const files = [own, join(directory, '.dockerignore'), join(directory, '.containerignore')]
  const file = files.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile())
  const ignore = file === undefined ? nothingIgnored : readIgnoreFile(file)
  const root = toBytes(directory.replace(/\/$/, ''))
  const inside = image === undefined ? undefined : imageIn(root, directory, image)
  return { root, ignore, kind: 'context', name: 'the context', image: inside }
}

/** Where in the context the new image is to be, which need not be there yet; undefined when it is elsewhere. */
function imageIn(root: BytePath, directory: string, image: string): BytePath | undefined {
  const place = join(realpathSync(dirname(resolve(image))), basename(image))
  const below = `${realpathSync(directory)}/`
  return place.startsWith(below) ? `${root}/${toBytes(place.slice(below.length))}` : undefined
}

function readIgnoreFile(file: string): Ignore {
  if (statSync(file).size > largestIgnore)
    throw new SingError('DEFINITION', `${shown(file)} is larger than ${largestIgnore} bytes`)
  return readIgnore(readFileSync(file, 'utf8'), shown(file))
}

/** The tree of a stage or an image, or files of our own. */
export const treeOrigin = (root: string, name: string, kind: Origin['kind'] = 'stage'): Origin => ({
  root: toBytes(root.replace(/\/$/, '')),
  ignore: nothingIgnored,
  kind,
  name,
})

const relative = ({ root }: Origin, place: BytePath): string => toText(place.slice(root.length + 1))

/**
 * The files and directories that a word stands for, sorted; patterns may stand for several, and for none.
 * @throws SingError BUILD for a word that leads out of the origin
 */
export function findSources(word: string, origin: Origin): Source[] {
  const parts = cleanParts(word, origin)
  let found: BytePath[] = ['']
  for (const part of parts) {
    const below = (path: BytePath, name: BytePath): BytePath => (path === '' ? name : `${path}/${name}`)
    const pattern = isPattern(part) ? compilePattern(part, 'path') : undefined
    found = pattern
      ? found.flatMap((path) =>
          namesIn(path, origin)
            .filter((name) => matches(pattern, toText(name)))
            .map((name) => below(path, name)),
        )
      : found.map((path) => below(path, toBytes(part.replace(/\\(.)/g, '$1'))))
  }
  return found.flatMap((path) => sourceAt(path, origin) ?? [])
}

function cleanParts(word: string, { name }: Origin): string[] {
  const parts: string[] = []
  for (const part of word.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined)
      throw new SingError('BUILD', `${shown(word)} leads out of ${name}`, {
        hint: 'Only what lies in the context can be copied: build with a directory further up',
      })
  }
  return parts
}

function namesIn(path: BytePath, { root }: Origin): BytePath[] {
  const place = resolveBytes(root, path)
  if (!look(place)?.isDirectory()) return []
  const names = readdirSync(onDisk(place), { encoding: 'buffer' })
  return names.map((name) => name.toString('latin1')).sort()
}

function sourceAt(path: BytePath, origin: Origin): Source | undefined {
  const place = resolveBytes(origin.root, path)
  const stats = look(place)
  if (!stats) return undefined
  const isOut = [toText(path), relative(origin, place)].some(
    (name) => origin.ignore.ignores(name) && !(stats.isDirectory() && holdsKept(origin, place)),
  )
  return isOut || isImage(place, origin) ? undefined : { path, place, stats }
}

const isImage = (place: BytePath, { image }: Origin): boolean =>
  image !== undefined && (place === image || place.startsWith(`${image}/`))

/** Whether an ignored directory holds something that is not. */
function holdsKept(origin: Origin, directory: BytePath): boolean {
  if (!origin.ignore.mayKeepBelow(relative(origin, directory))) return false
  return readdirSync(onDisk(directory), { encoding: 'buffer' }).some(
    (name) => !leavesOut(origin, `${directory}/${name.toString('latin1')}`),
  )
}

/** Whether something in a directory of the origin is not there for the build. */
export function leavesOut(origin: Origin, place: BytePath): boolean {
  if (isImage(place, origin)) return true
  if (origin.ignore.isEmpty || !origin.ignore.ignores(relative(origin, place))) return false
  return !(look(place)?.isDirectory() && holdsKept(origin, place))
}

export type HashOptions = DigestOptions & {
  readonly leavesOut: (place: BytePath) => boolean
}

/** A hash of everything that a copy of these sources can bring along: names, types, modes, contents; not times and owners. */
export async function hashSources(sources: readonly Source[], options: HashOptions): Promise<string> {
  const hash = createHash('sha256')
  for (const { path, place } of sources) await hashEntry(path, place, hash, options)
  return hash.digest('hex')
}

async function hashEntry(name: BytePath, place: BytePath, hash: Hash, options: HashOptions): Promise<void> {
  options.signal.throwIfAborted()
  try {
    const stats = look(place)
    if (!stats) return
    const type = stats.mode & 0o170000
    hash.update(`${type.toString(8)} ${(stats.mode & 0o7777).toString(8)} ${stats.size} ${name}\0`, 'latin1')
    if (stats.isSymbolicLink()) hash.update(readlinkSync(onDisk(place), 'latin1'), 'latin1').update('\0')
    if (stats.isFile()) hash.update(await partDigest(onDisk(place), { offset: 0, size: stats.size }, options))
    if (stats.isDirectory()) await hashDirectory(name, place, hash, options)
  } catch (error) {
    throw failure(`cannot read ${shown(toText(place))}`, error)
  }
}

async function hashDirectory(
  name: BytePath,
  place: BytePath,
  hash: Hash,
  options: HashOptions,
): Promise<void> {
  const names = readdirSync(onDisk(place), { encoding: 'buffer' }).map((one) => one.toString('latin1'))
  for (const one of names.sort()) {
    if (!options.leavesOut(`${place}/${one}`))
      await hashEntry(`${name}/${one}`, `${place}/${one}`, hash, options)
  }
}
