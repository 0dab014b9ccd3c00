/** A file, or a part of one, as bytes for a registry. */

import { createHash } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import type { Digest } from '../oci/types.ts'
import type { Blob } from '../oci/upload.ts'
import { openFile } from '../sif/read.ts'

const chunkLength = 1 << 20

export type Part = { readonly file: string; readonly offset: number; readonly size: number }

/** The bytes of the part from `from` on, each chunk its own memory. */
export async function* readPart({ file: path, offset, size }: Part, from = 0): AsyncGenerator<Buffer> {
  await using file = await openFile(path, 'r')
  for (let at = from; at < size; ) {
    const bytes = Buffer.allocUnsafe(Math.min(chunkLength, size - at))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, offset + at)
    if (bytesRead === 0) throw new SingError('IO', `${shown(path)} became shorter while it was read`)
    yield bytes.subarray(0, bytesRead)
    at += bytesRead
  }
}

async function digestOf(part: Part, report: Report, signal: AbortSignal): Promise<Digest> {
  const task = `hash-${part.file}-${part.offset}`
  report({ kind: 'started', task, label: 'Reading the image', total: part.size, unit: 'bytes' })
  try {
    const hash = createHash('sha256')
    let done = 0
    for await (const chunk of readPart(part)) {
      signal.throwIfAborted()
      hash.update(chunk)
      done += chunk.length
      report({ kind: 'advanced', task, done })
    }
    return `sha256:${hash.digest('hex')}`
  } finally {
    report({ kind: 'finished', task })
  }
}

type Watched = { readonly report: Report; readonly signal: AbortSignal }

/** The part as a blob. Without a digest it is read once to know it, because the registry may have it. */
export async function fileBlob(
  name: string,
  part: Part,
  { report, signal }: Watched,
  digest?: Digest,
): Promise<Blob & { readonly known: { digest: Digest; size: number } }> {
  const known = { digest: digest ?? (await digestOf(part, report, signal)), size: part.size }
  return { name, known, read: (offset) => readPart(part, offset) }
}
