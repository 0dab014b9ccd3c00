/** The envelope of OpenPGP keys: a message that can be read as it is, with a signature below (RFC 9580, section 7). */

import { createCleartextMessage, enums, type PrivateKey, sign } from 'openpgp'
import { reasonOf, SingError, shown } from '../core/errors.ts'

/**
 * The message in an envelope that is signed by an unlocked key, or its newest subkey for signing. The hash is SHA-256, or the
 * longer one that the curve asks for: other programs refuse a shorter one.
 * @throws SingError KEY when the key may not sign
 */
export async function sealOpenPgp(message: string, key: PrivateKey): Promise<Buffer> {
  if (key.keyPacket.version !== 4)
    throw cannotSign(
      key,
      `it is of version ${key.keyPacket.version}; signatures of SIF name keys of version 4`,
    )
  try {
    const signed = await sign({
      message: await createCleartextMessage({ text: message }),
      signingKeys: key,
      config: { preferredHashAlgorithm: enums.hash.sha256, showVersion: false, showComment: false },
    })
    return Buffer.from(signed.replaceAll('\r\n', '\n').trimEnd())
  } catch (cause) {
    throw cannotSign(key, reasonOf(cause), cause)
  }
}

function cannotSign(key: PrivateKey, reason: string, cause?: unknown): SingError {
  const fingerprint = key.getFingerprint().toUpperCase()
  return new SingError('KEY', `the key ${fingerprint} cannot sign: ${shown(reason)}`, { cause })
}
