/** `sing key remove`: keys out of a ring. */

import { SingError, shown } from '../../core/errors.ts'
import { catchInterruption } from '../../runtime/interrupt.ts'
import type { KeyPlace, RingKind } from '../../trust/places.ts'
import { removeKey, toFingerprint } from '../../trust/remove.ts'
import { readRings } from '../../trust/rings.ts'
import type { Call } from '../command.ts'
import { usageError } from '../words.ts'
import { kindOf, readPlaces, writtenPlace } from './places.ts'

function kindsOf(call: Call): RingKind[] {
  const { flags } = call
  const chosen = ['public', 'secret', 'both'].filter((name) => flags[name] === true)
  if (chosen.length > 1) throw usageError(`--${chosen[0]} and --${chosen[1]} exclude each other`)
  return flags.both === true ? ['public', 'secret'] : [kindOf(call)]
}

/** Rings of the peers are theirs: they are changed for who names them. */
function elsewhere(fingerprint: string, kinds: readonly RingKind[], call: Call): KeyPlace | undefined {
  const places = readPlaces(call).slice(1)
  const found = kinds.flatMap((kind) => readRings(places, kind, () => {}))
  return found.find(({ ring }) => ring.keys.some((key) => key.fingerprint === fingerprint))?.place
}

export async function remove(call: Call): Promise<number> {
  const { args, context } = call
  const fingerprint = toFingerprint(args[0] ?? '')
  const kinds = kindsOf(call)
  using interruption = catchInterruption('removing keys')
  const options = { signal: interruption.signal, report: context.report }
  try {
    const done = await removeKey(fingerprint, writtenPlace(call), kinds, options)
    for (const kind of done) {
      const text = `Removed the ${kind === 'secret' ? 'private' : 'public'} key ${fingerprint}`
      context.report({ kind: 'info', text })
    }
    return 0
  } catch (error) {
    const other = error instanceof SingError && error.code === 'KEY' && elsewhere(fingerprint, kinds, call)
    if (!other) throw error
    const hint =
      other.owner === 'own' || other.secret
        ? `It is in ${shown(other.directory)}: add --keysdir ${shown(other.directory)}`
        : `It is in ${shown(other.public)}, which only another program changes`
    throw new SingError('KEY', error.message, { hint, cause: error })
  }
}
