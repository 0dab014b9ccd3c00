/** `sing key list`: the keys of each ring. */

import { describeKey } from '../../trust/keys.ts'
import { type Listing, listingJson, listingText } from '../../trust/listing.ts'
import type { RingKind } from '../../trust/places.ts'
import { type PlacedRing, readRings } from '../../trust/rings.ts'
import { toJson } from '../../ui/json.ts'
import type { Call } from '../command.ts'
import { kindOf, readPlaces } from './places.ts'

async function describe(rings: readonly PlacedRing[], kind: RingKind): Promise<Listing[]> {
  const listings: Listing[] = []
  let first = 0
  for (const { ring } of rings) {
    const blocks = ring.keys.filter(({ isSecret }) => kind === 'public' || isSecret)
    const keys = await Promise.all(blocks.map(describeKey))
    listings.push({ path: ring.path, kind, first, keys })
    first += keys.length
  }
  return listings
}

export async function list(call: Call): Promise<number> {
  const { flags, context } = call
  const kind = kindOf(call)
  const all = await describe(readRings(readPlaces(call), kind, context.report), kind)
  // The first is the one that commands write; the others are worth a line when they have something.
  const listings = all.filter(({ keys }, index) => index === 0 || keys.length > 0)
  context.print(flags.json === true ? toJson(listings.map(listingJson)) : listings.map(listingText).join(''))
  return 0
}
