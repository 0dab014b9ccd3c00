/** What `sing sign` does: find the key and unlock it, and sign. */

import { SingError, shown } from '../core/errors.ts'
import { secretOf } from '../core/secrets.ts'
import { guardSecrets } from '../native/guard.ts'
import { catchInterruption } from '../runtime/interrupt.ts'
import { keyIdOf } from '../trust/dsse.ts'
import { readPrivateKey } from '../trust/pem.ts'
import { requireSignable, signImage } from '../trust/sign.ts'
import type { SigningKey, Task } from '../trust/types.ts'
import { Answers } from '../ui/answers.ts'
import type { Call } from './command.ts'
import { chosenKey } from './signing-key.ts'

const noAnswer = 'Without a terminal, the passphrase is read from standard input.'

export async function sign(call: Call): Promise<number> {
  const { context, args } = call
  const [path = ''] = args
  const tasks = tasksOf(call)
  // Nobody should type a passphrase for what cannot be signed.
  await requireSignable(path, tasks)
  guardSecrets()
  using interruption = catchInterruption('signing')
  const key = await keyOf(call)
  const { report } = context
  report({ kind: 'info', text: `Signing image with ${nameOf(key)}` })
  const signed = await signImage(path, { key, tasks, report, signal: interruption.signal })
  for (const { id, group, objects } of signed)
    report({
      kind: 'verbose',
      text: `Object ${id} is the signature of group ${group}, object ${objects.join(', ')}`,
    })
  report({ kind: 'info', text: `Signature created and applied to image '${shown(path)}'` })
  return 0
}

/** Without a flag every group is signed. */
function tasksOf({ flags }: Call): Task[] {
  const [group, object] = [flags['group-id'], flags['sif-id']]
  if (group !== undefined && object !== undefined)
    throw new SingError('USAGE', '--group-id and --sif-id exclude each other', {
      hint: 'A signature is about a group or about one object.',
    })
  if (group !== undefined) return [{ kind: 'group', id: numberOf('group-id', group) }]
  return object === undefined ? [] : [{ kind: 'object', id: numberOf('sif-id', object) }]
}

function numberOf(name: string, value: unknown): number {
  const number = Number(value)
  if (Number.isInteger(number) && number > 0 && number < 0x10000000) return number
  throw new SingError('USAGE', `--${name} ${shown(String(value))}: expected a number from 1 on`, {
    hint: 'See: sing sif list IMAGE',
  })
}

async function keyOf(call: Call): Promise<SigningKey> {
  using answers = new Answers(noAnswer)
  const file = pemOf(call)
  if (file === undefined) return { kind: 'openpgp', key: await chosenKey(call, answers) }
  const { report, secrets } = call.context
  const ask = async (question: string): Promise<string> =>
    secretOf(secrets, 'KEY_PASSPHRASE') ?? (await answers.secret(`${question} `))
  return { kind: 'pem', key: await readPrivateKey(file, { ask, report }) }
}

/** A key of the ring that was named on the command line counts more than a file of the environment. */
function pemOf({ flags, origins }: Call): string | undefined {
  const ring = ['keyidx', 'keysdir'].find((name) => flags[name] !== undefined)
  if (typeof flags.key !== 'string') return undefined
  if (ring === undefined) return flags.key
  if (!origins.key?.includes('--key')) return undefined
  throw new SingError('USAGE', `--key and --${ring} exclude each other`, {
    hint: '--keyidx and --keysdir are about keys of your ring, --key is about a file.',
  })
}

const nameOf = (key: SigningKey): string => {
  if (key.kind === 'pem') return `the key ${keyIdOf(key.key)}`
  const { userID } = key.key.users[0] ?? {}
  return `the key ${key.key.getFingerprint().toUpperCase()} (${shown(userID?.userID ?? 'without a name')})`
}
