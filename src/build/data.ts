/** Images that hold only data (`build --data`): a directory, a file, or the file system of an image, for binds. */

import { createReadStream, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { defaultDefinition } from '../definition/default.ts'
import type { HostFacts } from '../host/facts.ts'
import { hostArchitecture } from '../image/architecture.ts'
import { inspectJson } from '../image/contents.ts'
import { isImageFile, openDataImage } from '../image/data.ts'
import type { Window } from '../image/open.ts'
import { type Entry, type PackOptions, packDirectory, packEntries } from '../native/addon.ts'
import { catchInterruption } from '../runtime/interrupt.ts'
import { partitionExtra } from '../sif/details.ts'
import { architectureCode, dataTypes, filesystems, partitionKinds } from '../sif/format.ts'
import { SifWriter } from '../sif/write.ts'
import { packing, standard } from './compression.ts'
import type { BuildRequest } from './request.ts'
import { explainFullDisk } from './space.ts'
import { type Confirm, recoverPartials, requireTarget } from './target.ts'
import { newestTime } from './tree.ts'

export type DataContext = {
  readonly facts: HostFacts
  readonly report: Report
  readonly confirm: Confirm
}

type Source =
  | { readonly kind: 'directory' | 'file'; readonly path: string; readonly stats: Stats }
  /** It has a file system already, which is taken as it lies there. */
  | { readonly kind: 'image'; readonly window: Window; readonly stats: Stats }

function refuse(spec: string, reason: string, hint?: string): SingError {
  return new SingError('BUILD', `--data ${shown(spec)}: ${reason}`, { hint })
}

async function openSource({ spec, target }: BuildRequest): Promise<Source> {
  let stats: Stats
  try {
    stats = statSync(spec)
  } catch (cause) {
    const hint = 'It takes a directory, a file or an image of this machine'
    throw refuse(spec, reasonOf(cause), hint)
  }
  const path = realpathSync(spec)
  if (stats.isDirectory()) {
    if (`${realpathSync(dirname(target))}/`.startsWith(`${path}/`))
      throw refuse(spec, 'the new image would be a part of its own data')
    return { kind: 'directory', path, stats }
  }
  if (!stats.isFile()) throw refuse(spec, 'it is neither a file nor a directory')
  if (!isImageFile(path)) return { kind: 'file', path, stats }
  return { kind: 'image', window: await openDataImage(path, undefined), stats }
}

/** What would ask for something else than data. */
function refuseOthers({ spec, sandbox, update, packing: asked }: BuildRequest, { kind }: Source): void {
  if (sandbox || update) throw refuse(spec, 'data is packed in a SIF file; leave --sandbox out')
  if (kind === 'image' && asked.compression !== standard)
    throw refuse(spec, 'the file system of an image stays as it is compressed', 'Unpack it to pack it anew')
}

function timeOf(source: Source, { time, reproducible }: BuildRequest): number | undefined {
  if (time !== undefined || !reproducible) return time
  if (source.kind === 'directory') return newestTime(source.path)
  return Math.floor(source.stats.mtimeMs / 1000)
}

/** A directory with the one file. */
async function* single(path: string, { mode, size, mtimeMs, uid, gid }: Stats): AsyncGenerator<Entry> {
  const common = { uid, gid, mtime: Math.floor(mtimeMs / 1000) }
  yield { path: '.', type: 'directory', mode: 0o755, size: 0, ...common }
  const data = createReadStream(path)
  yield { path: basename(path), type: 'file', mode: mode & 0o777, size, data, ...common }
}

function packOptions(request: BuildRequest, facts: HostFacts): Omit<PackOptions, 'fd' | 'offset'> {
  const isRoots = request.packing.allRoot || !facts.isRoot
  return { ...packing(request.packing), ...(isRoots ? { owner: { uid: 0, gid: 0 } } : {}) }
}

async function addPartition(writer: SifWriter, source: Source, options: Omit<PackOptions, 'fd' | 'offset'>) {
  const filesystem = source.kind === 'image' ? (source.window.filesystem ?? 'squashfs') : 'squashfs'
  const kind = filesystem === 'ext3' ? filesystems.ext3 : filesystems.squashfs
  const extra = partitionExtra(kind, partitionKinds.data, architectureCode(hostArchitecture()))
  const description = { dataType: dataTypes.partition, extra }
  if (source.kind === 'image') {
    const { file, offset, size } = source.window
    const { signal } = options
    const data = createReadStream(file, { start: offset, end: offset + size - 1, ...(signal && { signal }) })
    await writer.add({ ...description, data })
    return
  }
  const slot = await writer.slot(description)
  const place = { ...options, fd: slot.fd, offset: slot.offset }
  const { path, stats } = source
  const { size } = await (source.kind === 'file'
    ? packEntries(single(path, stats), place)
    : packDirectory(path, place))
  slot.finish(size)
}

/**
 * Make a SIF with a data partition of what the request names.
 * @throws SingError BUILD, BIND (a broken image), EXISTS, DISK_FULL, INTERRUPTED
 */
export async function buildData(request: BuildRequest, context: DataContext): Promise<void> {
  const { facts, report } = context
  const source = await openSource(request)
  refuseOthers(request, source)
  recoverPartials(request.target, report)
  await requireTarget(request, context.confirm)
  using interruption = catchInterruption('the build')
  const { signal } = interruption
  const time = timeOf(source, request)
  try {
    await using writer = await SifWriter.create(request.target, time === undefined ? {} : { id: '', time })
    const text = defaultDefinition('data', basename(resolve(request.spec)))
    await writer.add({ dataType: dataTypes.definition, data: Buffer.from(text) })
    await writer.add({
      dataType: dataTypes.genericJson,
      name: 'inspect-metadata.json',
      data: Buffer.from(inspectJson({})),
    })
    const options = {
      ...packOptions(request, facts),
      ...(time === undefined ? {} : { time }),
      report,
      signal,
    }
    await addPartition(writer, source, options)
    signal.throwIfAborted()
    await writer.commit()
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw explainFullDisk(error, [dirname(request.target)])
  }
  report({ kind: 'info', text: `Build complete: ${shown(request.target)}` })
}
