/** `RUN --mount`: directories that a command sees while it runs, and that do not come into the image. */

import { createHash, randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
} from 'node:fs'
import { join } from 'node:path'
import { reasonOf, SingError, shown } from '../../core/errors.ts'
import type { RunMount } from '../../definition/dockerfile/mounts.ts'
import { shareLock } from '../../native/lock.ts'
import { bindOp, type Op } from '../../plan/spec.ts'
import { waitForLock } from '../../store/lock.ts'
import { cacheRoot, folderOf } from '../../store/place.ts'
import { type BytePath, onDisk, toBytes, toText } from '../inside.ts'
import type { BuildTools } from '../request.ts'
import { transfer } from '../transfer.ts'
import { findSources, hashSources, leavesOut, type Origin, type Source } from './context.ts'
import type { Giver } from './copy.ts'

/** Where binds come from: the context, or a stage or image by the word that names it. */
export type MountSources = (from: string | undefined) => Promise<Origin>

export interface Mounts extends AsyncDisposable {
  readonly operations: readonly Op[]
}

/** Make ready what the mounts need. Dispose of it when the command has ended. */
export async function openMounts(
  mounts: readonly RunMount[],
  sources: MountSources,
  tools: BuildTools,
): Promise<Mounts> {
  await using stack = new AsyncDisposableStack()
  const operations: Op[] = []
  for (const mount of mounts) {
    switch (mount.kind) {
      case 'tmpfs':
        operations.push({ op: 'tmpfs', at: mount.target, missing: 'create', size: mount.size, mode: 0o1777 })
        break
      case 'cache':
        operations.push(await cacheMount(mount, stack, tools))
        break
      case 'bind':
        operations.push(await bindMount(mount, await sources(mount.from), `mount-${randomUUID()}`, tools))
        break
    }
  }
  const held = stack.move()
  return { operations, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** What is bound: a file or directory of that name. @throws SingError BUILD when there is none */
function bindSource({ source: word }: Extract<RunMount, { kind: 'bind' }>, origin: Origin): Source {
  const [source] = findSources(word.replace(/[\\*?[]/g, '\\$&'), origin)
  if (source) return source
  throw new SingError('BUILD', `--mount=type=bind: ${shown(word)} is not in ${origin.name}`)
}

/** What of the binds decides what a command does; undefined where that cannot be told. */
export async function mountsIdentity(
  mounts: readonly RunMount[],
  give: (from: string | undefined) => Giver,
  { signal }: BuildTools,
): Promise<readonly string[] | undefined> {
  const parts: string[] = []
  for (const mount of mounts) {
    if (mount.kind !== 'bind') continue
    const { known, open } = give(mount.from)
    if (known && !known.identity) return undefined
    if (known?.identity) parts.push(...known.identity)
    else parts.push(await boundHash(mount, await open(), signal))
  }
  return parts
}

async function boundHash(
  mount: Extract<RunMount, { kind: 'bind' }>,
  origin: Origin,
  signal: AbortSignal,
): Promise<string> {
  const options = { leavesOut: (place: BytePath) => leavesOut(origin, place), signal }
  return await hashSources([bindSource(mount, origin)], options)
}

/** Files that are written to, or that are not all of a directory, are copied for the command. */
async function bindMount(
  mount: Extract<RunMount, { kind: 'bind' }>,
  origin: Origin,
  name: string,
  tools: BuildTools,
): Promise<Op> {
  const source = bindSource(mount, origin)
  const isWhole = origin.ignore.isEmpty || !source.stats.isDirectory()
  if (isWhole && !mount.writable) return bindOp(toText(source.place), mount.target, { readonly: true })
  const own = join(tools.scratch.directory(name), 'files')
  const copy: BytePath = toBytes(own)
  await transfer(source.place, copy, {
    root: toBytes(tools.scratch.path),
    kind: origin.kind,
    leavesOut: (place) => leavesOut(origin, place),
    report: tools.report,
    signal: tools.signal,
  })
  return bindOp(own, mount.target, { readonly: !mount.writable })
}

/** A directory that stays from one build to the next. */
async function cacheMount(
  mount: Extract<RunMount, { kind: 'cache' }>,
  stack: AsyncDisposableStack,
  tools: BuildTools,
): Promise<Op> {
  const directory = await cacheDirectory(mount, stack, tools)
  if (mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(directory, mount.mode)
  lchownSync(directory, mount.uid, mount.gid)
  // What belongs to others could not be removed by the owner of the cache.
  stack.defer(() => takeBack(toBytes(directory)))
  return bindOp(directory, mount.target, { readonly: mount.readonly })
}

async function cacheDirectory(
  { id, sharing }: Extract<RunMount, { kind: 'cache' }>,
  stack: AsyncDisposableStack,
  tools: BuildTools,
): Promise<string> {
  const { environment, request, scratch, signal, report } = tools
  const name = createHash('sha256').update(id).digest('hex').slice(0, 32)
  const root = request.useCache ? cacheRoot(environment) : undefined
  if (root === undefined) return join(scratch.path, `cache-${name}`)
  const folder = join(root, folderOf('packages'), 'mounts')
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (sharing === 'shared') {
      stack.defer(holdShared(join(folder, `${name}.lock`)))
      return join(folder, name)
    }
    const onWait = (): void =>
      report({ kind: 'info', text: `Waiting for another build that uses the cache ${shown(id)}` })
    const lock = await waitForLock(join(folder, `${name}.lock`), { signal, onWait })
    if (lock) stack.defer(() => lock.close())
    return join(folder, name)
  } catch (error) {
    signal.throwIfAborted()
    report({ kind: 'verbose', text: `The cache ${shown(id)} is not kept: ${reasonOf(error)}` })
    return join(scratch.path, `cache-${name}`)
  }
}

/** Nobody removes what is in use. Returns what lets go of it. */
function holdShared(path: string): () => void {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  shareLock(fd)
  return () => closeSync(fd)
}

function takeBack(path: BytePath): void {
  const place = onDisk(path)
  const stats = lstatSync(place)
  if (stats.uid !== 0 || stats.gid !== 0) lchownSync(place, 0, 0)
  if (!stats.isDirectory()) return
  for (const name of readdirSync(place, { encoding: 'latin1' })) takeBack(`${path}/${name}`)
}

/** @throws SingError UNSUPPORTED for what a command cannot do without, and there is no way to give it */
export function requireGivable(mounts: readonly RunMount[], place: string): void {
  for (const mount of mounts) {
    if ((mount.kind !== 'secret' && mount.kind !== 'ssh') || !mount.required) continue
    throw new SingError(
      'UNSUPPORTED',
      `${place}: --mount=type=${mount.kind}: there is no way to give ${shown(mount.id)} to a build`,
      {
        hint: 'With required=false the command runs without it',
      },
    )
  }
}
