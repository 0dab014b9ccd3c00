/** `sing key pull`: a key of a server into a ring. */

import { SingError, shown } from '../../core/errors.ts'
import { serverText } from '../../endpoints/address.ts'
import { takeKeys } from '../../trust/import.ts'
import { readOffer, warningsAbout } from '../../trust/offer.ts'
import { findKeyAt } from '../../trust/server-keys.ts'
import type { Call } from '../command.ts'
import { usageError } from '../words.ts'
import { writtenPlace } from './places.ts'
import { atServer } from './server.ts'

/** Digits of a fingerprint or an id, in upper case. */
function idOf(text: string): string {
  const [, digits] = /^(?:0x)?([0-9a-f]{8}|[0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64})$/i.exec(text) ?? []
  if (digits !== undefined) return digits.toUpperCase()
  throw usageError(
    `${shown(text)} is no fingerprint: expected 40 hex digits, or the 16 or 8 of an id`,
    `To look for names and addresses: sing key search ${shown(text)}`,
  )
}

export async function pull(call: Call): Promise<number> {
  const { args, context } = call
  const { report } = context
  const place = writtenPlace(call)
  const done = await atServer(call, 'fetching the key', async (server, options) => {
    const id = idOf(args[0] ?? '')
    const key = await findKeyAt(server, id, options)
    if (!key) {
      const where = shown(serverText(server.url))
      throw new SingError('KEYSERVER', `no matching keys found: ${where} has no key ${id}`, {
        hint: 'Ask another server: sing key pull --url URL, or its owner',
      })
    }
    // Of whom it is, before it is believed.
    const text = `${key.getFingerprint().toUpperCase()}  ${key.getUserIDs().map(shown).join(', ')}`
    report({ kind: 'info', text })
    const offer = await readOffer(key.write(), `the answer of ${serverText(server.url)}`)
    for (const warning of await warningsAbout(offer)) report({ kind: 'warning', text: shown(warning) })
    return await takeKeys(offer, place, options)
  })
  const count = done.filter(({ what }) => what === 'added').length
  context.print(`${count} key(s) added to keyring of trust ${shown(place.public)}\n`)
  for (const { fingerprint, what } of done) {
    if (what === 'updated') report({ kind: 'info', text: `The key ${fingerprint} was brought up to date` })
  }
  return 0
}
