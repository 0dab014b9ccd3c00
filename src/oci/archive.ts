/**
 * Archives of images as files: members of a plain tar are found where they lie; one that is compressed, or comes through a
 * pipe, is unpacked once into a file without a name.
 */

import { constants, createReadStream } from 'node:fs'
import { access, type FileHandle, open, stat } from 'node:fs/promises'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type Bytes, compressionOf, type DecompressOptions, decompress } from './decompress.ts'
import { layoutSource } from './layout.ts'
import type { Files } from './members.ts'
import { type LayoutReference, showReference } from './reference.ts'
import { Spool } from './spool.ts'
import { findMember, indexTar, type Member, type ReadAt } from './tar.ts'
import type { ImageSource } from './types.ts'

export type ArchiveOptions = {
  /** A directory for what has to be unpacked on the way, on a disk with room: that of the cache. */
  readonly scratch: () => Promise<string>
  /** The PATH to look for `xz` and `bzip2` in. */
  readonly programs: string
  readonly signal: AbortSignal
}

/** The layout in an archive. */
export async function openOciArchive(
  reference: LayoutReference,
  options: ArchiveOptions,
): Promise<ImageSource> {
  const name = showReference({ ...reference, tag: undefined, digest: undefined })
  return layoutSource(reference, await openArchive(reference.path, name, options))
}

/**
 * The members of an archive. `name` is for messages.
 * @throws SingError IMAGE_NOT_FOUND, IMAGE_FORMAT
 */
export async function openArchive(path: string, name: string, options: ArchiveOptions): Promise<Files> {
  if (!(await isPlainFile(path, name)))
    return await unpackArchive((signal) => readPipe(path, signal), name, options)
  await using stack = new AsyncDisposableStack()
  const handle = stack.use(await open(path))
  const read: ReadAt = (offset, length) => readAt(handle, offset, length)
  if (compressionOf(await read(0, 512))) return await unpackArchive(() => readAll(read), name, options)
  return filesIn(await indexTar(read, name), handle.fd, name, stack.move())
}

async function isPlainFile(path: string, name: string): Promise<boolean> {
  const refuse = (reason: string, cause?: unknown): SingError =>
    new SingError('IMAGE_NOT_FOUND', `cannot open ${shown(name)}: ${reason}`, {
      hint: cause ? undefined : `For a layout in a directory: oci:${shown(path)}`,
      cause,
    })
  try {
    await access(path, constants.R_OK)
    const facts = await stat(path)
    if (facts.isDirectory()) throw refuse('it is a directory')
    return facts.isFile()
  } catch (cause) {
    throw cause instanceof SingError ? cause : refuse(reasonOf(cause), cause)
  }
}

/** Up to `length` bytes, fewer only at the end. */
async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

async function* readAll(read: ReadAt): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; ) {
    const bytes = await read(offset, 256 * 1024)
    if (bytes.length === 0) return
    offset += bytes.length
    yield bytes
  }
}

/** Nobody can call back a read from a pipe: who is interrupted waits for it no longer. */
async function* readPipe(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(path)
  const chunks = stream[Symbol.asyncIterator]()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  try {
    signal.throwIfAborted()
    for (;;) {
      const { done, value } = await Promise.race([chunks.next(), aborted])
      if (done) return
      yield value
    }
  } finally {
    stream.destroy()
  }
}

/** The members of an archive that comes as a stream, compressed or not. */
export async function unpackArchive(
  stream: (signal: AbortSignal) => Bytes,
  name: string,
  options: ArchiveOptions,
): Promise<Files> {
  await using stack = new AsyncDisposableStack()
  const spool = stack.use(await Spool.open(await options.scratch()))
  const stopped = new AbortController()
  const signal = AbortSignal.any([options.signal, stopped.signal])
  const filled = spool.fill(plain(stream(signal), { name, programs: options.programs, signal }))
  try {
    const members = await indexTar((offset, length) => spool.read(offset, length), name)
    return filesIn(members, spool.fd, name, stack.move())
  } catch (cause) {
    options.signal.throwIfAborted()
    if (cause instanceof SingError) throw cause
    throw new SingError('IMAGE_FORMAT', `cannot read ${shown(name)}: ${reasonOf(cause)}`, { cause })
  } finally {
    // Behind the end of an archive may be anything, also without an end.
    spool.stop()
    stopped.abort()
    await filled
  }
}

/** Without its compression, if it has one. */
async function* plain(stream: Bytes, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const iterator = stream[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done) return
  const whole: Bytes = (async function* () {
    yield first.value
    yield* { [Symbol.asyncIterator]: () => iterator }
  })()
  const compression = compressionOf(first.value)
  yield* compression ? decompress(whole, compression, options) : whole
}

function filesIn(
  members: ReadonlyMap<string, Member>,
  fd: number,
  name: string,
  opened: AsyncDisposableStack,
): Files {
  // The file may have no name any more, or another one by the time that somebody reads.
  const file = `/proc/self/fd/${fd}`
  return {
    locate(wanted) {
      const member = findMember(members, wanted, name)
      return member && { file, offset: member.offset, size: member.size }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}
