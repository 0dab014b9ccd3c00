/** Which entries go when a cache has more than it may. */

import type { CacheEntry } from './contents.ts'

/** Entries that were used so recently stay: somebody may be about to open them. */
const youth = 10 * 60 * 1000
/** Nobody goes on with half a download after this time. */
const patience = 7 * 24 * 60 * 60 * 1000

/** The entries to remove, those first that were not used for the longest time, so that `limit` bytes at most remain. */
export function chooseVictims(entries: readonly CacheEntry[], limit: number, now: number): CacheEntry[] {
  const isLeft = ({ isPartial, used }: CacheEntry): boolean => isPartial && now - used > patience
  const victims = entries.filter(isLeft)
  const rest = entries.filter((entry) => !isLeft(entry)).sort((a, b) => a.used - b.used)
  let total = rest.reduce((sum, { size }) => sum + size, 0)
  for (const entry of rest) {
    if (total <= limit || now - entry.used < youth) break
    victims.push(entry)
    total -= entry.size
  }
  return victims
}
