/** Streams as they are found and what they were before they were compressed; told by their first bytes, never by a name. */

import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { SingError, shown } from '../core/errors.ts'
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

export type DecompressOptions = {
  /** Of what is decompressed, for messages. */
  readonly name: string
  /** The PATH to look for `xz` and `bzip2` in. */
  readonly programs: string
  readonly signal: AbortSignal
}

export function decompress(source: Bytes, kind: Compression, options: DecompressOptions): Bytes {
  switch (kind) {
    case 'gzip':
      return through(source, createGunzip(), options.signal)
    case 'zstd':
      return through(source, createZstdDecompress(), options.signal)
    case 'xz':
    case 'bzip2':
      return throughProgram(source, kind, options)
  }
}

function through(source: Bytes, transform: NodeJS.ReadWriteStream & Readable, signal: AbortSignal): Bytes {
  // Who reads the end of the pipe hears of its failures.
  pipeline(Readable.from(source), transform, { signal }).catch(() => {})
  return transform
}

type Program = 'xz' | 'bzip2'

async function* throughProgram(
  source: Bytes,
  program: Program,
  options: DecompressOptions,
): AsyncGenerator<Uint8Array> {
  const { signal } = options
  const path = pathOf(program, options)
  const child = spawn(path, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'], env: { LC_ALL: 'C' }, signal })
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
    if (status !== 0) throw new Error(complaint.trim().split('\n')[0] || `${program} ended with ${status}`)
    await fed
  } finally {
    child.kill('SIGKILL')
  }
}

function pathOf(program: Program, { name, programs }: DecompressOptions): string {
  const [path] = programsIn(program, programs.split(':'))
  if (path) return path
  throw new SingError('HOST_TOOL', `${shown(name)} is compressed by ${program}, which this machine lacks`, {
    hint: `Install it (package ${program === 'xz' ? 'xz-utils' : program}), or decompress it elsewhere`,
  })
}
