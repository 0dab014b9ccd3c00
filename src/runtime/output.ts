/** Pipes between a program and whoever shows what it writes. */

import { once } from 'node:events'
import { closeSync, createReadStream, fstatSync } from 'node:fs'
import { makePipe, type Pipe } from '../native/pipe.ts'

/** The stream that the bytes were meant for. */
export type Hear = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void

/** Where a child writes to. */
export type OutputPipes = {
  /** Its descriptors 1 and 2. */
  readonly descriptors: readonly [number, number]
  /** The child has them, or will never: ours are closed. */
  readonly release: () => void
  /** Resolves when nobody writes any more and all is heard. */
  readonly heard: Promise<unknown>
}

/** Whether standard output and standard error go to the same place, where the order of their lines tells something. */
function isOnePlace(): boolean {
  try {
    const [output, error] = [fstatSync(1), fstatSync(2)]
    return output.dev === error.dev && output.ino === error.ino
  } catch {
    return false
  }
}

function listen({ read }: Pipe, onBytes: (bytes: Uint8Array) => void): Promise<unknown> {
  const stream = createReadStream('', { fd: read, highWaterMark: 64 * 1024 })
  stream.on('data', (chunk) => onBytes(chunk as Buffer))
  return once(stream, 'close')
}

/** Pipes for one child: one for both streams when both end up in the same place, so that their order stays. */
export function openOutput(hear: Hear): OutputPipes {
  const error = makePipe()
  const output = isOnePlace() ? error : makePipe()
  const pipes = new Set([output, error])
  const heard = [...pipes].map((pipe) =>
    listen(pipe, (bytes) => hear(pipe === error ? 'stderr' : 'stdout', bytes)),
  )
  return {
    descriptors: [output.write, error.write],
    release: () => {
      for (const { write } of pipes) closeSync(write)
    },
    heard: Promise.all(heard),
  }
}
