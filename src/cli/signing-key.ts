/** The private key of a ring that signs: the only one, or the one that somebody chooses; unlocked. */

import type { PrivateKey } from 'openpgp'
import { SingError, shown } from '../core/errors.ts'
import type { Report } from '../core/events.ts'
import { secretOf, variableOf } from '../core/secrets.ts'
import { formatUserId, isProtected, unlockKey, userIdsOf } from '../trust/keys.ts'
import { type KeyPlaces, nameOf } from '../trust/places.ts'
import { chooseKey, findInRings, type NumberedKey, secretKeys } from '../trust/ring-keys.ts'
import type { Answers } from '../ui/answers.ts'
import type { Call } from './command.ts'
import { placesOf } from './key/places.ts'

/** @throws SingError KEY when there is none, or nobody says which one */
export async function chosenKey(call: Call, answers: Answers): Promise<PrivateKey> {
  const { report, secrets } = call.context
  const places = placesOf(call)
  const keys = secretKeys(places, report)
  if (keys.length === 0) throw noKey(places)
  const { block } = await choose(keys, call.flags.keyidx, answers)
  const question = `Passphrase of the key ${block.fingerprint} (${nameText(block)}): `
  const passphrase = async (): Promise<string> =>
    secretOf(secrets, 'KEY_PASSPHRASE') ?? (await answers.secret(question))
  const given = (await isProtected(block)) ? await passphrase() : undefined
  try {
    return await upToDate(await unlockKey(block, given), places, report)
  } catch (error) {
    throw given === undefined ? error : withSource(error, variableOf(secrets, 'KEY_PASSPHRASE'))
  }
}

/** Whoever typed nothing has to know which passphrase was the wrong one. */
function withSource(error: unknown, variable: string | undefined): unknown {
  if (variable === undefined || !(error instanceof SingError)) return error
  return new SingError(error.code, error.message, {
    hint: `The passphrase is that of ${variable}`,
    cause: error,
  })
}

function noKey(places: KeyPlaces): SingError {
  return new SingError('KEY', `there is no private key in ${nameOf(places.own)} to sign with`, {
    hint: 'Make one: sing key newpair\nOr sign with one of a PEM file: sing sign --key FILE IMAGE',
  })
}

async function choose(keys: readonly NumberedKey[], asked: unknown, answers: Answers): Promise<NumberedKey> {
  if (typeof asked === 'string') return chooseKey(keys, asked, 'secret')
  const [first] = keys
  const prints = new Set(keys.map(({ block }) => block.fingerprint))
  if (first && prints.size === 1) return first
  const list = keys
    .map((key) => `  ${key.number}) ${nameText(key.block)}  ${key.block.fingerprint}\n`)
    .join('')
  if (answers.isPerson) {
    const answer = await answers.line(`${list}Enter # of private key to use : `)
    return chooseKey(keys, answer.trim(), 'secret')
  }
  throw new SingError(
    'KEY',
    `you have ${prints.size} private keys, and none was chosen:\n${list.trimEnd()}`,
    {
      hint: 'Choose one: sing sign --keyidx NUMBER|FINGERPRINT|NAME IMAGE',
    },
  )
}

const nameText = (block: NumberedKey['block']): string =>
  shown(userIdsOf(block).map(formatUserId)[0] ?? 'without a name')

/** Public keys are where revocations and new dates come in. */
async function upToDate(key: PrivateKey, places: KeyPlaces, report: Report): Promise<PrivateKey> {
  const known = await findInRings(places, report)(key.getKeyID().toHex().toUpperCase())
  return known?.key.getFingerprint() === key.getFingerprint() ? await key.update(known.key) : key
}
