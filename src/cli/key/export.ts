/** `sing key export`: a key of a ring into a file. */

import { SingError, shown } from '../../core/errors.ts'
import { guardSecrets } from '../../native/guard.ts'
import { exportedKey, writeKeyFile } from '../../trust/export.ts'
import { describeKey } from '../../trust/keys.ts'
import { keysText } from '../../trust/listing.ts'
import type { RingKind } from '../../trust/places.ts'
import { chooseKey, type NumberedKey, numberKeys } from '../../trust/ring-keys.ts'
import { readRings } from '../../trust/rings.ts'
import { Answers } from '../../ui/answers.ts'
import type { Call } from '../command.ts'
import { kindOf, readPlaces } from './places.ts'

/** Exit status of the peers for an export that fails. */
const status = 10

const title = (kind: RingKind): string => (kind === 'secret' ? 'private' : 'public')

/** Show the keys and ask which one is meant. */
async function ask(keys: readonly NumberedKey[], kind: RingKind, { context }: Call): Promise<NumberedKey> {
  context.print(keysText(await Promise.all(keys.map(({ block }) => describeKey(block)))))
  using answers = new Answers('Name the key behind the file: its number, fingerprint, or a part of its name')
  const answer = (await answers.line(`Enter # of ${title(kind)} key to use : `)).trim()
  if (answer !== '') return chooseKey(keys, answer, kind)
  throw new SingError('KEY', 'no key is exported: none was named', { status })
}

async function choose(call: Call, kind: RingKind, isStream: boolean): Promise<NumberedKey> {
  const keys = numberKeys(readRings(readPlaces(call), kind, call.context.report), kind)
  const name = call.args[1]
  if (name !== undefined) return chooseKey(keys, name, kind)
  const [first] = keys
  if (!first)
    throw new SingError('KEY', `there is no ${title(kind)} key to export`, {
      hint: 'Make a pair: sing key newpair, or take keys from a file: sing key import FILE',
      status,
    })
  if (!isStream) return await ask(keys, kind, call)
  if (keys.length === 1) return first
  throw new SingError('USAGE', `there are ${keys.length} ${title(kind)} keys: name one behind the -`, {
    status,
  })
}

export async function exportFile(call: Call): Promise<number> {
  guardSecrets()
  const { flags, args, context } = call
  const [path = ''] = args
  const isStream = path === '-'
  const kind = kindOf(call)
  const { block } = await choose(call, kind, isStream)
  const bytes = exportedKey(block, flags.armor === true)
  if (isStream) {
    context.print(bytes)
    return 0
  }
  writeKeyFile(path, bytes, block)
  const name = kind === 'secret' ? 'Private' : 'Public'
  context.print(
    `${name} key with fingerprint ${block.fingerprint} correctly exported to file: ${shown(path)}\n`,
  )
  return 0
}
