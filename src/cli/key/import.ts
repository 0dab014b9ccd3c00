/** `sing key import`: keys and revocations of a file. */

import { shown } from '../../core/errors.ts'
import { guardSecrets } from '../../native/guard.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import type { KeyBlock } from '../../trust/blocks.ts'
import { type Imported, importKeys } from '../../trust/import.ts'
import { isProtected } from '../../trust/keys.ts'
import { type Offer, readOffer, readOffered, warningsAbout } from '../../trust/offer.ts'
import { changePassphrase } from '../../trust/passphrase.ts'
import { readRings } from '../../trust/rings.ts'
import { Answers } from '../../ui/answers.ts'
import type { Call } from '../command.ts'
import { askNewPassphrase } from './passphrases.ts'
import { readPlaces, writtenPlace } from './places.ts'

const noAnswer = 'Give the old passphrase and the new one twice on standard input, a line each'

async function ask(block: KeyBlock, answers: Answers): Promise<KeyBlock> {
  const old = (await isProtected(block)) ? await answers.secret('Enter your key password : ') : undefined
  const fresh = await askNewPassphrase(answers, 'Enter a new password for this key : ')
  return await changePassphrase(block, old, fresh)
}

/** Private keys with new passphrases, everything else as it is. */
async function withNewPassphrases(offer: Offer): Promise<Offer> {
  using answers = new Answers(noAnswer)
  const keys: KeyBlock[] = []
  for (const block of offer.keys) keys.push(block.isSecret ? await ask(block, answers) : block)
  return { ...offer, keys }
}

function sentence({ fingerprint, ring, what }: Imported): string {
  const name = ring === 'secret' ? 'private' : 'public'
  switch (what) {
    case 'added':
      return `Key with fingerprint ${fingerprint} successfully added to the ${name} keyring`
    case 'updated':
      return `Key with fingerprint ${fingerprint} successfully updated in the ${name} keyring`
    case 'revoked':
      return `Key with fingerprint ${fingerprint} successfully revoked in the ${name} keyring`
    case 'known':
      return `Key with fingerprint ${fingerprint} already belongs to the ${name} keyring`
  }
}

export async function importFile(call: Call): Promise<number> {
  guardSecrets()
  const { flags, args, context } = call
  const [path = ''] = args
  const read = await readOffer(readOffered(path), path === '-' ? 'standard input' : path)
  const offer = flags['new-password'] === true ? await withNewPassphrases(read) : read
  for (const text of await warningsAbout(offer)) context.report({ kind: 'warning', text: shown(text) })
  using interruption = catchInterruption('importing keys')
  const { report } = context
  const others = readPlaces(call).slice(1)
  const elsewhere =
    offer.revocations.length > 0 ? readRings(others, 'public', report).flatMap(({ ring }) => ring.keys) : []
  const done = await importKeys(offer, writtenPlace(call), { signal: interruption.signal, report, elsewhere })
  context.print(done.map((entry) => `${sentence(entry)}\n`).join(''))
  return 0
}
