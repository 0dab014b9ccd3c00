/** What signatures leave open decides nothing about what an image is: the order of its table, and objects of other groups. */

import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { type Image, openImage } from '../../../src/image/open.ts'
import { partitionExtra } from '../../../src/sif/details.ts'
import { addObject } from '../../../src/sif/edit.ts'
import {
  dataTypes,
  defaultTableOffset,
  descriptorLength,
  filesystems,
  partitionKinds,
} from '../../../src/sif/format.ts'
import { readSif } from '../../../src/sif/read.ts'
import { fileOf, sample } from '../sif/samples.ts'

const groupOfRoot = 1

const addOverlay = (path: string, text: string): Promise<number> =>
  addObject(path, {
    dataType: dataTypes.partition,
    extra: partitionExtra(filesystems.squashfs, partitionKinds.overlay, '02'),
    group: groupOfRoot,
    data: Buffer.from(text),
  })

const addJson = (path: string, group: number, value: unknown): Promise<number> =>
  addObject(path, {
    dataType: dataTypes.genericJson,
    name: 'oci-config.json',
    group,
    data: Buffer.from(JSON.stringify(value)),
  })

/** Exchange the descriptors of two objects, which says nothing else about them. */
async function exchange(path: string, one: number, other: number): Promise<void> {
  const { objects } = await readSif(path)
  const bytes = await readFile(path)
  const places = [one, other].map((id) => {
    const slot = objects.find((object) => object.id === id)?.slot ?? 0
    return bytes.subarray(defaultTableOffset + slot * descriptorLength).subarray(0, descriptorLength)
  })
  const [first, second] = places as [Buffer, Buffer]
  const kept = Buffer.from(first)
  first.set(second)
  second.set(kept)
  await writeFile(path, bytes)
}

const open = (path: string): Promise<Image> => openImage(path, { anyArchitecture: true })

describe('an image is the same', () => {
  it('whatever the order of its table', async () => {
    const path = await fileOf(await sample('tiny'))
    const [below, above] = [await addOverlay(path, 'below'), await addOverlay(path, 'and above')]
    const [first, second] = [await addJson(path, groupOfRoot, { User: 'one' }), await addJson(path, 1, {})]
    const before = await open(path)
    expect(before.overlays?.map(({ size }) => size)).toEqual([5, 9])
    await exchange(path, below, above)
    await exchange(path, first, second)
    expect(await open(path)).toEqual(before)
  })

  it('whatever other groups hold', async () => {
    const path = await fileOf(await sample('tiny'))
    const before = await open(path)
    await addJson(path, 2, { Entrypoint: ['/bin/evil'] })
    expect(await open(path)).toEqual(before)
    await addJson(path, groupOfRoot, { User: 'one' })
    expect((await open(path)).oci).toEqual({ User: 'one' })
  })
})
