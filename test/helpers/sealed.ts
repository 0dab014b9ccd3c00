/** Encrypted files as gocryptfs writes them, made with the cryptography of the engine. */

import { createCipheriv, randomBytes } from 'node:crypto'

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
