/** What a new image is to be encrypted with, and what opens the one that it is made of. */

import { Buffer } from 'node:buffer'
import { SingError, shown } from '../core/errors.ts'
import { setForImages } from '../core/secrets.ts'
import { type NewEncryption, newEncryption } from '../image/encryption.ts'
import type { Secret } from '../image/locked.ts'
import type { Unlock } from '../image/open.ts'
import { hideProcess } from '../native/secret.ts'
import { Conversation } from '../ui/prompt.ts'
import type { Call } from './command.ts'
import { unlockFor } from './unlock.ts'

/** gocryptfs takes no longer one. */
const longestPassphrase = 2048

/** Whether the new image is to be encrypted. A key on the command line can only mean that. */
export function encrypts({ flags }: Pick<Call, 'flags'>): boolean {
  return flags.encrypt === true || flags.passphrase === true || Boolean(flags['pem-path'])
}

/** Somebody may have meant to encrypt. */
export function warnOfPlain(call: Call): void {
  const { secrets, report } = call.context
  const [variable] = setForImages(secrets)
  if (variable === undefined || encrypts(call)) return
  const text = `${variable} is set, but --encrypt is not given: the new image is not encrypted`
  report({ kind: 'warning', text })
}

/**
 * The flags are about the new image. What it is made of is opened with what the environment has, and where that has nothing,
 * with what is asked for.
 */
export function unlockBase(call: Call): Unlock {
  const asks = setForImages(call.context.secrets).length === 0
  const open = (passphrase: boolean) =>
    unlockFor({ ...call, flags: { ...call.flags, passphrase, 'pem-path': '' } })
  const [known, asked] = [open(false), open(asks)]
  return (locked) => (locked.sealed ? known : asked)(locked)
}

function requireUsable(passphrase: string): void {
  const refuse = (reason: string): never => {
    throw new SingError('ENCRYPTION', `the passphrase ${reason}`, { hint: 'Choose another one' })
  }
  if (passphrase === '') refuse('is empty, and would protect nothing')
  if (Buffer.byteLength(passphrase) > longestPassphrase) refuse(`is longer than ${longestPassphrase} bytes`)
  if (/[\n\0]/.test(passphrase)) refuse('is not one line of text')
}

async function askTwice(target: string): Promise<Secret> {
  const hint = 'Without one, give the passphrase in SING_ENCRYPTION_PASSPHRASE, or a public key: --pem-path'
  using conversation = new Conversation(hint)
  const passphrase = await conversation.secret(`Passphrase for ${shown(target)}: `)
  requireUsable(passphrase)
  if ((await conversation.secret('The same again: ')) === passphrase)
    return { kind: 'passphrase', passphrase }
  throw new SingError('ENCRYPTION', 'the two passphrases differ', { hint: 'Nothing was built: try again' })
}

async function secretFor(call: Call): Promise<Secret> {
  const { flags, args } = call
  if (flags.passphrase === true && flags['pem-path'])
    throw new SingError('USAGE', '--passphrase and --pem-path cannot be given together', { status: 255 })
  if (flags.passphrase === true) return await askTwice(args[0] ?? '')
  const { readSecret } = await import('./encryption.ts')
  const secret = await readSecret(call)
  if (secret?.kind === 'passphrase') requireUsable(secret.passphrase)
  if (secret) return secret
  throw new SingError('ENCRYPTION', '--encrypt: there is nothing to encrypt with', {
    hint: 'Give --passphrase, which asks for one, or set SINGULARITY_ENCRYPTION_PASSPHRASE\nOr name the public key of whom the image is for: --pem-path FILE',
  })
}

/**
 * The new keys; undefined for an image that is to be plain. When there are some, nobody but root can look into this process.
 * @throws SingError ENCRYPTION
 */
export async function encryptionOf(call: Call): Promise<NewEncryption | undefined> {
  if (!encrypts(call)) return undefined
  hideProcess()
  return await newEncryption(await secretFor(call))
}
