/** Takes keys out of a ring, named by their whole fingerprint. */

import { SingError, shown } from '../core/errors.ts'
import type { KeyBlock } from './blocks.ts'
import { type KeyPlace, nameOf, type RingKind } from './places.ts'
import { type ChangeOptions, changeRings } from './ring-files.ts'

/**
 * The fingerprint that somebody wrote, `0x` or blanks or not.
 * @throws SingError KEY for what is none: a part of one may be that of several keys
 */
export function toFingerprint(text: string): string {
  const digits = text.replace(/\s+/g, '').replace(/^0x/i, '').toUpperCase()
  if (/^([0-9A-F]{40}|[0-9A-F]{64})$/.test(digits)) return digits
  throw new SingError('KEY', `${shown(text)} is no fingerprint: it has 40 hexadecimal digits`, {
    hint: 'See: sing key list',
  })
}

/**
 * Remove a key from the rings of these kinds. Returns those that had it.
 * @throws SingError KEY when none has it
 */
export async function removeKey(
  fingerprint: string,
  place: KeyPlace,
  kinds: readonly RingKind[],
  options: ChangeOptions,
): Promise<readonly RingKind[]> {
  const isOther = (key: KeyBlock): boolean => key.fingerprint !== fingerprint
  return await changeRings(place, options, async (rings) => {
    const found = kinds.filter((kind) => !rings[kind].keys.every(isOther))
    if (found.length === 0) {
      const what = kinds.length === 1 ? `${kinds[0] === 'secret' ? 'private' : 'public'} key` : 'key'
      throw new SingError('KEY', `there is no ${what} ${fingerprint} in ${nameOf(place)}`, {
        hint: `See: sing key list${kinds.includes('public') ? '' : ' --secret'}`,
      })
    }
    const rest = (kind: RingKind) => (found.includes(kind) ? rings[kind].keys.filter(isOther) : undefined)
    return { public: rest('public'), secret: rest('secret'), result: found }
  })
}
