/** Keys as text. */

import { armor, enums } from 'openpgp'
import type { KeyBlock } from './blocks.ts'

/**
 * A key between lines that say what it is, with the checksum that RFC 9580 takes for superfluous: sks wants it, and without it gpg 2.2
 * does not find the end of some texts (dev.gnupg.org/T7071).
 */
export function armored({ bytes, isSecret }: Pick<KeyBlock, 'bytes' | 'isSecret'>): string {
  const type = isSecret ? enums.armor.privateKey : enums.armor.publicKey
  return armor(type, Uint8Array.from(bytes), undefined, undefined, undefined, true)
}
