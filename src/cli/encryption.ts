/** What the user has to open encrypted images with, or to encrypt one: flags, then variables; asked on the terminal if need be. */

import { readFileSync, statSync } from 'node:fs'
import { reasonOf, SingError, shown } from '../core/errors.ts'
import { secretOf, variableOf } from '../core/secrets.ts'
import { howToUnlock, type Locked, type Secret } from '../image/locked.ts'
import type { Unlock } from '../image/open.ts'
import { hasPassword } from '../image/sealed-passphrase.ts'
import { Conversation } from '../ui/prompt.ts'
import type { Call } from './command.ts'

/** More is no key in PEM. */
const pemLimit = 64 * 1024

async function ask(question: string, hint: string): Promise<string> {
  using conversation = new Conversation(hint)
  return await conversation.secret(`${question}: `)
}

function readPem(path: string): Secret {
  try {
    if (statSync(path).size > pemLimit) throw new Error('it is too large for a key in PEM')
    return { kind: 'pem', pem: readFileSync(path, 'utf8'), name: path }
  } catch (cause) {
    throw new SingError('ENCRYPTION', `cannot read the key ${shown(path)}: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * The secret that the user gave, in the order in which one goes before another: --pem-path, --passphrase, and the variables
 * PEM_PATH, PEM_DATA, PASSPHRASE. Undefined when there is none. `image` is named where somebody is asked.
 * @throws SingError ENCRYPTION for an empty passphrase and a key file that cannot be read; IO without a terminal to ask at
 */
export async function readSecret({ flags, context }: Call, image?: string): Promise<Secret | undefined> {
  const { secrets } = context
  if (typeof flags['pem-path'] === 'string' && flags['pem-path']) return readPem(flags['pem-path'])
  if (flags.passphrase === true) {
    const hint = 'Without one: set SINGULARITY_ENCRYPTION_PASSPHRASE'
    const passphrase = await ask(`Enter encryption passphrase${image ? ` of ${shown(image)}` : ''}`, hint)
    if (passphrase === '') throw new SingError('ENCRYPTION', 'the passphrase is empty')
    return { kind: 'passphrase', passphrase }
  }
  const path = secretOf(secrets, 'ENCRYPTION_PEM_PATH')
  if (path !== undefined) return readPem(path)
  const pem = secretOf(secrets, 'ENCRYPTION_PEM_DATA')
  if (pem !== undefined) return { kind: 'pem', pem, name: variableOf(secrets, 'ENCRYPTION_PEM_DATA') ?? '' }
  const passphrase = secretOf(secrets, 'ENCRYPTION_PASSPHRASE')
  const variable = variableOf(secrets, 'ENCRYPTION_PASSPHRASE')
  return passphrase === undefined ? undefined : { kind: 'passphrase', passphrase, variable }
}

/** A key file may have a password of its own. */
async function opened(secret: Secret): Promise<Secret> {
  if (secret.kind !== 'pem' || !hasPassword(secret.pem)) return secret
  const hint =
    'Without one: take the password off the key, or set SINGULARITY_ENCRYPTION_PEM_DATA to a key without one'
  return { ...secret, password: await ask(`Password of the key ${shown(secret.name)}`, hint) }
}

async function keyOf(locked: Locked, call: Call): Promise<number> {
  const secret = await readSecret(call, locked.path)
  if (!secret)
    throw new SingError('ENCRYPTION', `cannot open ${shown(locked.path)}: it is encrypted`, {
      hint: howToUnlock(locked),
    })
  const { unlock } = await import('../image/unlock.ts')
  return unlock(locked, await opened(secret))
}

/** Opens images with what the user gave, each once. */
export function unlocking(call: Call): Unlock {
  const known = new Map<string, Promise<number>>()
  return (locked) => {
    const place = `${locked.path}:${locked.offset}`
    const key = known.get(place) ?? keyOf(locked, call)
    known.set(place, key)
    return key
  }
}
