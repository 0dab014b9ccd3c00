/** Encrypted images opened without any program of ours: by unsquashfs and the cryptography of the engine. */

import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import { constants, createPrivateKey, privateDecrypt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openFileKey, parseConfiguration } from '../../src/image/gocryptfs.ts'
import { dataTypes } from '../../src/sif/format.ts'
import { readObject, readSif } from '../../src/sif/read.ts'
import { openFile } from './sealed.ts'
import { temporaryFolder } from './temp.ts'

/** The squashfs around what is encrypted, as a file. */
export async function casingOf(path: string): Promise<string> {
  const sif = await readSif(path)
  const partition = sif.objects.find(({ dataType }) => dataType === dataTypes.partition)
  if (!partition) throw new Error(`${path} has no partition`)
  const casing = join(temporaryFolder(), 'casing.squashfs')
  writeFileSync(casing, readFileSync(path).subarray(partition.offset, partition.offset + partition.size))
  return casing
}

/** The names in the casing, as `unsquashfs -lln` shows them. */
export const listCasing = (casing: string): string[] =>
  String(spawnSync('unsquashfs', ['-lln', casing]).stdout)
    .trimEnd()
    .split('\n')

function fileOf(casing: string, name: string): Buffer {
  const { stdout, status } = spawnSync('unsquashfs', ['-cat', casing, name], { maxBuffer: 2 ** 30 })
  if (status !== 0) throw new Error(`${casing} has no ${name}`)
  return stdout
}

/** The squashfs that was encrypted, and is what the image is about. */
export async function decrypt(path: string, passphrase: string): Promise<Buffer> {
  const casing = await casingOf(path)
  const configuration = parseConfiguration(fileOf(casing, 'gocryptfs.conf').toString())
  const key = await openFileKey(configuration, Buffer.from(passphrase))
  if (!key) throw new Error(`the passphrase does not open ${path}`)
  const [, name = ''] = / squashfs-root\/(squashfs-\d+)$/m.exec(listCasing(casing).join('\n')) ?? []
  return openFile(key, fileOf(casing, name))
}

/** The passphrase that lies in the image for the owner of a private key. */
export async function passphraseFor(path: string, privateKey: string): Promise<string> {
  const sif = await readSif(path)
  const message = sif.objects.find(({ dataType }) => dataType === dataTypes.cryptoMessage)
  if (!message) throw new Error(`${path} has no cryptographic message`)
  const text = (await readObject(sif, message)).toString().replaceAll(/-----.*-----|\n/g, '')
  const how = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
  const key = createPrivateKey(privateKey)
  return privateDecrypt({ key, ...how }, Buffer.from(text, 'base64').subarray(4)).toString()
}
