/** The place of the new image: checked before the work, left untouched until the new one is whole. */

import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { errnoOf, reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { partialPrefix } from '../sif/write.ts'
import { dockerfileIn } from './dockerfile/spec.ts'
import type { BuildRequest } from './request.ts'
import { isStream } from './stream.ts'
import { removeTree } from './tree.ts'

/** Ask the person yes or no; undefined when nobody is there to answer. */
export type Confirm = ((question: string) => Promise<boolean>) | undefined

const name = (path: string): string => shown(path)

/** Whether a directory looks like a root file system, so that replacing it loses no work of another kind. */
function isContainer(directory: string): boolean {
  return existsSync(join(directory, '.singularity.d')) || existsSync(join(directory, '.exec'))
}

function requireParent(target: string): void {
  const parent = dirname(target)
  try {
    if (!statSync(parent).isDirectory())
      throw new SingError('IO', `cannot build ${name(target)}: ${parent} is no directory`)
    accessSync(parent, constants.W_OK | constants.X_OK)
  } catch (cause) {
    if (cause instanceof SingError) throw cause
    throw new SingError('IO', `cannot build ${name(target)}: ${name(parent)}: ${reasonOf(cause)}`, { cause })
  }
}

function look(target: string): Stats | undefined {
  try {
    return lstatSync(target, { throwIfNoEntry: false })
  } catch (cause) {
    throw new SingError('IO', `cannot build ${name(target)}: ${reasonOf(cause)}`, { cause })
  }
}

/** Refuse a target that is what it is made from, that lies in it (unless that is only the context of a Dockerfile), or that would take it along when it is replaced. */
function requireApart(target: string, spec: string): void {
  if (!existsSync(spec) || isStream(spec)) return
  const source = realpathSync(spec)
  const place = existsSync(target)
    ? realpathSync(target)
    : join(realpathSync(dirname(target)), basename(target))
  const refuse = (how: string): never => {
    throw new SingError('USAGE', `cannot build ${name(target)} ${how}`, { status: 255 })
  }
  if (place === source) refuse('from itself')
  const isInside = place.startsWith(`${source}${sep}`)
  if (isInside && dockerfileIn(source) === undefined) refuse(`inside its source ${name(spec)}`)
  if (source.startsWith(`${place}${sep}`))
    refuse(`in the place of a directory that holds its source ${name(spec)}`)
}

function requireUpdatable(target: string, stats: Stats | undefined): void {
  const refuse = (why: string): never => {
    throw new SingError('BUILD', `cannot update ${name(target)}: ${why}`, {
      hint: '--update runs the sections of a definition again in an existing sandbox (with --sandbox)',
    })
  }
  if (!stats) refuse('no such directory')
  else if (!stats.isDirectory()) refuse('not a directory')
  else if (!isContainer(target)) refuse('not a sandbox (it has no .singularity.d)')
}

async function requireConsent(target: string, stats: Stats, confirm: Confirm): Promise<void> {
  const what = stats.isDirectory() ? (isContainer(target) ? 'sandbox' : 'directory') : 'file'
  if (what === 'directory' || !confirm) {
    throw new SingError(
      'EXISTS',
      `${name(target)} already exists${what === 'directory' ? ' and is no container' : ''}`,
      {
        hint: `Give --force to replace the ${what}, or choose another name`,
      },
    )
  }
  if (await confirm(`Replace the ${what} ${name(target)}?`)) return
  throw new SingError('EXISTS', `${name(target)} is left as it is`)
}

/**
 * Check the target before anything is done: its directory, that it is not the source, and that what exists there may be
 * replaced (by --force or because the person says so).
 */
export async function requireTarget(request: BuildRequest, confirm: Confirm): Promise<void> {
  const { target, spec, sandbox, update, force } = request
  const stats = look(target)
  if (update) return requireUpdatable(target, stats)
  requireParent(target)
  requireApart(target, spec)
  if (!stats) return
  if (stats.isDirectory() && !sandbox) {
    throw new SingError('EXISTS', `${name(target)} is a directory; an image file cannot replace it`, {
      hint: 'Choose another name, or build a directory with --sandbox',
    })
  }
  if (!stats.isDirectory() && !stats.isFile() && !stats.isSymbolicLink()) {
    throw new SingError('EXISTS', `${name(target)} is neither a file nor a directory`)
  }
  if (!force) await requireConsent(target, stats, confirm)
}

/** Paths that processes of this user on this machine have open. */
function openPaths(): Set<string> {
  const paths = new Set<string>()
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) paths.add(readlinkSync(`/proc/${pid}/fd/${fd}`))
    } catch {
      // Gone meanwhile, or another user's.
    }
  }
  return paths
}

/** In a directory for everybody others can make the same names: what is theirs is neither believed nor touched. */
function isOwn(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.uid === process.geteuid?.()
}

/** None where the directory cannot be read: one may write into it all the same. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function partialsOf(target: string): string[] {
  const parent = dirname(target)
  const names = namesIn(parent).filter((entry) => entry.startsWith(partialPrefix(target)))
  return names.map((partial) => join(realpathSync(parent), partial)).filter(isOwn)
}

/**
 * Clear away what a build of the same target that was killed left beside it: files and directories that nobody has open. An
 * old sandbox that was moved aside and not replaced comes back.
 */
export function recoverPartials(target: string, report: Report): void {
  const partials = partialsOf(target)
  if (partials.length === 0) return
  const open = [...openPaths()]
  for (const path of partials) {
    if (open.some((other) => other === path || other.startsWith(`${path}/`))) continue
    try {
      const old = join(path, 'old')
      if (existsSync(old) && !existsSync(target)) renameSync(old, target)
      removeTree(path)
      report({ kind: 'verbose', text: `Removed ${path}, which a build that was killed had left` })
    } catch (error) {
      report({ kind: 'debug', text: `cannot remove ${path}: ${reasonOf(error)}` })
    }
  }
}

/** A directory beside the target, for what takes its place later by a rename. */
export function makePartial(target: string): string {
  return mkdtempSync(join(dirname(target), partialPrefix(target)))
}

/**
 * Put a finished tree into the target's place by a rename; what was there is moved aside first and removed only then. False
 * when the tree lies on another file system: nothing has changed then.
 */
export function putInPlace(tree: string, target: string, report: Report): boolean {
  const old = lstatSync(target, { throwIfNoEntry: false }) && join(makePartial(target), 'old')
  if (old) renameSync(target, old)
  try {
    renameSync(tree, target)
  } catch (error) {
    if (old) renameSync(old, target)
    if (old) removeTree(dirname(old))
    if (errnoOf(error) === 'EXDEV') return false
    throw error
  }
  try {
    if (old) removeTree(dirname(old))
  } catch (error) {
    report({
      kind: 'warning',
      text: `cannot remove the old ${target} in ${dirname(old ?? '')}: ${reasonOf(error)}`,
    })
  }
  return true
}
