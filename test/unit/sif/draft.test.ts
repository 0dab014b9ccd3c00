import {
  chmod,
  copyFile,
  type FileHandle,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { addObject, addObjects, deleteObject, setPrimary } from '../../../src/sif/edit.ts'
import { dataTypes, defaultTableOffset } from '../../../src/sif/format.ts'
import { readSif } from '../../../src/sif/read.ts'
import type { NewObject } from '../../../src/sif/write.ts'
import { sample } from './samples.ts'

let folder = ''
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sing-draft-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function fileOf(name: 'tiny' | 'kinds'): Promise<string> {
  count += 1
  const path = join(folder, `${count}.sif`)
  await writeFile(path, await sample(name))
  return path
}

const object = (text: string): NewObject => ({ dataType: dataTypes.generic, data: Buffer.from(text) })
const three = ['one', 'two', 'three'].map(object)
const time = 1_700_000_000

const changes: readonly (readonly [string, 'tiny' | 'kinds', (path: string) => Promise<unknown>])[] = [
  ['add an object', 'tiny', (path) => addObject(path, object('x'), { time })],
  ['add three objects', 'tiny', (path) => addObjects(path, async () => three, { time })],
  ['delete an object', 'tiny', (path) => deleteObject(path, 2, { time })],
  ['choose another root', 'kinds', (path) => setPrimary(path, 8, { time })],
]

/** What a reader sees of a file; where the table lies is no part of it. */
async function seen(path: string) {
  const { header, objects } = await readSif(path)
  const { raw: _, tableOffset: __, ...fields } = header
  return { fields, objects }
}

/** What disks and page caches write whole or not at all. */
const sector = 512
const operations = ['write', 'datasync', 'sync', 'truncate'] as const
type Operation = (...given: unknown[]) => Promise<unknown>

/**
 * From its operation number `limit` on no file changes any more, as if the program had been killed; of that one, if it writes more
 * than a sector, half is done. Returns how many operations there were.
 */
async function killAt(limit: number): Promise<() => number> {
  await using handle = await open(join(folder, '1.sif'))
  const prototype = Object.getPrototypeOf(handle) as Record<string, Operation>
  let done = 0
  for (const name of operations) {
    const real = prototype[name] as Operation
    prototype[name] = async function (this: FileHandle, ...given: unknown[]) {
      done += 1
      if (done < limit) return await real.apply(this, given)
      const [bytes, from, length, at] = given as [Uint8Array, number, number, number]
      if (done === limit && name === 'write' && length > sector)
        await real.call(this, bytes, from, Math.floor(length / 2), at)
      throw new Error('killed')
    }
    restore.push(() => {
      prototype[name] = real
    })
  }
  return () => done
}
const restore: (() => void)[] = []
afterEach(() => {
  for (const undo of restore.splice(0)) undo()
})

describe('whoever is killed while they', () => {
  it.each(changes)('%s leaves the old image or the new one', async (_, name, change) => {
    const whole = await fileOf(name)
    const old = await seen(whole)
    await change(whole)
    const fresh = await seen(whole)
    expect(fresh).not.toEqual(old)
    const states = new Set<string>()
    for (let limit = 1; ; limit += 1) {
      const path = await fileOf(name)
      const operationsOf = await killAt(limit)
      const failed = await change(path).then(
        () => false,
        () => true,
      )
      for (const undo of restore.splice(0)) undo()
      const found = await seen(path)
      states.add(JSON.stringify(found) === JSON.stringify(old) ? 'old' : 'new')
      expect([old, fresh].map((one) => JSON.stringify(one))).toContain(JSON.stringify(found))
      // Whoever comes next finds a sound file, and puts the table where it belongs.
      await addObject(path, object('next'))
      const { header, objects } = await readSif(path)
      expect(header.tableOffset).toBe(defaultTableOffset)
      expect(objects.map(({ size }) => size)).toContain(4)
      if (!failed && operationsOf() < limit) break
    }
    expect(states).toEqual(new Set(['old', 'new']))
  })
})

describe('several objects', () => {
  it('are all added, or none when there is no room for the last', async () => {
    const path = await fileOf('tiny')
    const { header, objects } = await readSif(path)
    const free = header.total - objects.length
    await addObjects(path, async () => Array.from({ length: free - 1 }, () => object('x')))
    const before = await readFile(path)
    await expect(addObjects(path, async () => [object('y'), object('z')])).rejects.toThrow(
      'takes no more objects: all 48 descriptors are in use',
    )
    expect(await readFile(path)).toEqual(before)
    expect(await addObjects(path, async () => [object('y')])).toEqual([48])
  })

  it('are added by ten at once, one after the other', async () => {
    const path = await fileOf('tiny')
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        addObjects(path, async () => [object(`${index}`), object('b')]),
      ),
    )
    const { objects, header } = await readSif(path)
    expect(objects).toHaveLength(23)
    expect(new Set(objects.map(({ offset }) => offset)).size).toBe(23)
    expect(header.free).toBe(25)
  })
})

describe('who waits for another', () => {
  it('is told so, and may give up', async () => {
    const path = await fileOf('tiny')
    const told: string[] = []
    const interruption = new AbortController()
    const report = (event: { kind: string; text?: string }) => {
      told.push(event.text ?? '')
      interruption.abort(new Error('gave up'))
    }
    await addObjects(path, async () => {
      await expect(addObject(path, object('x'), { report, signal: interruption.signal })).rejects.toThrow(
        'gave up',
      )
      return three
    })
    expect(told).toEqual([`Waiting for another program that changes ${path}`])
    expect((await readSif(path)).objects).toHaveLength(6)
  })

  it('changes the image that has the name then', async () => {
    const path = await fileOf('tiny')
    const other = await fileOf('kinds')
    const kinds = (await readSif(other)).objects.length
    const second = Promise.withResolvers<unknown>()
    await expect(
      addObjects(path, async () => {
        addObject(path, object('x')).then(second.resolve, second.reject)
        await rename(other, path)
        return three
      }),
    ).rejects.toThrow('was changed by another program')
    await second.promise
    expect((await readSif(path)).objects).toHaveLength(kinds + 1)
  })
})

it('a table that cannot go to its place stays where it is', async () => {
  const path = await fileOf('tiny')
  const bytes = await readFile(path)
  const table = bytes.subarray(defaultTableOffset, defaultTableOffset + 48 * 585)
  await writeFile(path, Buffer.concat([bytes, table]))
  await using file = await open(path, 'r+')
  const at = Buffer.alloc(8)
  at.writeBigInt64LE(BigInt(bytes.length))
  await file.write(at, 0, 8, 0x60)
  // Object 1 now claims the place of the table.
  at.writeBigInt64LE(5000n)
  await file.write(at, 0, 8, bytes.length + 17)
  await addObject(path, object('x'))
  const { header, objects } = await readSif(path)
  expect(header.tableOffset).toBe(bytes.length)
  expect(objects).toHaveLength(4)
})

it('a link stays a link, and modes stay as they are', async () => {
  const path = await fileOf('tiny')
  await chmod(path, 0o640)
  const copy = `${path}.copy`
  await copyFile(path, copy)
  await using before = await open(path)
  const { ino } = await before.stat()
  await addObject(path, object('x'))
  await using after = await open(path)
  expect(await after.stat()).toMatchObject({ ino, mode: 0o100640 })
})
