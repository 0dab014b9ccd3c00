/** `sing key newpair`: a pair of keys for a person, who is asked for what the flags do not say. */

import { SingError } from '../../core/errors.ts'
import { secretOf } from '../../core/secrets.ts'
import { guardSecrets } from '../../native/guard.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import type { UserId } from '../../trust/keys.ts'
import { addPair, generatePair, type KeyType, keyTypes, type Pair, requirePair } from '../../trust/newpair.ts'
import { Answers, readPipedLine } from '../../ui/answers.ts'
import { isYes } from '../../ui/prompt.ts'
import type { Call } from '../command.ts'
import { usageError } from '../words.ts'
import { askNewPassphrase } from './passphrases.ts'
import { placesOf } from './places.ts'
import { send } from './push.ts'

const noAnswer =
  'Say it with flags: sing key newpair --name NAME --email ADDRESS --comment TEXT --password-stdin'

const given = ({ flags }: Call, name: string): string | undefined => {
  const value = flags[name]
  return typeof value === 'string' ? value : undefined
}

const questions = {
  name: 'Enter your name (e.g., John Doe) : ',
  email: 'Enter your email address (e.g., john.doe@example.com) : ',
  comment: 'Enter optional comment (e.g., development keys) : ',
} as const

/** Who gave a name on the command line is asked for the rest only in person. */
async function askUser(call: Call, answers: Answers): Promise<UserId> {
  const isAsked = answers.isPerson || given(call, 'name') === undefined
  const answer = async (part: keyof UserId): Promise<string> =>
    (given(call, part) ?? (isAsked ? await answers.line(questions[part]) : '')).trim()
  const name = await answer('name')
  const email = await answer('email')
  return { name, email, comment: await answer('comment') }
}

async function passphraseOf(call: Call, answers: Answers): Promise<string> {
  const password = given(call, 'password')
  const isPiped = call.flags['password-stdin'] === true
  if (isPiped && password !== undefined)
    throw usageError('--password and --password-stdin exclude each other')
  if (isPiped) return pipedPassphrase()
  if (password === undefined)
    return secretOf(call.context.secrets, 'KEY_PASSPHRASE') ?? (await askNewPassphrase(answers))
  if (password !== '') {
    const text = 'Others can see a passphrase on the command line while it runs: --password-stdin hides it'
    call.context.report({ kind: 'warning', text })
  }
  return password
}

/** Nothing is what a failed command before the pipe leaves, and no wish for a key that everybody could use. */
function pipedPassphrase(): string {
  const passphrase = readPipedLine()
  if (passphrase) return passphrase
  throw new SingError('KEY', 'there is no passphrase on standard input', {
    hint: 'A key without one: --password ""',
    status: 2,
  })
}

/** Where the peers take no answer for a yes, nothing leaves the machine without one. */
async function wantsPush(call: Call, answers: Answers): Promise<boolean> {
  if (call.flags.push !== undefined) return call.flags.push === true
  const isScript = !answers.isPerson
  if (isScript && given(call, 'name') !== undefined) return false
  const answer = isScript
    ? readPipedLine()
    : await answers.line('Would you like to push it to the keystore? [y/N] ')
  return isYes(answer ?? '')
}

function typeOf(call: Call): KeyType {
  const asked = given(call, 'type') ?? 'rsa'
  const type = keyTypes.find((known) => known === asked)
  if (type) return type
  throw usageError(`--type ${asked}: expected ${keyTypes.join(' or ')}`)
}

async function sendNew(call: Call, pair: Pair): Promise<void> {
  await send(call, pair.public).catch((error: unknown) => {
    if (!(error instanceof SingError)) throw error
    throw new SingError(error.code, error.message, {
      hint: `The key is kept; send it later: sing key push ${pair.public.fingerprint}`,
      status: error.status,
      cause: error,
    })
  })
}

export async function newpair(call: Call): Promise<number> {
  guardSecrets()
  const { flags, context } = call
  const type = typeOf(call)
  const bits = typeof flags['bit-length'] === 'number' ? flags['bit-length'] : 4096
  const place = placesOf(call).own
  using answers = new Answers(noAnswer)
  const user = await askUser(call, answers)
  requirePair({ user, type, bits })
  const passphrase = await passphraseOf(call, answers)
  const isPushed = await wantsPush(call, answers)
  using interruption = catchInterruption('making keys')
  context.print('Generating Entity and OpenPGP Key Pair... ')
  const make = async (): Promise<Pair> => {
    const pair = await generatePair({ user, type, bits, passphrase })
    await addPair(pair, place, { signal: interruption.signal, report: context.report })
    return pair
  }
  const pair = await make().catch((error: unknown) => {
    context.print('\n')
    throw error
  })
  context.print('done\n')
  const kept = `Fingerprint ${pair.public.fingerprint}, kept in ${place.directory}`
  context.report({ kind: 'info', text: kept })
  if (isPushed) await sendNew(call, pair)
  return 0
}
