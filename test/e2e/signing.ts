/** Small images to sign, and keys to sign them with. */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { dataTypes, type SifObject } from '../../src/sif/format.ts'
import { readObject, readSif } from '../../src/sif/read.ts'
import { type Outcome, projectRoot, type RunOptions, sing } from '../helpers/sing.ts'
import { type Home, keyFile, newHome } from './keys.ts'

export const pemFile = (name: string): string => join(projectRoot, 'fixtures/keys/pem', name)

const tiny = gunzipSync(readFileSync(join(projectRoot, 'fixtures/sif/tiny.sif.gz')))

export type Signer = Home & {
  /** `sing sign ...` in the home. */
  readonly sign: (args: readonly string[], options?: RunOptions) => Promise<Outcome>
  readonly sing: (args: readonly string[], options?: RunOptions) => Promise<Outcome>
  /** A new image of three objects in one group: definition, labels and a squashfs. */
  readonly image: (name?: string) => string
  /** A private key of `fixtures/keys/pem` that nobody else reads. */
  readonly pem: (name: string) => string
}

/** A home with private keys of `fixtures/keys/openpgp` in its ring. */
export async function newSigner(...keys: readonly string[]): Promise<Signer> {
  const base = newHome()
  for (const name of keys) {
    const { status, stderr } = await base.key(['import', keyFile(name)])
    if (status !== 0) throw new Error(stderr)
  }
  const inHome = (args: readonly string[], { env, ...more }: RunOptions = {}): Promise<Outcome> =>
    sing(args, { env: { HOME: base.home, ...env }, cwd: base.home, ...more })
  return {
    ...base,
    sing: inHome,
    sign: (args, options) => inHome(['sign', ...args], options),
    image: (name = 'a.sif') => base.write(name, tiny, 0o644),
    pem: (name) => base.write(name, readFileSync(pemFile(name))),
  }
}

export const signaturesIn = async (path: string): Promise<readonly SifObject[]> =>
  (await readSif(path)).objects.filter(({ dataType }) => dataType === dataTypes.signature)

/** The envelope of each signature, as text. */
export async function envelopesIn(path: string): Promise<string[]> {
  const sif = await readSif(path)
  const found = await signaturesIn(path)
  return await Promise.all(found.map(async (object) => (await readObject(sif, object)).toString()))
}

/** Ids that the statement in an envelope is about, relative to their group. */
export function signedIds(envelope: string): number[] {
  const { payload } = envelope.startsWith('{') ? JSON.parse(envelope) : { payload: undefined }
  const text =
    payload === undefined ? (envelope.split('\n')[3] ?? '') : Buffer.from(payload, 'base64').toString()
  return JSON.parse(text).objects.map(({ relativeId }: { relativeId: number }) => relativeId)
}

/** Whoever else has an account may change the file; the peer has a user of its own. */
export const openToAll = (path: string): string => {
  chmodSync(path, 0o666)
  return path
}

export const save = (path: string, bytes: Uint8Array): void => writeFileSync(path, bytes)
