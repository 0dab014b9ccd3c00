/** The signed images of `fixtures/signed`. */

import { readdir, readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'

const fixtures = new URL('../../../fixtures/signed/', import.meta.url)

/** `tiny-signed.sif`, `tampered/t-data.sif`, `signed-pgp.head` ... */
export async function signedSample(name: string): Promise<Buffer> {
  return gunzipSync(await readFile(new URL(`${name}.gz`, fixtures)))
}

/** The images of `tampered` or `variants`. */
export async function signedSamples(folder: 'tampered' | 'variants'): Promise<string[]> {
  const names = await readdir(new URL(folder, fixtures))
  return names.map((name) => `${folder}/${name.replace(/\.gz$/, '')}`).sort()
}

/** What Apptainer said of one image. */
export type Vector = {
  size: number
  header: string
  objects: { id: number; relativeId: number; descriptor: string; data: string }[]
  statements: string[]
}

export async function vectors(): Promise<Record<string, Vector>> {
  return JSON.parse(await readFile(new URL('vectors.json', fixtures), 'utf8'))
}
