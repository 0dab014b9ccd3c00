/** Gives a private key another passphrase. */

import { encryptKey } from 'openpgp'
import { type KeyBlock, toBlock } from './blocks.ts'
import { unlockWhole } from './keys.ts'
import { protection } from './newpair.ts'

/**
 * The key with a new passphrase for all of its parts; an empty one leaves it without.
 * @throws SingError KEY when the old passphrase is wrong
 */
export async function changePassphrase(
  block: KeyBlock,
  old: string | undefined,
  passphrase: string,
): Promise<KeyBlock> {
  const privateKey = await unlockWhole(block, old)
  if (passphrase === '') return toBlock(privateKey.write())
  return toBlock((await encryptKey({ privateKey, passphrase, config: protection })).write())
}
