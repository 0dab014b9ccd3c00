/** Asks for passphrases: twice for a new one, and once more for whoever wants none. */

import { SingError } from '../../core/errors.ts'
import type { Answers } from '../../ui/answers.ts'
import { isYes } from '../../ui/prompt.ts'

const tries = 3
const status = 2

/** @throws SingError when the two are never the same, or somebody wants none after all */
export async function askNewPassphrase(
  answers: Answers,
  question = 'Enter a passphrase : ',
): Promise<string> {
  for (let left = answers.isPerson ? tries : 1; left > 0; left--) {
    const passphrase = await answers.secret(question)
    if (passphrase === (await answers.secret('Retype your passphrase : ')))
      return passphrase === '' ? await agreeToNone(answers) : passphrase
    if (left > 1) answers.say('They are not the same. Again:')
  }
  throw new SingError('KEY', 'the two passphrases are not the same', {
    hint: 'No key was changed: try again',
    status,
  })
}

async function agreeToNone(answers: Answers): Promise<string> {
  const question =
    'WARNING: if there is no password set, your key is not secure. Do you want to continue? [y/n] '
  if (isYes(await answers.line(question))) return ''
  throw new SingError('KEY', 'no key is kept without a passphrase', { status })
}
