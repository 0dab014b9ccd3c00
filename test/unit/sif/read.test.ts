import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { findObject, primaryPartition, readObject, readSif } from '../../../src/sif/read.ts'
import { broken, brokenSamples, fileOf, folder, sample } from './samples.ts'

const codeOf = (error: unknown) => (error as { code?: string }).code

describe('a damaged or odd image', async () => {
  const tiny = await sample('tiny')
  it.each(await brokenSamples())('is refused or read: $name', async (change) => {
    const path = await fileOf(broken(tiny, change))
    if (change.error !== undefined) {
      await expect(readSif(path)).rejects.toMatchObject({ code: change.error })
      return
    }
    const sif = await readSif(path)
    expect(sif.objects).toHaveLength(change.objects ?? -1)
    if (typeof change.primary === 'number') expect(primaryPartition(sif).id).toBe(change.primary)
    else expect(() => primaryPartition(sif)).toThrow(expect.objectContaining({ code: change.primary }))
  })
})

describe('the objects of an image', () => {
  it('have their data', async () => {
    const sif = await readSif(await fileOf(await sample('tiny')))
    expect((await readObject(sif, findObject(sif, 1))).toString()).toBe('bootstrap: scratch\n')
    expect((await readObject(sif, primaryPartition(sif))).subarray(0, 4).toString()).toBe('hsqs')
  })

  it('are not read outside the file', async () => {
    const tiny = await sample('tiny')
    for (const hex of ['ffffffffffffffff', '0000000000000040', 'ffffffffffffff7f']) {
      const sif = await readSif(await fileOf(broken(tiny, { edits: [[4096 + 585 + 25, hex]] })))
      await expect(readObject(sif, findObject(sif, 2))).rejects.toMatchObject({ code: 'SIF_OBJECT' })
    }
  })

  it('are not read beyond what the caller expects', async () => {
    const sif = await readSif(await fileOf(await sample('tiny')))
    await expect(readObject(sif, primaryPartition(sif), 4095)).rejects.toMatchObject({ code: 'SIF_OBJECT' })
  })

  it('are found by a number that only one of them has', async () => {
    const tiny = await sample('tiny')
    const sif = await readSif(await fileOf(broken(tiny, { edits: [[4096 + 585 + 5, '01']] })))
    expect(() => findObject(sif, 1)).toThrow('has 2 objects with the number 1')
    expect(() => findObject(sif, 99)).toThrow('has no object 99')
  })
})

describe('the path of an image', () => {
  it('is named with the reason when it cannot be read', async () => {
    const directory = await folder()
    await expect(readSif(`${directory}/none.sif`)).rejects.toThrow('none.sif: no such file or directory')
    const error = await readSif(directory).catch((error) => error)
    expect([codeOf(error), error.message]).toEqual(['IO', `cannot read ${directory}: is a directory`])
  })

  it('may not command the terminal', async () => {
    await expect(readSif('\u001b[2Jx')).rejects.toThrow('cannot open \\x1b[2Jx')
  })

  it('stays unchanged by reading', async () => {
    const tiny = await sample('tiny')
    const path = await fileOf(tiny)
    const sif = await readSif(path)
    await readObject(sif, primaryPartition(sif))
    expect(await readFile(path)).toEqual(tiny)
  })
})
