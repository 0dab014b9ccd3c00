/** Which rings a command is about. */

import { type KeyPlace, type KeyPlaces, keyPlaces, placesWith } from '../../trust/places.ts'
import type { Call } from '../command.ts'

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
