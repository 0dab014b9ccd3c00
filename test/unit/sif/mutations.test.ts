import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { SingError } from '../../../src/core/errors.ts'
import { typeWithDetails } from '../../../src/sif/details.ts'
import { addObject, deleteObject, setPrimary } from '../../../src/sif/edit.ts'
import { dataTypes } from '../../../src/sif/format.ts'
import { objectWindow, parseSif, primaryPartition, readObject, readSif } from '../../../src/sif/read.ts'
import { folder, sample, seeded } from './samples.ts'

const numbers = [0n, 1n, -1n, 48n, 585n, 4096n, 36864n, 1n << 31n, 1n << 40n, (1n << 63n) - 1n, -(1n << 63n)]

/** Change a few places of the header or the first descriptors: single bytes, or whole numbers of eight bytes. */
function mutate(bytes: Buffer, random: () => number): Buffer {
  const upTo = (limit: number) => Math.floor(random() * limit)
  const changed = Buffer.from(bytes)
  for (let left = 1 + upTo(3); left > 0; left -= 1) {
    const start = random() < 0.4 ? 0 : 4096
    if (random() < 0.5) changed[start + upTo(start === 0 ? 128 : 5 * 585)] = upTo(256)
    else if (start === 0) changed.writeBigInt64LE(numbers[upTo(numbers.length)] ?? 0n, 0x40 + 8 * upTo(8))
    else {
      const field = 4096 + 585 * upTo(5) + 17 + 8 * upTo(7)
      changed.writeBigInt64LE(numbers[upTo(numbers.length)] ?? 0n, field)
    }
  }
  return random() < 0.05 ? changed.subarray(0, upTo(changed.length)) : changed
}

/** Run, and let only errors for people pass; anything else (a TypeError, a RangeError) is a bug. */
function known<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (error instanceof SingError) return undefined
    throw error
  }
}

const knownLater = async <T>(promise: Promise<T>) =>
  await promise.catch((error) => {
    if (!(error instanceof SingError)) throw error
    return undefined
  })

it('reads or refuses ten thousand damaged headers and tables', async () => {
  const tiny = await sample('tiny')
  const random = seeded(20260101)
  const path = join(await folder(), 'a.sif')
  const fd = openSync(path, 'w+')
  let read = 0
  try {
    for (let round = 0; round < 10_000; round += 1) {
      const changed = mutate(tiny, random)
      ftruncateSync(fd, changed.length)
      writeSync(fd, changed, 0, changed.length, 0)
      const sif = known(() => parseSif(fd, path))
      if (!sif) continue
      read += 1
      expect(sif.objects.length).toBeLessThanOrEqual(changed.length / 585)
      for (const object of sif.objects) {
        typeWithDetails(object)
        const window = known(() => objectWindow(sif, object))
        if (window) expect(window.offset + window.size).toBeLessThanOrEqual(changed.length)
      }
      known(() => primaryPartition(sif))
    }
  } finally {
    closeSync(fd)
  }
  expect(read).toBeGreaterThan(2000)
})

it('changes damaged images in a way that can be read, or not at all', async () => {
  const tiny = await sample('tiny')
  const random = seeded(7)
  const path = join(await folder(), 'a.sif')
  const edits: (() => Promise<unknown>)[] = [
    () => addObject(path, { dataType: dataTypes.generic, data: Buffer.alloc(100), alignment: 4096 }),
    () => deleteObject(path, 1 + Math.floor(random() * 4)),
    () => setPrimary(path, 1 + Math.floor(random() * 4)),
  ]
  for (let round = 0; round < 300; round += 1) {
    await writeFile(path, mutate(tiny, random))
    const before = await knownLater(readSif(path))
    await knownLater(edits[round % 3]?.() ?? Promise.resolve())
    const after = await knownLater(readSif(path))
    expect(statSync(path).size).toBeLessThanOrEqual(tiny.length + 4096 + 100)
    if (before === undefined) continue
    expect(after).toBeDefined()
    expect(Math.abs((after?.objects.length ?? 0) - before.objects.length)).toBeLessThanOrEqual(1)
    for (const object of after?.objects ?? []) await knownLater(readObject(after ?? before, object))
  }
})
