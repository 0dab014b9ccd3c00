/** Digests of a SIF that is open: of its header, its descriptors and its data. Each object is read once, whoever asks for it again. */

import { Buffer } from 'node:buffer'
import { createHash, type Hash } from 'node:crypto'
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { type Report, silent } from '../core/events.ts'
import type { OpenSif } from '../sif/edit.ts'
import type { SifObject } from '../sif/format.ts'
import { type Digest, descriptorBytes, type HashName, headerBytes } from '../sif/integrity.ts'
import { objectWindow } from '../sif/read.ts'

type DigestOptions = { readonly report?: Report; readonly signal?: AbortSignal | undefined }

export type Digests = {
  readonly header: (hash: HashName) => Digest
  readonly descriptor: (object: SifObject, relativeId: number, hash: HashName) => Digest
  /** Of what the object holds. @throws SingError SIF_OBJECT when that is not in the file, IO */
  readonly data: (object: SifObject, hash: HashName) => Promise<Digest>
}

const readAt = promisify(read)
const chunkLength = 1 << 20

/** `sha512_256` is what signatures call it. */
const newHash = (name: HashName): Hash => createHash(name.replace('_', '-'))

const finish = (name: HashName, hash: Hash): Digest => `${name}:${hash.digest('hex')}`

/** Digests of what the descriptor is open on. A progress of each object is reported; the signal ends reading. */
export function digestsOf(source: OpenSif, options: DigestOptions = {}): Digests {
  const known = new Map<string, Promise<Digest>>()
  const of = (bytes: Uint8Array, hash: HashName) => finish(hash, newHash(hash).update(bytes))
  return {
    header: (hash) => of(headerBytes(source.sif.header), hash),
    descriptor: (object, relativeId, hash) => of(descriptorBytes(object, relativeId), hash),
    data: (object, name) => {
      const key = `${object.slot} ${name}`
      const digest = known.get(key) ?? digestOf(source, object, name, options)
      known.set(key, digest)
      return digest
    },
  }
}

async function digestOf(
  source: OpenSif,
  object: SifObject,
  name: HashName,
  options: DigestOptions,
): Promise<Digest> {
  const hash = newHash(name)
  await readObject(source, object, (chunk) => hash.update(chunk), options)
  return finish(name, hash)
}

/**
 * Hand on what an object holds, from the open file. The next chunk is read while the last one is in use.
 * @throws SingError SIF_OBJECT, IO
 */
export async function readObject(
  { fd, sif }: OpenSif,
  object: SifObject,
  use: (chunk: Uint8Array) => void,
  { report = silent, signal }: DigestOptions = {},
): Promise<void> {
  const { offset, size } = objectWindow(sif, object)
  const task = `object ${object.id}`
  report({ kind: 'started', task, label: `Checking ${task}`, total: size, unit: 'bytes' })
  const ahead = [
    Buffer.allocUnsafe(Math.min(chunkLength, size)),
    Buffer.allocUnsafe(Math.min(chunkLength, size)),
  ]
  const next = (done: number, turn: number) =>
    readAt(fd, ahead[turn % 2] as Buffer, 0, Math.min(chunkLength, size - done), offset + done)
  let pending = next(0, 0)
  for (let done = 0, turn = 0; done < size; turn += 1) {
    signal?.throwIfAborted()
    const { bytesRead, buffer } = await pending.catch((cause: unknown) => {
      throw new SingError('IO', `cannot read ${shown(sif.path)}: ${reasonOf(cause)}`, { cause })
    })
    if (bytesRead === 0)
      throw new SingError('SIF_OBJECT', `${shown(sif.path)} has become shorter while it was read`)
    done += bytesRead
    if (done < size) pending = next(done, turn + 1)
    use(buffer.subarray(0, bytesRead))
    report({ kind: 'advanced', task, done })
  }
  report({ kind: 'finished', task })
}
