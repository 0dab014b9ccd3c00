/** Changes as layers: the upper directories of overlays, packed with what they hide, so that they stack on their image. */

import { closeSync, lstatSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SingError, shown } from '../../core/errors.ts'
import type { Window } from '../../image/open.ts'
import { isMarked, type OverlayLayer } from '../../image/overlay.ts'
import { packLayer } from '../../native/addon.ts'
import { openExt3 } from '../../runtime/ext3.ts'
import { packing } from '../compression.ts'
import type { BuildTools } from '../request.ts'
import { keepWritersOut } from './locks.ts'

/** Something that lies over an image. */
export type Changes = OverlayLayer & {
  /** The container that writes to it is the one that is committed, and goes on. */
  readonly live?: boolean
}

/** An overlay without any change has no such directory. A link would lead elsewhere. */
function hasUpper(root: string, name: string): boolean {
  const upper = lstatSync(join(root, 'upper'), { throwIfNoEntry: false })
  if (!upper || upper.isDirectory()) return upper !== undefined
  throw new SingError('OVERLAY', `cannot commit the overlay ${shown(name)}: upper is no directory`)
}

/** Only root can read the marks that root's overlays leave. */
function requireOwn(root: string, name: string, { facts }: BuildTools): void {
  const { uid } = lstatSync(join(root, 'upper'))
  if (!facts.inUserNamespace || uid === 0 || facts.idsMapped > 1) return
  throw new SingError(
    'OVERLAY',
    `cannot commit the overlay ${shown(name)}: its changes belong to another user`,
    {
      hint: 'Whoever made them can commit them, and root can',
    },
  )
}

/** Where containers bind files of the host: what is empty there was made for that, and is no change of anybody's. */
const boundFiles = ['etc/group', 'etc/hosts', 'etc/localtime', 'etc/passwd', 'etc/resolv.conf']

/** An empty file, or directories and nothing in them. */
function isEmpty(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats?.isDirectory())
    return readdirSync(path, { withFileTypes: true }).every(
      (entry) => entry.isDirectory() && isEmpty(join(path, entry.name)),
    )
  return stats?.isFile() === true && stats.size === 0
}

function mountPoints(upper: string, { environment }: BuildTools): string[] {
  const home = (environment.HOME ?? '').split('/').filter(Boolean).join('/')
  return [...boundFiles, ...(home ? [home] : [])].filter((path) => isEmpty(join(upper, path)))
}

/**
 * Pack the upper directory of an overlay. Changes that were made without --fakeroot belong to the user who made them, whom no image
 * knows: they become root's.
 */
async function packUpper(root: string, number: number, tools: BuildTools): Promise<Window> {
  const { scratch, request, report, signal, facts } = tools
  const upper = join(root, 'upper')
  const file = join(scratch.path, `changes-${number}.squashfs`)
  const isForeign = lstatSync(upper).uid !== 0
  // Files that hold the same are found by reading what was written.
  const fd = openSync(file, 'wx+', 0o600)
  try {
    const options = {
      ...packing(request.packing),
      ...{ fd, offset: 0, report, signal, exclude: mountPoints(upper, tools) },
      ...(isForeign || facts.idsMapped === 1 ? { owner: { uid: 0, gid: 0, unlessKnown: true } } : {}),
    }
    const { size } = await packLayer(upper, options, { namedMarks: isMarked(root) })
    return { file, offset: 0, size }
  } finally {
    closeSync(fd)
  }
}

async function packDirectoryChanges(
  { directory, live }: Changes & { directory: string },
  number: number,
  tools: BuildTools,
): Promise<Window[]> {
  if (!hasUpper(directory, directory)) return []
  using _lock = live ? { [Symbol.dispose]() {} } : await keepWritersOut(directory, undefined)
  requireOwn(directory, directory, tools)
  return [await packUpper(directory, number, tools)]
}

async function packExt3(window: Window, number: number, tools: BuildTools): Promise<Window[]> {
  using _lock = await keepWritersOut(window.file, window)
  await using ext3 = await openExt3(window, tools.scratch.directory(`ext3-${number}`), tools.facts)
  return hasUpper(ext3.root, window.file) ? [await packUpper(ext3.root, number, tools)] : []
}

/** The layers that changes make, the topmost first. */
export async function packChanges(changes: readonly Changes[], tools: BuildTools): Promise<Window[]> {
  const layers: Window[] = []
  for (const [number, change] of changes.entries()) {
    if ('directory' in change) layers.unshift(...(await packDirectoryChanges(change, number, tools)))
    else if (change.filesystem === 'ext3') layers.unshift(...(await packExt3(change, number, tools)))
    else layers.unshift(change)
    tools.signal.throwIfAborted()
  }
  return layers
}
