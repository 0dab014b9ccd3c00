/** Streams as they are found and what they were before they were compressed; told by their first bytes, never by a name. */

import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { SingError } from '../core/errors.ts'
import { programsIn } from '../host/look.ts'

export type Bytes = AsyncIterable<Uint8Array>
export type Compression = 'gzip' | 'zstd' | 'xz' | 'bzip2'

/** The first bytes in hexadecimal digits. */
const magics: Readonly<Record<Compression, RegExp>> = {
  gzip: /^1f8b08/,
  zstd: /^28b52ffd/,
  xz: /^fd377a585a00/,
  bzip2: /^425a683[1-9]314159265359/,
}

/** Bytes that are enough to tell. */
export const headLength = 16

/** How data that begins with these bytes is compressed; undefined when it is not. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  const hex = Buffer.from(head.subarray(0, headLength)).toString('hex')
  return (Object.keys(magics) as Compression[]).find((kind) => magics[kind].test(hex))
}

/** `path` is the PATH to look for `xz` and `bzip2` in. */
export function decompress(source: Bytes, kind: Compression, path: string, signal: AbortSignal): Bytes {
  switch (kind) {
    case 'gzip':
      return through(source, createGunzip(), signal)
    case 'zstd':
      return through(source, createZstdDecompress(), signal)
    case 'xz':
    case 'bzip2':
      return throughProgram(source, kind, path, signal)
  }
}

function through(source: Bytes, transform: NodeJS.ReadWriteStream & Readable, signal: AbortSignal): Bytes {
  // Who reads the end of the pipe hears of its failures.
  pipeline(Readable.from(source), transform, { signal }).catch(() => {})
  return transform
}

async function* throughProgram(
  source: Bytes,
  name: 'xz' | 'bzip2',
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const [program] = programsIn(name, path.split(':'))
  if (!program)
    throw new SingError(
      'HOST_TOOL',
      `it is compressed with ${name}, and this machine has no program ${name}`,
      {
        hint: `Install it (package ${name === 'xz' ? 'xz-utils' : name}), or unpack the archive elsewhere`,
      },
    )
  const child = spawn(program, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'], env: { LC_ALL: 'C' }, signal })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  ended.catch(() => {})
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => {
    complaint = (complaint + text).slice(0, 500)
  })
  const fed = pipeline(Readable.from(source), child.stdin, { signal })
  // What the program did not want to read it tells about itself.
  fed.catch(() => {})
  try {
    yield* child.stdout
    const status = await ended
    if (status !== 0) throw new Error(complaint.trim().split('\n').at(-1) || `${name} ended with ${status}`)
    await fed
  } finally {
    child.kill('SIGKILL')
  }
}
