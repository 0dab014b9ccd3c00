/** `sing key push`: a public key of a ring to a server. */

import { SingError, shown } from '../../core/errors.ts'
import { armored } from '../../trust/armored.ts'
import type { KeyBlock } from '../../trust/blocks.ts'
import { pushKey } from '../../trust/keyserver.ts'
import { readRings } from '../../trust/rings.ts'
import type { Call } from '../command.ts'
import { usageError } from '../words.ts'
import { readPlaces } from './places.ts'
import { atServer } from './server.ts'

/** The public key that a fingerprint or the id of its primary part names. */
function findPublic(call: Call, text: string): KeyBlock {
  const [, digits] = /^(?:0x)?([0-9a-f]{16}|[0-9a-f]{40}|[0-9a-f]{64})$/i.exec(text) ?? []
  if (digits === undefined)
    throw usageError(
      `${shown(text)} is no fingerprint: please provide a keyid (16 chars) or a full fingerprint (40 chars)`,
      'See: sing key list',
    )
  const wanted = digits.toUpperCase()
  const keys = readRings(readPlaces(call), 'public', call.context.report).flatMap(({ ring }) => ring.keys)
  const found = keys.find(({ fingerprint, ids }) => fingerprint === wanted || ids[0] === wanted)
  if (found) return found
  throw new SingError('KEY', `there is no public key ${wanted} to push`, { hint: 'See: sing key list' })
}

/** Send a key, and tell what the server says. */
export async function send(call: Call, block: KeyBlock | undefined): Promise<void> {
  const { context, args } = call
  const { fingerprint } = await atServer(call, 'sending the key', async (server, options) => {
    const key = block ?? findPublic(call, args[0] ?? '')
    const reply = await pushKey(server, armored(key), options)
    if (reply !== '') context.report({ kind: 'info', text: `Key server response: ${reply}` })
    return key
  })
  context.print(`public key \`${fingerprint}' pushed to server successfully\n`)
}

export async function push(call: Call): Promise<number> {
  await send(call, undefined)
  return 0
}
