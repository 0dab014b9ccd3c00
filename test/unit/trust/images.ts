/** Small images, signed here: what a test says about signatures it then breaks. */

import { Buffer } from 'node:buffer'
import { createPrivateKey } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readPrivateKey } from 'openpgp'
import { partitionExtra, signatureExtra } from '../../../src/sif/details.ts'
import { addObject } from '../../../src/sif/edit.ts'
import { dataTypes, descriptorLength, filesystems, partitionKinds } from '../../../src/sif/format.ts'
import { firstIdOf, type HashName, membersOf, writeStatement } from '../../../src/sif/integrity.ts'
import { openFile, parseSif } from '../../../src/sif/read.ts'
import { SifWriter } from '../../../src/sif/write.ts'
import { digestsOf } from '../../../src/trust/digests.ts'
import { sealDsse } from '../../../src/trust/dsse.ts'
import { sealOpenPgp } from '../../../src/trust/openpgp-envelope.ts'
import type { Verdict } from '../../../src/trust/types.ts'
import { type VerifyOptions, verifyImage } from '../../../src/trust/verify.ts'
import { folder } from '../sif/samples.ts'
import { keyFile, people } from './keys.ts'

const time = 1_700_000_000

/** Two objects in group 1 and one in group 2, of a few bytes each. */
export async function smallImage({ capacity = 12, groups = 1 } = {}): Promise<string> {
  const path = join(await folder(), 'small.sif')
  await using writer = await SifWriter.create(path, { id: '', time, capacity })
  await writer.add({ dataType: dataTypes.definition, data: Buffer.from('bootstrap: scratch\n') })
  const extra = partitionExtra(filesystems.squashfs, partitionKinds.primary, '02')
  await writer.add({ dataType: dataTypes.partition, extra, alignment: 8, data: Buffer.from('hsqs and more') })
  if (groups > 1)
    await writer.add({ dataType: dataTypes.genericJson, group: 2, name: 'other', data: Buffer.from('{}') })
  await writer.commit()
  return path
}

export type Signing = {
  readonly by?: 'rsa' | 'ed25519' | 'pem'
  readonly group?: number
  /** Only these objects. */
  readonly ids?: readonly number[]
  readonly hash?: HashName
  /** Changes what is signed. */
  readonly change?: (statement: string) => string
}

export const pgp = {
  rsa: await readPrivateKey({ armoredKey: keyFile('openpgp/pgp-private-nopass.asc') }),
  ed25519: await readPrivateKey({ armoredKey: keyFile('openpgp/pgp-private-ed25519.asc') }),
}
const pem = createPrivateKey(keyFile('pem/ed25519-private.pem'))

/** The statement about a group. */
async function statementOf(path: string, { group = 1, ids, hash = 'sha256' }: Signing): Promise<string> {
  await using file = await openFile(path, 'r')
  const sif = parseSif(file.fd, path)
  const digests = digestsOf({ fd: file.fd, sif })
  const members = membersOf(sif.objects, group)
  const wanted = members.filter(({ id }) => !ids || ids.includes(id))
  const objects = await Promise.all(
    wanted.map(async (object) => {
      const relativeId = object.id - firstIdOf(members)
      const descriptorDigest = digests.descriptor(object, relativeId, hash)
      return { relativeId, descriptorDigest, objectDigest: await digests.data(object, hash) }
    }),
  )
  return writeStatement({ header: digests.header(hash), objects })
}

/** Add a signature. Returns its id. */
export async function signImage(path: string, signing: Signing = {}): Promise<number> {
  const { by = 'rsa', group = 1, change = (text: string) => text } = signing
  const statement = change(await statementOf(path, signing))
  const [data, extra] =
    by === 'pem'
      ? [sealDsse(Buffer.from(statement), pem), signatureExtra(1)]
      : [await sealOpenPgp(statement, pgp[by]), signatureExtra(1, fingerprint(by))]
  return await addSignature(path, data, extra, group)
}

const fingerprint = (by: 'rsa' | 'ed25519') => Buffer.from(pgp[by].getFingerprint(), 'hex')

/** Add a signature object with this content. */
export async function addSignature(
  path: string,
  data: Uint8Array,
  extra = signatureExtra(1, fingerprint('rsa')),
  group = 1,
): Promise<number> {
  const link = { kind: 'group', id: group } as const
  return await addObject(path, { dataType: dataTypes.signature, group: 0, link, extra, data }, { time })
}

/** Change an image as bytes. The table of small images lies at 4096. */
export async function edit(path: string, change: (bytes: Buffer) => Buffer | undefined): Promise<void> {
  const bytes = await readFile(path)
  await writeFile(path, change(bytes) ?? bytes)
}

/** Where the descriptor of an object in this slot begins. */
export const descriptorAt = (slot: number): number => 4096 + slot * descriptorLength

/** An image whose groups are signed by one key. */
export async function signedImage(groups = 1): Promise<string> {
  const path = await smallImage({ groups })
  for (let group = 1; group <= groups; group += 1) await signImage(path, { group })
  return path
}

/** The verdict of whoever has all keys. */
export const verify = (path: string, options: Partial<VerifyOptions> = {}): Promise<Verdict> =>
  verifyImage(path, { material: people, ...options })

/** The objects that each signature was compared with, and what is wrong. */
export const told = ({ signatures, problem }: Verdict) => ({
  objects: signatures.map(({ objects }) => objects.map(({ id }) => id)),
  problem: problem?.message,
})
