/** Which algorithms of OpenPGP are too weak to rely on. Refusals name them. */

import type { PublicKey } from 'openpgp'
import { SingError } from '../core/errors.ts'
import { isExponent, leastRsaBits } from './pem.ts'

/** Hash algorithms (RFC 9580, 9.5) that signatures may be made with, by their names in clear-signed text. */
const strongHashes: Readonly<Record<number, string>> = {
  8: 'SHA256',
  9: 'SHA384',
  10: 'SHA512',
  11: 'SHA224',
}
const weakHashes: Readonly<Record<number, string>> = { 1: 'MD5', 2: 'SHA-1', 3: 'RIPEMD-160' }

/**
 * The name of a hash algorithm that cannot be forged.
 * @throws SingError SIGNATURE for any other
 */
export function strongHash(algorithm: number | null): string {
  const code = algorithm ?? 0
  const name = strongHashes[code]
  if (name !== undefined) return name
  const weak = weakHashes[code]
  throw new SingError(
    'SIGNATURE',
    weak
      ? `it is made with ${weak}, with which two different texts can have the same signature`
      : `it is made with a hash algorithm that is not accepted (number ${code})`,
    { hint: 'It has to be made again, with SHA-256 or better.' },
  )
}

/** Algorithm and size of a key, as the library tells them. */
type Algorithm = {
  readonly algorithm: string
  readonly bits?: number
  readonly curve?: string
  /** Of RSA. */
  readonly exponent?: bigint | undefined
}

type Part = {
  readonly getAlgorithmInfo: PublicKey['getAlgorithmInfo']
  readonly keyPacket: { readonly publicParams: object | null }
}

/** What a key or subkey is made of. */
export function algorithmOf(part: Part): Algorithm {
  const { e } = (part.keyPacket.publicParams ?? {}) as { e?: unknown }
  const exponent = e instanceof Uint8Array ? BigInt(`0x0${Buffer.from(e).toString('hex')}`) : undefined
  return { ...part.getAlgorithmInfo(), exponent }
}

/** Why a key is too weak to sign; undefined when it is not. */
export function weaknessOf({ algorithm, bits = 0, curve, exponent = 3n }: Algorithm): string | undefined {
  if (/^(dsa|elgamal)/i.test(algorithm)) return `is one of ${algorithm.toUpperCase()}, which is not accepted`
  if (/^rsa/i.test(algorithm) && bits < leastRsaBits)
    return `has ${bits} bits of RSA; ${leastRsaBits} is the least`
  if (!isExponent(exponent)) return `is of RSA with the exponent ${exponent}, which signs nothing`
  if (curve === 'secp256k1') return `is on the curve ${curve}, which is not accepted`
  return undefined
}
