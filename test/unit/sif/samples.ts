/** The small images of `fixtures/sif`, and folders to change them in. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'

const fixtures = new URL('../../../fixtures/sif/', import.meta.url)

/**
 * `tiny`: definition, labels and a squashfs without a shell. `kinds`: ten objects of most kinds, made by Apptainer's
 * `sif add`. `edited`: the same after `sif del`, `setprim` and more `add`, also by Apptainer. `golden`: written by us.
 */
export async function sample(name: 'tiny' | 'kinds' | 'edited' | 'golden'): Promise<Buffer> {
  return gunzipSync(await readFile(new URL(`${name}.sif.gz`, fixtures)))
}

/** A change of `tiny.sif` and what comes of it: an error code on loading, or objects and a primary partition. */
export type Broken = {
  name: string
  edits: [offset: number, hex: string][]
  length?: number
  error?: string
  objects?: number
  /** Its id, or the error code of looking for it. */
  primary?: number | string
}

export async function brokenSamples(): Promise<Broken[]> {
  return JSON.parse(await readFile(new URL('broken.json', fixtures), 'utf8'))
}

/** The bytes of `tiny.sif` with a change. */
export function broken(
  tiny: Buffer,
  { edits, length = tiny.length }: Pick<Broken, 'edits' | 'length'>,
): Buffer {
  const bytes = Buffer.from(tiny)
  for (const [offset, hex] of edits) bytes.set(Buffer.from(hex, 'hex'), offset)
  return bytes.subarray(0, length)
}

/** An empty folder that is gone after the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sing-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A file with these bytes that is gone after the test. */
export async function fileOf(bytes: Uint8Array): Promise<string> {
  const path = join(await folder(), 'image.sif')
  await writeFile(path, bytes)
  return path
}

/** Numbers from 0 up to 1 that are the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}
