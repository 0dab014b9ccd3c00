/**
 * A signature object is an envelope: the signed text, and who signed it. There are two kinds, clear-signed text of OpenPGP and DSSE; which one
 * it is shows in its bytes alone.
 */

import { SingError } from '../core/errors.ts'
import { clearTextOf, isClearSigned, openClearSigned } from './clear-text.ts'
import { isDsse, openDsse } from './dsse.ts'
import type { Material, Opened } from './types.ts'

/** More than any statement needs: one about 20000 objects. */
export const longestEnvelope = 8 * 1024 * 1024

/** Old signatures are about the bytes of objects only, and begin so. */
const legacyStart = 'SIFHASH:\n'

/** Whether a signature is an old one. Nothing is said about whether it holds. */
export function isLegacy(envelope: Uint8Array): boolean {
  return clearTextOf(envelope)?.startsWith(legacyStart) ?? false
}

/**
 * The text that was signed, once it is certain that the key signed it.
 * Throws SIGNATURE with the reason why it is not.
 */
export async function openEnvelope(envelope: Uint8Array, material: Material): Promise<Opened> {
  if (isClearSigned(envelope)) {
    if (material.kind === 'openpgp') return await openClearSigned(envelope, material.find)
    throw new SingError('SIGNATURE', 'it is one of OpenPGP, and a key of another kind was given', {
      hint: 'Leave out --key and --certificate: keys of OpenPGP are taken from the keyrings.',
    })
  }
  if (isDsse(envelope)) {
    if (material.kind === 'pem') return openDsse(envelope, material)
    throw new SingError('SIGNATURE', 'it is by a key of a PEM file, and none was given', {
      hint: 'Give the public key of the signer, or a certificate of it: --key FILE, --certificate FILE',
    })
  }
  throw new SingError('SIGNATURE', 'its format is not known', {
    hint: 'It is neither clear-signed text of OpenPGP nor an envelope of DSSE about a SIF.',
  })
}
