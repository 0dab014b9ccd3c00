/** Encrypted images made without any program of ours but the writer of SIF files: mksquashfs, and the cryptography of the engine. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configurationText, contentKey, sealMasterKey, wrappingKey } from '../../src/image/gocryptfs.ts'
import { SquashfsImage } from '../../src/native/addon.ts'
import { partitionExtra } from '../../src/sif/details.ts'
import { dataTypes, filesystems, partitionKinds } from '../../src/sif/format.ts'
import { objectWindow, primaryPartition, readObject, readSif } from '../../src/sif/read.ts'
import { SifWriter } from '../../src/sif/write.ts'
import { sealFile } from './sealed.ts'
import { give, temporaryFolder } from './temp.ts'

export type EncryptOptions = {
  readonly passphrase: string
  /** What mksquashfs does with the files around; absent: it leaves them as they are. */
  readonly packing?: readonly string[]
  /** More files beside the two. */
  readonly more?: Readonly<Record<string, Uint8Array>>
  /** A change of the encrypted file, which is that of `plain`. */
  readonly change?: (files: { sealed: Buffer; plain: Buffer }) => void
}

/** The files of `from`, a plain SIF, as an encrypted SIF at `to`. */
export async function encryptSif(from: string, to: string, options: EncryptOptions): Promise<void> {
  const { passphrase, packing = ['-noD', '-noF'], more = {}, change } = options
  const sif = await readSif(from)
  const plain = await readObject(sif, primaryPartition(sif))
  const about = { salt: randomBytes(32), costs: { n: 1024, r: 8, p: 1 } }
  const master = randomBytes(32)
  const encryptedKey = sealMasterKey(
    await wrappingKey(about, Buffer.from(passphrase)),
    master,
    randomBytes(16),
  )
  const files = {
    sealed: sealFile(contentKey(master), plain),
    configuration: Buffer.from(configurationText({ ...about, encryptedKey })),
  }
  change?.({ sealed: files.sealed, plain })
  const around = squashfsOf(
    { 'gocryptfs.conf': files.configuration, 'squashfs-123': files.sealed, ...more },
    packing,
  )
  const kind = [filesystems.gocryptfs, partitionKinds.primary] as const
  await using writer = await SifWriter.create(to)
  const extra = partitionExtra(...kind, primaryPartition(sif).partition?.arch ?? '00')
  for (const object of sif.objects)
    if (object.dataType === dataTypes.genericJson)
      await writer.add({ dataType: object.dataType, name: object.name, data: await readObject(sif, object) })
  await writer.add({ dataType: dataTypes.partition, extra, data: around })
  await writer.commit()
  give(to)
}

/** Files as a squashfs of its own. */
export function squashfsOf(files: Readonly<Record<string, Uint8Array>>, packing: readonly string[]): Buffer {
  const folder = temporaryFolder()
  const tree = join(folder, 'tree')
  mkdirSync(tree)
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(tree, name), bytes)
  const image = join(folder, 'image')
  const quiet = ['-noappend', '-quiet', '-no-progress', '-all-root']
  const { status, stderr } = spawnSync('mksquashfs', [tree, image, ...quiet, ...packing], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`mksquashfs: ${stderr}`)
  return readFileSync(image)
}

/** A copy of an encrypted SIF in which bytes of its files are changed, where they lie. */
export async function damaged(
  from: string,
  to: string,
  name: string,
  change: (bytes: Buffer) => void,
): Promise<string> {
  copyFileSync(from, to)
  const sif = await readSif(from)
  const { offset, size } = objectWindow(sif, primaryPartition(sif))
  await using around = await SquashfsImage.open(from, offset, size)
  const pieces = (await around.stored(name)) ?? []
  const file = readFileSync(to)
  const stretches = pieces.flatMap((at, index) =>
    index % 2 === 0 ? [[at, pieces[index + 1] ?? 0] as const] : [],
  )
  const bytes = Buffer.concat(
    stretches.map(([at, length]) => file.subarray(offset + at, offset + at + length)),
  )
  change(bytes)
  let done = 0
  for (const [at, length] of stretches) {
    bytes.copy(file, offset + at, done, done + length)
    done += length
  }
  writeFileSync(to, file)
  give(to)
  return to
}
