/** Encrypted files as gocryptfs writes them, made with the cryptography of the engine. */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const blockSize = 4096

/** A block: nonce, data, tag. */
export function sealBlock(key: Buffer, id: Buffer, number: number, plain: Buffer): Buffer {
  const nonce = randomBytes(16)
  const place = Buffer.alloc(8)
  place.writeBigUInt64BE(BigInt(number))
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.concat([place, id]))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** A whole file. */
export function sealFile(key: Buffer, plain: Buffer, id: Buffer = randomBytes(16)): Buffer {
  const count = Math.ceil(plain.length / blockSize)
  const blocks = Array.from({ length: count }, (_, number) =>
    sealBlock(key, id, number, plain.subarray(number * blockSize, (number + 1) * blockSize)),
  )
  return Buffer.concat([Buffer.from([0, 2]), id, ...blocks])
}

/** What a block holds. Throws when it is not the one that was sealed. */
function openBlock(key: Buffer, id: Buffer, number: number, sealed: Buffer): Buffer {
  const place = Buffer.alloc(8)
  place.writeBigUInt64BE(BigInt(number))
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 16))
  decipher.setAAD(Buffer.concat([place, id]))
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(16, -16)), decipher.final()])
}

/** What a file holds. Throws when it is not one, or none of this key. */
export function openFile(key: Buffer, sealed: Buffer): Buffer {
  if (sealed.length === 0) return sealed
  if (sealed.readUInt16BE() !== 2) throw new Error('the file is of another version')
  const id = sealed.subarray(2, 18)
  const body = sealed.subarray(18)
  const count = Math.ceil(body.length / (blockSize + 32))
  const blocks = Array.from({ length: count }, (_, number) =>
    openBlock(key, id, number, body.subarray(number * (blockSize + 32), (number + 1) * (blockSize + 32))),
  )
  return Buffer.concat(blocks)
}
