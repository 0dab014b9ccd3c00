/** Which rings a command is about. */

import { type KeyPlace, type KeyPlaces, keyPlaces, placesWith, type RingKind } from '../../trust/places.ts'
import type { Call } from '../command.ts'
import { usageError } from '../words.ts'

export const placesOf = ({ flags, context }: Call): KeyPlaces =>
  keyPlaces(context.environment, typeof flags.keysdir === 'string' ? flags.keysdir : undefined)

/** The place that is changed: with --global that of the site. */
export function writtenPlace(call: Call): KeyPlace {
  const { own, global } = placesOf(call)
  return call.flags.global === true ? (global[0] ?? own) : own
}

/** The places that are looked into. */
export function readPlaces(call: Call): readonly KeyPlace[] {
  const places = placesOf(call)
  return call.flags.global === true ? places.global : placesWith(places)
}

/** The ring of a place that is meant: with --secret that of private keys. @throws SingError USAGE with --global, too */
export function kindOf({ flags }: Call): RingKind {
  if (flags.secret !== true) return 'public'
  if (flags.global !== true) return 'secret'
  throw usageError('--global and --secret exclude each other: private keys belong to somebody')
}
