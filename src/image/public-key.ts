/** The public key in a PEM file that images are encrypted for. */

import { createPublicKey, type KeyObject } from 'node:crypto'
import { SingError, shown } from '../core/errors.ts'

/** Bits of an RSA key; shorter ones are broken by those who can pay for it. */
const leastBits = 2048

/**
 * A public key of RSA: bare (PKCS#1 or SPKI), in a certificate, or that of a private key. `place` is for messages.
 * @throws SingError ENCRYPTION
 */
export function readPublicKey(pem: string, place: string): KeyObject {
  const key = parse(pem, place)
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type !== 'rsa') {
    throw refuse(
      place,
      `it is a key of ${shown(type ?? 'an unknown kind')}`,
      'Images are encrypted for keys of RSA',
    )
  }
  const bits = details?.modulusLength ?? 0
  if (bits < leastBits) {
    const hint = `Use one of ${leastBits} bits or more`
    throw refuse(place, `its ${bits} bits protect nothing`, hint)
  }
  return key
}

function parse(pem: string, place: string): KeyObject {
  try {
    return createPublicKey(pem)
  } catch (cause) {
    const hint =
      'Give a public key of RSA in PEM: openssl rsa -in private.pem -RSAPublicKey_out -out public.pem'
    throw refuse(place, 'no public key can be read', hint, cause)
  }
}

function refuse(place: string, reason: string, hint: string, cause?: unknown): SingError {
  return new SingError('ENCRYPTION', `cannot encrypt for ${shown(place)}: ${reason}`, { hint, cause })
}
