import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { partitionExtra, sealedKeyExtra } from '../../../src/sif/details.ts'
import { addFile, addObject, deleteObject, newSif, setPrimary } from '../../../src/sif/edit.ts'
import { dataTypes, filesystems, noTime, partitionKinds } from '../../../src/sif/format.ts'
import { findObject, primaryPartition, readObject, readSif } from '../../../src/sif/read.ts'
import { SifWriter } from '../../../src/sif/write.ts'
import { broken, fileOf, folder, sample } from './samples.ts'

const id = '01234567-89ab-4cde-8f01-23456789abcd'
const time = 1700000000
const primary = partitionExtra(filesystems.squashfs, partitionKinds.primary, '02')
const system = partitionExtra(filesystems.squashfs, partitionKinds.system, '04')
const text = (words: string) => Buffer.from(words)

async function write(path: string, options = {}) {
  await using writer = await SifWriter.create(path, { id, time, ...options })
  await writer.add({ dataType: dataTypes.definition, data: text('bootstrap: scratch\n') })
  await writer.add({ dataType: dataTypes.genericJson, name: 'inspect-metadata.json', data: text('{}') })
  const partition = await writer.add({ dataType: dataTypes.partition, extra: primary, data: pieces() })
  const link = { kind: 'object', id: partition } as const
  await writer.add({ dataType: dataTypes.cryptoMessage, link, extra: sealedKeyExtra(), data: text('sealed') })
  await writer.commit()
}

async function* pieces() {
  yield Buffer.alloc(5000, 'h')
  yield Buffer.alloc(3192, 's')
}

describe('a new image', () => {
  it('has the same bytes for the same id and time', async () => {
    const path = join(await folder(), 'a.sif')
    await write(path)
    const bytes = await readFile(path)
    expect(bytes.equals(await sample('golden'))).toBe(true)
    await write(path)
    expect(bytes.equals(await readFile(path))).toBe(true)
  })

  it('is laid out as Apptainer lays it out', async () => {
    const path = join(await folder(), 'a.sif')
    await write(path)
    const { header, objects, fileSize } = await readSif(path)
    expect(header).toMatchObject({ arch: '02', id, created: time, free: 44, total: 48, dataOffset: 32176 })
    expect(header.launch).toBe('#!/usr/bin/env run-singularity\n')
    expect(objects.map(({ offset, size, paddedSize }) => [offset, size, paddedSize])).toEqual([
      [32176, 19, 19],
      [32195, 2, 2],
      [32768, 8192, 32768 - 32197 + 8192],
      [40960, 6, 6],
    ])
    expect(objects[3]).toMatchObject({ id: 4, group: 1, link: { kind: 'object', id: 3 } })
    expect([fileSize, header.dataSize]).toEqual([40966, 40966 - 32176])
  })

  it('can be executed, unless the umask forbids it', async () => {
    const path = join(await folder(), 'a.sif')
    const mask = process.umask(0o027)
    await write(path).finally(() => process.umask(mask))
    expect((await stat(path)).mode & 0o777).toBe(0o750)
  })

  it('has an id of its own when none is given', async () => {
    const directory = await folder()
    await newSif(join(directory, 'a.sif'))
    await newSif(join(directory, 'b.sif'))
    const [a, b] = [await readSif(join(directory, 'a.sif')), await readSif(join(directory, 'b.sif'))]
    expect(a.header.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(b.header.id).not.toBe(a.header.id)
  })

  it('takes data that others write straight into the file', async () => {
    const path = join(await folder(), 'a.sif')
    await using writer = await SifWriter.create(path, { id, time })
    await writer.add({ dataType: dataTypes.definition, data: text('x') })
    const slot = await writer.slot({ dataType: dataTypes.partition, extra: primary })
    const { write } = await import('node:fs')
    await new Promise((resolve) => write(slot.fd, Buffer.alloc(9000, 'p'), 0, 9000, slot.offset, resolve))
    await expect(writer.add({ dataType: dataTypes.generic, data: text('') })).rejects.toThrow(
      'one object at a time',
    )
    slot.finish(8192)
    await writer.commit()
    const sif = await readSif(path)
    expect(sif.fileSize).toBe(slot.offset + 8192)
    expect(await readObject(sif, primaryPartition(sif))).toEqual(Buffer.alloc(8192, 'p'))
  })

  it('gives an object a number before its data is there', async () => {
    const path = join(await folder(), 'a.sif')
    await using writer = await SifWriter.create(path, { id, time })
    await writer.add({ dataType: dataTypes.definition, data: text('first') })
    const second = writer.later()
    await writer.add({ dataType: dataTypes.generic, data: text('third') })
    await expect(writer.commit()).rejects.toThrow('with every object finished')
    await writer.add({ dataType: dataTypes.genericJson, name: 'second', data: text('second') }, second)
    await writer.commit()
    const sif = await readSif(path)
    const found = await Promise.all(
      sif.objects.map(async (object) => [object.id, (await readObject(sif, object)).toString()]),
    )
    expect(found).toEqual([
      [1, 'first'],
      [2, 'second'],
      [3, 'third'],
    ])
    expect(sif.objects.map(({ offset }) => offset)).toEqual([32176, 32186, 32181])
    expect(sif.header.free).toBe(45)
  })

  it('is not there, nor anything else, when it is given up', async () => {
    const directory = await folder()
    const failing = async () => {
      await using writer = await SifWriter.create(join(directory, 'a.sif'))
      await writer.add({ dataType: dataTypes.generic, data: text('x') })
      expect(await readdir(directory)).toEqual([expect.stringMatching(/^\.a\.sif\.partial-[0-9a-f]{8}$/)])
      throw new Error('changed my mind')
    }
    await expect(failing()).rejects.toThrow('changed my mind')
    expect(await readdir(directory)).toEqual([])
  })

  it('replaces the former image only when it is whole', async () => {
    const path = join(await folder(), 'a.sif')
    await writeFile(path, 'former')
    await using writer = await SifWriter.create(path, { id, time })
    await writer.add({ dataType: dataTypes.generic, data: text('x') })
    expect(await readFile(path, 'utf8')).toBe('former')
    await writer.commit()
    expect((await readSif(path)).objects).toHaveLength(1)
  })

  it('has one root file system and no more objects than descriptors', async () => {
    await using writer = await SifWriter.create(join(await folder(), 'a.sif'), { capacity: 2 })
    const partition = { dataType: dataTypes.partition, extra: primary, data: text('hsqs') }
    await writer.add(partition)
    await expect(writer.add(partition)).rejects.toMatchObject({ code: 'SIF_OBJECT' })
  })

  it('refuses names and numbers that a descriptor cannot hold', async () => {
    await using writer = await SifWriter.create(join(await folder(), 'a.sif'), { capacity: 1 })
    const object = { dataType: dataTypes.generic, data: text('x') }
    for (const wrong of [{ name: 'é'.repeat(65) }, { group: 1 << 28 }, { group: -1 }, { alignment: 0 }]) {
      await expect(writer.add({ ...object, ...wrong })).rejects.toMatchObject({ code: 'SIF_OBJECT' })
    }
    await writer.add({ ...object, name: 'é'.repeat(64) })
    await expect(writer.add(object)).rejects.toThrow('all 1 descriptors are in use')
  })

  it('names the directory that is missing', async () => {
    const path = join(await folder(), 'missing/a.sif')
    await expect(SifWriter.create(path)).rejects.toThrow('missing/a.sif: no such file or directory')
  })
})

describe('changing an image', () => {
  /** The changes that Apptainer made in `kinds.sif` and `edited.sif`, made by us at the same times. */
  async function repeatEdits(path: string, kinds: Buffer, last: Buffer) {
    const times = (bytes: Buffer, slot: number) => ({
      time: Number(bytes.readBigInt64LE(4096 + 585 * slot + 49)),
    })
    const big = Buffer.alloc(5000, 'h')
    await writeFile(path, kinds)
    await deleteObject(path, 2)
    await deleteObject(path, 10)
    await setPrimary(path, 8, times(last, 6))
    const none = { group: 0 }
    await addObject(path, { ...none, dataType: dataTypes.environment, data: big }, times(last, 1))
    await addObject(path, { ...none, dataType: dataTypes.labels, data: new Uint8Array() }, times(last, 9))
    await deleteObject(path, 8, { time: Number(last.readBigInt64LE(0x48)) })
  }

  it('gives the bytes that Apptainer gives', async () => {
    const last = await sample('edited')
    const path = join(await folder(), 'a.sif')
    await repeatEdits(path, await sample('kinds'), last)
    const bytes = await readFile(path)
    // The two runs were separate files, each with its own id and times of creation.
    for (const image of [bytes, last]) maskIdentity(image)
    expect(bytes.equals(last)).toBe(true)
  })

  function maskIdentity(image: Buffer) {
    image.fill(0, 0x30, 0x50)
    for (let slot = 0; slot < 48; slot += 1) image.fill(0, 4096 + 585 * slot + 41, 4096 + 585 * slot + 57)
  }

  it('adds files, uses freed descriptors again, and keeps the rest', async () => {
    const path = await fileOf(await sample('tiny'))
    const file = await fileOf(text('words'))
    expect(await addFile(path, file, { dataType: dataTypes.generic, group: 2, name: 'hi' })).toBe(4)
    await deleteObject(path, 1)
    expect(await addFile(path, file, { dataType: dataTypes.generic })).toBe(1)
    const sif = await readSif(path)
    expect(sif.header.free).toBe(44)
    expect(sif.objects.map((object) => object.id)).toEqual([1, 2, 3, 4])
    expect((await readObject(sif, findObject(sif, 1))).toString()).toBe('words')
    expect(findObject(sif, 4)).toMatchObject({ group: 2, name: 'hi', offset: 36864, size: 5 })
    expect(primaryPartition(sif).id).toBe(3)
  })

  it('adds an image to itself once, not for ever', async () => {
    const path = await fileOf(await sample('tiny'))
    await addFile(path, path, { dataType: dataTypes.generic })
    expect(findObject(await readSif(path), 4).size).toBe(36864)
  })

  it('moves the root file system and the architecture of the header together', async () => {
    const path = await fileOf(await sample('tiny'))
    await addObject(path, { dataType: dataTypes.partition, extra: system, data: text('hsqs') })
    await setPrimary(path, 4, { time })
    const sif = await readSif(path)
    expect(primaryPartition(sif)).toMatchObject({ id: 4, modified: time })
    expect(sif.header).toMatchObject({ arch: '04', modified: time })
    await deleteObject(path, 4)
    expect((await readSif(path)).header.arch).toBe('00')
  })

  it('can repair two root file systems by choosing one', async () => {
    const tiny = await sample('tiny')
    const second = Buffer.from(tiny.subarray(4096 + 2 * 585, 4096 + 3 * 585))
    second[5] = 4
    const path = await fileOf(broken(tiny, { edits: [[4096 + 3 * 585, second.toString('hex')]] }))
    await setPrimary(path, 4)
    expect(primaryPartition(await readSif(path)).id).toBe(4)
  })

  it.each([
    ['a second root file system', (path: string) => addObject(path, partitionObject), 'SIF_OBJECT'],
    ['deleting what is not there', (path: string) => deleteObject(path, 99), 'SIF_OBJECT'],
    ['a definition as root file system', (path: string) => setPrimary(path, 1), 'SIF_OBJECT'],
    ['a missing file', (path: string) => addFile(path, `${path}.none`, { dataType: 0x4007 }), 'IO'],
    ['a directory', (path: string) => addFile(path, join(path, '..'), { dataType: 0x4007 }), 'IO'],
    ['an empty image over it', (path: string) => newSif(path), 'EXISTS'],
  ])('refuses %s and leaves the image as it was', async (_, change, code) => {
    const tiny = await sample('tiny')
    const path = await fileOf(tiny)
    await expect(change(path)).rejects.toMatchObject({ code })
    expect(await readFile(path)).toEqual(tiny)
  })

  const partitionObject = { dataType: dataTypes.partition, extra: primary, data: text('hsqs') }

  it('leaves the image as it was when the data ends in an error', async () => {
    const tiny = await sample('tiny')
    const path = await fileOf(tiny)
    async function* data() {
      yield Buffer.alloc(10000)
      throw new Error('lost the connection')
    }
    await expect(addObject(path, { dataType: dataTypes.generic, data: data() })).rejects.toThrow('connection')
    expect(await readFile(path)).toEqual(tiny)
  })

  it('does not destroy what another program changed meanwhile', async () => {
    const path = await fileOf(await sample('tiny'))
    const other = await fileOf(await sample('tiny'))
    await addObject(other, { dataType: dataTypes.generic, data: text('theirs') })
    async function* data() {
      yield text('ours')
      // A program that takes no lock.
      await writeFile(path, await readFile(other))
    }
    await expect(addObject(path, { dataType: dataTypes.generic, data: data() })).rejects.toThrow(
      'changed by another program',
    )
    expect(await readFile(path)).toEqual(await readFile(other))
    const sif = await readSif(path)
    expect((await readObject(sif, findObject(sif, 4))).toString()).toBe('theirs')
  })

  it('writes nothing over a descriptor table that lies behind the data', async () => {
    const tiny = await sample('tiny')
    const table = tiny.subarray(4096, 32176)
    const moved = Buffer.concat([tiny, table])
    moved.writeBigInt64LE(BigInt(tiny.length), 0x60)
    const path = await fileOf(moved)
    await addObject(path, { dataType: dataTypes.generic, data: text('new') })
    const sif = await readSif(path)
    expect((await readObject(sif, findObject(sif, 4))).toString()).toBe('new')
    expect(primaryPartition(sif).id).toBe(3)
  })

  it('keeps an image without id and times reproducible', async () => {
    const path = join(await folder(), 'a.sif')
    await write(path, { id: '', time: noTime })
    await addObject(path, { dataType: dataTypes.generic, data: text('x') }, { time })
    const { header, objects } = await readSif(path)
    expect([header.modified, objects[4]?.created]).toEqual([noTime, noTime])
  })

  it('says that an image may not be written', async () => {
    const path = join(await folder(), 'sub', 'a.sif')
    await mkdir(join(path, '..'))
    await writeFile(path, await sample('tiny'))
    await chmod(path, 0o444)
    // Root may write everything.
    if (process.getuid?.() === 0) return
    await expect(deleteObject(path, 1)).rejects.toThrow('permission denied')
  })
})
