/** Which entries of a full cache go. */

import { describe, expect, it } from 'vitest'
import type { CacheEntry } from '../../../src/store/contents.ts'
import { chooseVictims } from '../../../src/store/evict.ts'

const hour = 60 * 60 * 1000
const now = 1000 * 24 * hour

const entry = (id: string, size: number, hours: number, isPartial = false): CacheEntry => ({
  type: 'net',
  id,
  name: '',
  path: `/c/net/${id}`,
  size,
  used: now - hours * hour,
  isPartial,
})

const entries = [entry('new', 10, 0), entry('day', 20, 24), entry('week', 30, 150), entry('hour', 40, 1)]

const cases = [
  [1000, []],
  [100, []],
  [99, ['week']],
  [70, ['week']],
  [69, ['week', 'day']],
  [10, ['week', 'day', 'hour']],
  [0, ['week', 'day', 'hour']],
] as const

describe('a cache that may keep', () => {
  it.each(cases)('%i of 100 bytes loses %j', (limit, victims) => {
    expect(chooseVictims(entries, limit, now).map(({ id }) => id)).toEqual(victims)
  })

  it('anything loses half a download that nobody went on with for a week', () => {
    const partials = [entry('old', 5, 169, true), entry('young', 5, 100, true)]
    expect(chooseVictims([...entries, ...partials], 1000, now).map(({ id }) => id)).toEqual(['old'])
  })
})
