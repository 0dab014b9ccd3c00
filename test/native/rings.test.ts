/** Files of keys: their bounds, locks and other writers, on the real file system. */

import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Event } from '../../src/core/events.ts'
import { waitForLock } from '../../src/store/lock.ts'
import { toBlocks } from '../../src/trust/blocks.ts'
import { readOffered } from '../../src/trust/offer.ts'
import { keyDirectory } from '../../src/trust/places.ts'
import { type ChangeOptions, changeRings } from '../../src/trust/ring-files.ts'
import { readRing } from '../../src/trust/rings.ts'
import { ringFile } from '../e2e/keys.ts'
import { can } from '../helpers/can.ts'
import { temporaryFolder } from '../helpers/temp.ts'

const ring = readFileSync(ringFile('pgp-public'))
const [first] = toBlocks(ring).keys
const signal = new AbortController().signal
const silent = (): void => {}
const options: ChangeOptions = { signal, report: silent }

function newPlace(content: Uint8Array | undefined = ring) {
  const directory = join(temporaryFolder(), 'keys')
  mkdirSync(directory, { mode: 0o700 })
  const place = keyDirectory(directory)
  if (content) writeFileSync(place.public, content, { mode: 0o600 })
  return place
}

describe('a ring', () => {
  it('has an end', () => {
    const place = newPlace()
    truncateSync(place.public, 64 * 1024 * 1024 + 1)
    expect(() => readRing(place, 'public', silent)).toThrow('is no ring of keys: it is larger than 64 MiB')
    const tiny = Buffer.from([0xc6, 8, 4, 1, 1, 1, 1, 27, 0, 0])
    const many = newPlace(Buffer.concat(Array.from({ length: 20_001 }, () => tiny)))
    expect(() => readRing(many, 'public', silent)).toThrow('has 20001 keys: at most 20000 are read')
    const offered = join(temporaryFolder(), 'key')
    writeFileSync(offered, '')
    truncateSync(offered, 16 * 1024 * 1024 + 1)
    for (const endless of [offered, '/dev/zero'])
      expect(() => readOffered(endless)).toThrow('is no file of keys: it is larger than 16 MiB')
  })

  it.skipIf(!can('root'))('of another user is written for root with the same owner', async () => {
    const place = newPlace()
    execFileSync('chown', ['-R', '1234:1234', place.directory])
    await changeRings(place, options, async () => ({ public: [], result: undefined }))
    expect(execFileSync('stat', ['-c', '%u %a', place.public]).toString()).toBe('1234 600\n')
  })
})

describe('a change', () => {
  it('begins anew when a program that takes no lock writes in between', async () => {
    const place = newPlace()
    let calls = 0
    const seen = await changeRings(place, options, async (rings) => {
      // As the peers do it.
      if (calls++ === 0) appendFileSync(place.public, first?.bytes ?? '')
      return { public: rings.public.keys.slice(1), result: rings.public.keys.length }
    })
    expect([calls, seen]).toEqual([2, 3])
    expect(readRing(place, 'public', silent).keys).toHaveLength(2)
  })

  it('gives up when that program never stops', async () => {
    const place = newPlace()
    const changed = changeRings(place, options, async (rings) => {
      appendFileSync(place.public, first?.bytes ?? '')
      return { public: rings.public.keys, result: undefined }
    })
    await expect(changed).rejects.toThrow('another program keeps changing them')
    expect(readdirSync(place.directory)).toEqual(['pgp-public'])
  })

  it('waits for another one, and says so', async () => {
    const place = newPlace()
    const lock = await waitForLock(join(place.directory, '.keys.lock'), { signal })
    const events: Event[] = []
    const told = Promise.withResolvers<void>()
    const report = (event: Event): void => {
      events.push(event)
      told.resolve()
    }
    const change = changeRings(place, { signal, report }, async (rings) => ({
      result: rings.public.keys.length,
    }))
    await told.promise
    await lock?.close()
    expect(await change).toBe(2)
    expect(events).toEqual([
      { kind: 'info', text: `Waiting for another program that changes ${place.directory}` },
    ])
  })

  it('takes away what killed ones left, and nothing else', async () => {
    const place = newPlace()
    for (const name of ['.pgp-secret.partial-77', '.pgp-public.partial-78', '.other.partial-1', 'notes'])
      writeFileSync(join(place.directory, name), 'x')
    await changeRings(place, options, async () => ({ result: undefined }))
    expect(readdirSync(place.directory).sort()).toEqual(['.other.partial-1', 'notes', 'pgp-public'])
  })
})
